using LLama.Native;

namespace EmScan.Engine.Runtime;

/// <summary>
/// The context of one source, with the adapters and the control vector that are active in it. It is made by the first call that needs it
/// and made anew where a call needs a larger one; what is active stays active.
/// </summary>
/// <remarks>Not thread safe.</remarks>
internal sealed unsafe class AdaptedContext : IDisposable
{
    private readonly GgufModel _model;
    private readonly CaptureOptions _options;
    private readonly nint _callback;
    private readonly nint _callbackData;
    private readonly List<WeightedAdapter> _adapters = [];
    private ControlVector? _steering;
    private int _threads;
    private SafeLLamaContextHandle? _handle;
    private int _cells;
    private int _outputs;

    /// <summary>Prepares a context; nothing native is made yet.</summary>
    /// <param name="model">Its model.</param>
    /// <param name="options">Numeric mode and threads.</param>
    /// <param name="limits">Tokens in one graph and sequences.</param>
    /// <param name="callback">Called for the nodes of each graph.</param>
    /// <param name="callbackData">Its argument.</param>
    internal AdaptedContext(GgufModel model, CaptureOptions options, ContextLimits limits, nint callback, nint callbackData)
    {
        _model = model;
        _options = options;
        Limits = limits;
        _callback = callback;
        _callbackData = callbackData;
        _threads = options.Threads > 0 ? options.Threads : ThreadCount.Default(model.ParameterCount);
        Batch = new LlamaBatchBuilder(limits.Sequences);
    }

    /// <summary>Tokens in one graph and sequences.</summary>
    internal ContextLimits Limits { get; }

    /// <summary>What the next decode computes.</summary>
    internal LlamaBatchBuilder Batch { get; }

    /// <summary>Tokens that fit into one batch, once there is a context.</summary>
    internal int BatchCapacity { get; private set; }

    /// <summary>Counts the contexts made so far: what belongs to a context must be set again when this changes.</summary>
    internal int Generation { get; private set; }

    /// <summary>The llama_context, once there is one.</summary>
    internal SafeLLamaContextHandle Handle => _handle!;

    /// <summary>
    /// Set where something that was computed is NaN or infinite. The cache then holds it, and attention multiplies also what it masks: zero
    /// times NaN is NaN, and whatever is computed next would be called damaged, too.
    /// </summary>
    internal bool Spoilt { get; set; }

    /// <summary>CPU threads, at least 1.</summary>
    internal int Threads
    {
        get => _threads;
        set
        {
            _threads = value;
            SetThreads();
        }
    }

    /// <summary>Makes exactly these adapters active.</summary>
    /// <exception cref="LlamaException">llama.cpp refuses.</exception>
    internal void SetAdapters(IReadOnlyList<WeightedAdapter> adapters)
    {
        _adapters.Clear();
        _adapters.AddRange(adapters);
        DropIfFragile();
        if (_handle != null) ApplyAdapters();
    }

    /// <summary>Makes this control vector active; null for none.</summary>
    /// <exception cref="LlamaException">llama.cpp refuses.</exception>
    internal void SetSteering(ControlVector? vector)
    {
        _steering = vector;
        DropIfFragile();
        if (_handle != null) ApplySteering();
    }

    /// <summary>Makes a context, unless there is one that is large enough.</summary>
    /// <param name="cells">Tokens that must be in the KV cache at once.</param>
    /// <param name="batch">Tokens that must fit into one call to llama_decode.</param>
    /// <param name="outputs">Output rows of one call.</param>
    /// <exception cref="LlamaException">There is too little memory.</exception>
    internal void Ensure(int cells, int batch, int outputs)
    {
        int wantedCells = ContextLimits.PadCells(Math.Max(cells, batch));
        int wantedBatch = Math.Max(batch, Limits.BatchTokens), wantedOutputs = Math.Max(outputs, Limits.Sequences);
        if (_handle != null && wantedCells <= _cells && wantedBatch <= BatchCapacity && wantedOutputs <= _outputs) return;

        _handle?.Dispose();
        _handle = null;
        var size = new ContextSize(wantedCells, wantedBatch, Limits.BatchTokens, Limits.Sequences, wantedOutputs);
        _handle = LlamaContext.Create(_model, _options, Threads, size, _callback, _callbackData);
        _cells = wantedCells;
        BatchCapacity = wantedBatch;
        _outputs = wantedOutputs;
        Generation++;
        if (_adapters.Count > 0) ApplyAdapters();
        if (_steering != null) ApplySteering();
    }

    /// <summary>Forgets every sequence, and overwrites the cache where that is needed.</summary>
    internal void ClearMemory()
    {
        Handle.MemoryClear(data: Spoilt);
        Spoilt = false;
    }

    /// <summary>Decodes the batch.</summary>
    /// <exception cref="LlamaException">llama.cpp fails.</exception>
    internal void Decode() => LlamaContext.Decode(_model, _options, Handle, Batch);

    /// <summary>
    /// Changing adapters or control vectors in a context that has already computed corrupted memory on Vulkan (measured on a software
    /// device, in about half of the scans). A new context for each change, some 40 ms, never did.
    /// </summary>
    private void DropIfFragile()
    {
        if (_handle == null || !_model.Device.Name.StartsWith("Vulkan", StringComparison.OrdinalIgnoreCase)) return;
        _handle.Dispose();
        _handle = null;
    }

    private void ApplyAdapters() => LlamaContext.SetAdapters(_model.Library.Imports, Handle, _adapters);

    private void SetThreads()
    {
        if (_handle != null) _handle.BatchThreads = _handle.GenerationThreads = _threads;
    }

    private void ApplySteering()
    {
        int code;
        int hiddenSize = _model.HiddenSize, layers = _model.LayerCount;
        if (_steering == null)
        {
            code = NativeApi.llama_set_adapter_cvec(Handle, null, 0, hiddenSize, 0, 0);
        }
        else
        {
            // llama.cpp's buffer starts at block 1: block 0 cannot be steered.
            float[] data = new float[checked(hiddenSize * (layers - 1))];
            foreach ((int layer, float[] vector) in _steering.Vectors) vector.CopyTo(data, (layer - 1) * hiddenSize);
            fixed (float* d = data)
                code = NativeApi.llama_set_adapter_cvec(Handle, d, (nuint)data.Length, hiddenSize, 1, layers - 1);
        }

        if (code != 0) throw new LlamaException($"llama.cpp refuses the control vector (code {code}).");
    }

    /// <summary>Frees the context. The model stays loaded.</summary>
    public void Dispose()
    {
        _handle?.Dispose();
        Batch.Dispose();
    }
}
