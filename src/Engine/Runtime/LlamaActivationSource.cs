using System.Diagnostics;
using System.Runtime.InteropServices;
using EmScan.Engine.Formats;
using LoraAdapter = EmScan.Engine.Formats.LoraAdapter;

namespace EmScan.Engine.Runtime;

/// <summary>
/// Hidden states from llama.cpp: one context of a model, prompts packed into batches with their common beginnings computed once, the graph
/// stopped after the last wanted layer.
/// </summary>
/// <remarks>
/// Not thread safe; make one source per thread (they share the model's weights). In exact mode (<see cref="CaptureOptions.Precise"/>) on
/// F32 weights, results do not depend on batch shape or thread count beyond 1e-5 relative.
/// </remarks>
public sealed partial class LlamaActivationSource : IActivationSource, IDisposable
{
    private readonly GgufModel _model;
    private readonly CaptureOptions _options;
    private readonly ResidualTap _tap;
    private readonly GCHandle _tapHandle;
    private readonly ContextLimits _limits;
    private readonly AdaptedContext _context;
    private readonly BlockInputs? _inputs; // null: by the tap
    private readonly TextGenerator _generator;
    private bool _disposed;

    /// <summary>Makes a source on a loaded model; the context is created by the first call that needs it.</summary>
    /// <exception cref="LlamaException">The method of capture is not available for the model.</exception>
    public LlamaActivationSource(GgufModel model, CaptureOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _options = options ?? new CaptureOptions();
        ArgumentOutOfRangeException.ThrowIfNegative(_options.Threads, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegative(_options.BatchTokens, nameof(options));
        if (_options.Method == CaptureMethod.BlockInputs) BlockInputs.ThrowIfUnavailable(model);
        _limits = ContextLimits.For(model, _options);
        _tap = new ResidualTap(model.Library.Imports, model.LayerCount, model.HiddenSize);
        _tapHandle = GCHandle.Alloc(_tap);
        _context = new AdaptedContext(model, _options, _limits, ResidualTap.Callback, GCHandle.ToIntPtr(_tapHandle));
        if (_options.Method == CaptureMethod.BlockInputs) _inputs = new BlockInputs(model, _context);
        _generator = new TextGenerator(model, _context);
    }

    /// <inheritdoc/>
    public int LayerCount => _model.LayerCount;

    /// <inheritdoc/>
    public int HiddenSize => _model.HiddenSize;

    /// <inheritdoc/>
    public int VocabularySize => _model.Vocabulary.Size;

    /// <inheritdoc/>
    public int MaxTokens => _model.TrainedContext;

    /// <summary>The threads in use. May be changed between two calls.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1.</exception>
    public int Threads
    {
        get => _context.Threads;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            _context.Threads = value;
        }
    }

    /// <summary>Time that captures spent on handing out rows, the sink's own included, since the last call of this.</summary>
    internal TimeSpan TakeTimeInTap()
    {
        var time = TimeSpan.FromSeconds((double)_tap.Ticks / Stopwatch.Frequency);
        _tap.Ticks = 0;
        return time;
    }

    /// <inheritdoc/>
    public ILoadedAdapter LoadAdapter(string path) => LoadAdapter(path, LayerCount - 1);

    /// <inheritdoc/>
    public ILoadedAdapter LoadAdapter(string path, int lastLayer) => LoadAdapter(AdapterReader.Open(path, _model.File), lastLayer);

    /// <inheritdoc/>
    internal ILoadedAdapter LoadAdapter(LoraAdapter adapter, int lastLayer)
    {
        ArgumentNullException.ThrowIfNull(adapter);
        return LlamaAdapter.Load(_model, adapter, lastLayer >= LayerCount - 1 ? int.MaxValue : lastLayer);
    }

    /// <inheritdoc/>
    public void SetAdapters(IReadOnlyList<WeightedAdapter> adapters)
    {
        ArgumentNullException.ThrowIfNull(adapters);
        ObjectDisposedException.ThrowIf(_disposed, this);
        foreach (WeightedAdapter weighted in adapters)
        {
            if (weighted.Adapter is not LlamaAdapter adapter || adapter.Model != _model)
                throw new ArgumentException("An adapter belongs to the model it was loaded for; this one was loaded for another.", nameof(adapters));
            if (!float.IsFinite(weighted.Scale)) throw new ArgumentException("An adapter's scale must be a finite number.", nameof(adapters));
        }

        _context.SetAdapters(adapters);
    }

    /// <inheritdoc/>
    internal void SetSteering(ControlVector? vector)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (vector != null)
        {
            if (vector.HiddenSize != HiddenSize) throw new ArgumentException($"The control vector is made for hidden size {vector.HiddenSize}, not {HiddenSize}.", nameof(vector));
            int beyond = vector.Vectors.Keys.FirstOrDefault(l => l >= LayerCount);
            if (beyond != 0) throw new ArgumentException($"The control vector steers layer {beyond}, but the model's last layer is {LayerCount - 1}.", nameof(vector));
        }

        _context.SetSteering(vector);
    }

    // An internal member implements nothing by itself: without these the interface's own defaults would be called.
    ILoadedAdapter IActivationSource.LoadAdapter(LoraAdapter adapter, int lastLayer) => LoadAdapter(adapter, lastLayer);

    void IActivationSource.SetSteering(ControlVector? vector) => SetSteering(vector);

    CapturePlan IActivationSource.Plan(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers) => Plan(prompts, layers);

    CapturePlan IActivationSource.Plan(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers, bool logits) => Plan(prompts, layers, logits);

    void IActivationSource.Capture(CapturePlan plan, IHiddenStateSink sink, CancellationToken cancellationToken) => Capture(plan, sink, cancellationToken);

    /// <inheritdoc/>
    public int[][] GenerateGreedy(IReadOnlyList<int[]> prompts, int maxNewTokens, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentOutOfRangeException.ThrowIfNegative(maxNewTokens);
        ObjectDisposedException.ThrowIf(_disposed, this);
        foreach (int[] prompt in prompts) CheckTokens(prompt);
        return _generator.Greedy(prompts, maxNewTokens, cancellationToken);
    }

    /// <summary>Continues each prompt by tokens drawn from softmax(logits / temperature), until an end-of-generation token, which is not returned, or
    /// the limit.</summary>
    /// <param name="prompts">P prompts.</param>
    /// <param name="maxNewTokens">Most new tokens of each.</param>
    /// <param name="temperature">Above 0; 1 is the model's own distribution.</param>
    /// <param name="seeds">(P), of each prompt's random numbers: what is drawn for a prompt does not depend on the others, beyond the rounding of its logits.</param>
    /// <param name="cancellationToken">Checked between tokens.</param>
    /// <returns>The new token ids of each prompt.</returns>
    public int[][] GenerateSampled(
        IReadOnlyList<int[]> prompts, int maxNewTokens, double temperature, IReadOnlyList<int> seeds, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(seeds);
        ArgumentOutOfRangeException.ThrowIfNegative(maxNewTokens);
        if (!(temperature > 0 && double.IsFinite(temperature))) throw new ArgumentOutOfRangeException(nameof(temperature), temperature, "The temperature must be above 0.");
        if (seeds.Count != prompts.Count) throw new ArgumentException($"There are {seeds.Count} seeds for {prompts.Count} prompts.", nameof(seeds));
        ObjectDisposedException.ThrowIf(_disposed, this);
        foreach (int[] prompt in prompts) CheckTokens(prompt);
        return _generator.Sampled(prompts, maxNewTokens, temperature, seeds, cancellationToken);
    }

    private void CheckTokens(int[] tokens)
    {
        if (tokens.Length == 0) throw new ArgumentException("A prompt needs at least one token.", nameof(tokens));
        if (tokens.Length > MaxTokens) throw new EmScanException($"A prompt has {tokens.Length} tokens, but the model was trained for {MaxTokens}; shorten it.");
        foreach (int token in tokens)
        {
            if ((uint)token >= (uint)_model.Vocabulary.Size)
                throw new ArgumentException($"Token {token} does not exist in a vocabulary of {_model.Vocabulary.Size}.", nameof(tokens));
        }
    }

    /// <summary>Frees the context. The model stays loaded.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _context.Dispose();
        _tapHandle.Free();
    }
}
