using System.Runtime.CompilerServices;
using System.Threading.Channels;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Measures cells, each once: what is on record is taken from the store; while variants are measured, one per activation source, the next
/// one is loaded; results reach the store, and the caller, in the order in which they were asked for. Memory does not grow with the number
/// of cells beyond the store's index: at most one more variant is loaded than there are sources.
/// </summary>
/// <remarks>Not thread safe. The activation sources are left with the base model.</remarks>
internal sealed class CellEngine
{
    private readonly IReadOnlyList<IActivationSource> _sources;
    private readonly CellMeasurer[] _measurers;
    private readonly GgufFile? _file;

    /// <summary>Makes an engine.</summary>
    /// <param name="sources">At least one; all on the same model, with the same options.</param>
    /// <param name="model">Names that model and its numeric mode.</param>
    /// <param name="file">The model's header; needed for bands, masks and noise only.</param>
    /// <param name="store">Where results are kept.</param>
    /// <exception cref="ArgumentException">There is no source.</exception>
    public CellEngine(IReadOnlyList<IActivationSource> sources, ModelIdentity model, GgufFile? file, CellStore store)
        : this(sources, model, file, store, MeasuringLimits.Default)
    {
    }

    internal CellEngine(IReadOnlyList<IActivationSource> sources, ModelIdentity model, GgufFile? file, CellStore store, MeasuringLimits limits)
    {
        ArgumentNullException.ThrowIfNull(sources);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(store);
        if (sources.Count == 0) throw new ArgumentException("At least one activation source is needed.", nameof(sources));
        _sources = sources;
        _measurers = [.. sources.Select(source => new CellMeasurer(source, limits))];
        _file = file;
        Model = model;
        Store = store;
    }

    /// <summary>Names the model and its numeric mode.</summary>
    public ModelIdentity Model { get; }

    /// <summary>Where results are kept.</summary>
    public CellStore Store { get; }

    /// <summary>Told what became of every variant; or null.</summary>
    internal ShardJournal? Journal { get; set; }

    /// <summary>Told how far a variant is while one is measured at a time; or null.</summary>
    internal IProgress<ScanProgress>? Progress
    {
        set
        {
            if (_measurers.Length == 1) _measurers[0].Progress = value;
        }
    }

    /// <summary>In place of measuring: what shards have measured; or null.</summary>
    internal RecordedCells? Recorded { get; set; }

    /// <summary>Measures cells. A variant that cannot be read or applied becomes an outcome with an error; the others go on.</summary>
    /// <param name="cells">Cells of one variant that stand side by side are measured together.</param>
    /// <param name="cancellationToken">Ends between two batches; what was finished is on record.</param>
    /// <returns>An outcome for each group of cells, in order.</returns>
    /// <exception cref="EmScanException">The store cannot be read or written.</exception>
    public IAsyncEnumerable<CellOutcome> MeasureAsync(IEnumerable<Cell> cells, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(cells);
        return MeasureAsync(ByVariant(cells), cancellationToken);
    }

    /// <summary>Measures groups of cells, each of one variant. A group is taken as soon as it is there, and not looked behind.</summary>
    internal async IAsyncEnumerable<CellOutcome> MeasureAsync(IEnumerable<IReadOnlyList<Cell>> groups, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        if (Recorded is { } recorded)
        {
            foreach (IReadOnlyList<Cell> cells in groups)
            {
                cancellationToken.ThrowIfCancellationRequested();
                yield return recorded.Find(cells) ?? throw new ResultElsewhereException(cells[0].Variant);
            }

            yield break;
        }

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var pipeline = new CellPipeline(new VariantLoader(_sources[0], _file), Model, Store, _sources[0].LayerCount, _sources.Count, Journal);
        var outcomes = Channel.CreateBounded<CellOutcome>(new BoundedChannelOptions(1) { SingleReader = true, SingleWriter = true });

        // Threads of their own, for the whole time: llama.cpp's allocations then stay in the same arenas of the C heap, where hopping over
        // the thread pool would leave a half-used arena behind on every thread.
        Task[] stages =
        [
            OwnThread(() => pipeline.Load(groups, stop.Token)),
            OwnThread(() => pipeline.Record(outcomes.Writer, stop.Token)),
            .. _measurers.Select(measurer => OwnThread(() => pipeline.Measure(measurer, stop.Token))),
        ];
        try
        {
            await foreach (CellOutcome outcome in outcomes.Reader.ReadAllAsync(CancellationToken.None).ConfigureAwait(false)) yield return outcome;
        }
        finally
        {
            // Also reached when the caller leaves its loop early; the sources must not be in use any more when this returns.
            await stop.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(stages).ConfigureAwait(false);
        }
    }

    internal static IEnumerable<IReadOnlyList<Cell>> ByVariant(IEnumerable<Cell> cells)
    {
        var group = new List<Cell>();
        foreach (Cell cell in cells)
        {
            if (group.Count > 0 && cell.Variant != group[0].Variant)
            {
                yield return [.. group];
                group.Clear();
            }

            group.Add(cell);
        }

        if (group.Count > 0) yield return [.. group];
    }

    private static Task OwnThread(Action work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
