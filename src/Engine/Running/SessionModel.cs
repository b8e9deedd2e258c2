using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Running;

/// <summary>What every session stands on: the model, directions at hand, the layer, and, once asked for, contexts and the store.</summary>
/// <remarks>Not thread safe. Disposing frees all of it, the model unless it was given.</remarks>
internal sealed class SessionModel : IDisposable
{
    private readonly List<LlamaActivationSource> _more = [];
    private CellStore? _store;

    private SessionModel(LoadedModel loaded) => Loaded = loaded;

    /// <summary>The model and what belongs to it.</summary>
    internal LoadedModel Loaded { get; }

    /// <summary>Sentences for the user about what was found or decided on the way.</summary>
    internal List<Remark> Remarks { get; } = [];

    /// <summary>The trait directions.</summary>
    internal DirectionSet Directions { get; private set; } = null!;

    /// <summary>Where the directions come from, for reports.</summary>
    internal string DirectionsSource { get; private set; } = "";

    /// <summary>The measured layer; there are directions for it.</summary>
    internal int Layer { get; private set; }

    /// <summary>The store.</summary>
    internal CellStore Store => _store ?? throw new InvalidOperationException("The store is not open yet.");

    /// <summary>The contexts that measure at the same time.</summary>
    internal IReadOnlyList<LlamaActivationSource> Sources => [Loaded.Source, .. _more];

    /// <summary>Threads of all contexts together.</summary>
    internal int Threads => Loaded.Parallel.Contexts * Loaded.Parallel.ThreadsEach;

    /// <summary>Loads the model and gets its directions. Slow the first time, when these are extracted; they are cached.</summary>
    /// <exception cref="EmScanException">Something that was given cannot be used; the message says what.</exception>
    internal static SessionModel Load(ScanRequest request, IProgress<ScanProgress>? progress, CancellationToken cancellationToken)
    {
        var model = new SessionModel(LoadedModel.Load(request, progress, cancellationToken));
        try
        {
            LoadedModel loaded = model.Loaded;
            model.Remarks.AddRange(loaded.Traits.Remarks.Select(text => new Remark("trait-set", text)));
            (model.Directions, model.DirectionsSource) = DirectionProvider.Get(loaded, progress, model.Remarks, cancellationToken);
            model.Layer = loaded.ChooseLayer(model.Directions.MeantLayer);
            return model.Directions.Layers.Contains(model.Layer) ? model
                : throw new InvalidSettingException($"There are no directions for layer {model.Layer} ({model.DirectionsSource}); there are for {string.Join(", ", model.Directions.Layers)}.");
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Opens the store and makes the other contexts. The first one goes on with its share of the threads; what the others need is allocated
    /// when they get their first checkpoint.
    /// </summary>
    /// <exception cref="InputFileException">The store cannot be read or written.</exception>
    internal void OpenStore()
    {
        _store = ShardSession.OpenStore(Loaded);
        if (_store.Damaged > 0) Remarks.Add(new Remark("damaged-records", $"{_store.Folder}: {_store.Damaged} damaged record(s) ignored; what they held is measured again."));
        (int contexts, int threads) = Loaded.Parallel;
        Loaded.Source.Threads = threads;
        while (_more.Count < contexts - 1) _more.Add(new LlamaActivationSource(Loaded.Model, Loaded.Request.Capture with { Threads = threads }));
    }

    /// <summary>Begins this process's part in a division of the work, where there is one.</summary>
    /// <exception cref="InputFileException">What was recorded was measured with something else.</exception>
    internal ShardSession BeginShard(CellEngine engine, IReadOnlyList<CapturePrompt> prompts) => ShardSession.Begin(Loaded, engine, Layer, Directions, prompts, Threads);

    /// <inheritdoc/>
    public void Dispose()
    {
        _store?.Dispose();
        foreach (LlamaActivationSource source in _more) source.Dispose();
        Loaded.Dispose();
    }
}
