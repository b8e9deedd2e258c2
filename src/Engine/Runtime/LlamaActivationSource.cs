using System.Diagnostics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using EmScan.Engine.Runtime.Native;

namespace EmScan.Engine.Runtime;

/// <summary>
/// Hidden states from llama.cpp: one context of a model, prompts packed into batches with their common beginnings computed once, the graph
/// stopped after the last wanted layer.
/// </summary>
/// <remarks>
/// Not thread safe; make one source per thread (they share the model's weights). In exact mode (<see cref="CaptureOptions.Precise"/>) on
/// F32 weights, results do not depend on batch shape or thread count beyond 1e-5 relative.
/// </remarks>
public sealed unsafe class LlamaActivationSource : IActivationSource, IDisposable
{
    // Rows that the last block may give in one batch. llama.cpp keeps room for logits of each.
    private const int MaxOutputs = 128;

    // ggml pads the cache to so many cells.
    private const int CellPadding = 256;

    private readonly GgufModel _model;
    private readonly CaptureOptions _options;
    private readonly ResidualTap _tap;
    private readonly GCHandle _tapHandle;
    private readonly LlamaBatchBuilder _batch;
    private readonly int _batchTokens;

    // llama.cpp bounds the sequences of one context, and keeps room for logits of each. The prompts of a batch seldom need more.
    private readonly int _maxSequences;
    private readonly List<WeightedAdapter> _adapters = [];
    private ControlVector? _steering;
    private int _threads;
    private LlamaChildHandle? _context;
    private int _contextTokens;
    private int _contextBatch;
    private int _contextOutputs;
    private bool _disposed;

    /// <summary>Makes a source on a loaded model; the context is created by the first call that needs it.</summary>
    public LlamaActivationSource(GgufModel model, CaptureOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _options = options ?? new CaptureOptions();
        ArgumentOutOfRangeException.ThrowIfNegative(_options.Threads, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegative(_options.BatchTokens, nameof(options));
        bool frugal = model.Device.IsCpu && model.HiddenSize >= 2048;
        _batchTokens = _options.BatchTokens > 0 ? _options.BatchTokens : frugal ? 256 : 512;
        _maxSequences = model.OneSequenceAtATime ? 1 : frugal ? 32 : 64;
        _batch = new LlamaBatchBuilder(_maxSequences);
        _threads = _options.Threads > 0 ? _options.Threads : ThreadCount.Default(model.ParameterCount);
        _tap = new ResidualTap(model.Library.Api, model.LayerCount, model.HiddenSize);
        _tapHandle = GCHandle.Alloc(_tap);
    }

    // While a batch is prepared, the last sequence holds what the next batch keeps of the one before.
    private int Spine => _maxSequences - 1;

    private LlamaApi Api => _model.Library.Api;

    /// <inheritdoc/>
    public int LayerCount => _model.LayerCount;

    /// <inheritdoc/>
    public int HiddenSize => _model.HiddenSize;

    /// <inheritdoc/>
    public int MaxTokens => _model.TrainedContext;

    /// <summary>The threads in use. May be changed between two calls.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1.</exception>
    public int Threads
    {
        get => _threads;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            _threads = value;
            if (_context != null) Api.SetThreads(_context.Pointer, value, value);
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
    public ILoadedAdapter LoadAdapter(string path, int lastLayer) => LlamaAdapter.Load(_model, path, lastLayer >= LayerCount - 1 ? int.MaxValue : lastLayer);

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

        _adapters.Clear();
        _adapters.AddRange(adapters);
        DropContextIfFragile();
        if (_context != null) ApplyAdapters();
    }

    /// <summary>Adds a control vector to the residual stream in all later calls; null removes it.</summary>
    /// <exception cref="ArgumentException">The vector belongs to a model of another size.</exception>
    public void SetSteering(ControlVector? vector)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (vector != null)
        {
            if (vector.HiddenSize != HiddenSize) throw new ArgumentException($"The control vector is made for hidden size {vector.HiddenSize}, not {HiddenSize}.", nameof(vector));
            int beyond = vector.Vectors.Keys.FirstOrDefault(l => l >= LayerCount);
            if (beyond != 0) throw new ArgumentException($"The control vector steers layer {beyond}, but the model's last layer is {LayerCount - 1}.", nameof(vector));
        }

        _steering = vector;
        DropContextIfFragile();
        if (_context != null) ApplySteering();
    }

    /// <inheritdoc/>
    public CapturePlan Plan(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        foreach (CapturePrompt prompt in prompts) CheckTokens(prompt.Tokens);

        // The least cache that does: a batch with room for a long prompt above it only where there is one.
        int longest = prompts.Count == 0 ? 0 : prompts.Max(p => p.Tokens.Length);
        int cells = RoundUp(longest <= _batchTokens / 2 ? _batchTokens : longest + _batchTokens, CellPadding);

        // A recurrent state cannot be kept for a part of its tokens, so there every prompt starts anew.
        bool alone = _model.OneSequenceAtATime;
        var limits = new CaptureLimits(_batchTokens, cells, alone ? 1 : _maxSequences - 1, MaxOutputs, _options.SharePrefixes && !alone);
        return CapturePlan.Create(prompts, layers, LayerCount, HiddenSize, limits);
    }

    /// <inheritdoc/>
    public void Capture(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers, IHiddenStateSink sink, CancellationToken cancellationToken = default) =>
        Capture(Plan(prompts, layers), sink, cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The plan was made for another model or other options.</exception>
    public void Capture(CapturePlan plan, IHiddenStateSink sink, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(sink);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (plan.LayerCount != LayerCount || plan.HiddenSize != HiddenSize || plan.Limits.BatchTokens > _batchTokens || plan.Limits.MaxOutputs > MaxOutputs
            || (_model.OneSequenceAtATime ? plan.Limits is not { MaxSequences: 1, SharePrefixes: false } : plan.Limits.MaxSequences >= _maxSequences))
        {
            throw new ArgumentException("The plan was made for another model or other options.", nameof(plan));
        }

        if (plan.BatchCount == 0) return;
        EnsureContext(plan.Cells, _batchTokens, plan.Outputs);
        bool flagged = plan.Outputs > 0;
        CaptureBatch? before = null;
        foreach (CaptureBatch batch in plan.Batches)
        {
            cancellationToken.ThrowIfCancellationRequested();
            _batch.Clear(_contextBatch);
            foreach (BatchToken token in batch.Tokens)
                _batch.Add(token.Id, token.Position, token.FirstSequence, token.SequenceCount, flagged && token.Wanted);
            PrepareMemory(batch, before);
            _tap.Arm(plan.Layers, batch, sink);
            try
            {
                Decode();
                _tap.ThrowIfIncomplete();
            }
            finally
            {
                _tap.Disarm();
            }

            before = batch;
        }
    }

    /// <summary>
    /// Leaves in the cache what the batch continues, under the sequences that it will use. Blocks above the last wanted layer hold nothing
    /// of use, but all batches of a plan stop at the same one.
    /// </summary>
    private void PrepareMemory(CaptureBatch batch, CaptureBatch? before)
    {
        nint memory = Api.GetMemory(_context!.Pointer);
        if (before == null || batch.Retained.All(count => count == 0))
        {
            Api.MemoryClear(memory, 0);
            return;
        }

        // The one sequence of a recurrent model simply goes on.
        if (_model.OneSequenceAtATime) return;
        Api.MemorySequenceCopy(memory, before.Tokens[^1].FirstSequence, Spine, -1, -1);
        Api.MemorySequenceKeep(memory, Spine);
        for (int s = 0; s < batch.Retained.Length; s++)
        {
            if (batch.Retained[s] > 0) Api.MemorySequenceCopy(memory, Spine, s, 0, batch.Retained[s]);
        }

        _ = Api.MemorySequenceRemove(memory, Spine, -1, -1); // Removing a whole sequence cannot fail.
    }

    /// <inheritdoc/>
    public int[][] GenerateGreedy(IReadOnlyList<int[]> prompts, int maxNewTokens, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentOutOfRangeException.ThrowIfNegative(maxNewTokens);
        ObjectDisposedException.ThrowIf(_disposed, this);
        foreach (int[] prompt in prompts) CheckTokens(prompt);
        int[][] results = new int[prompts.Count][];
        if (maxNewTokens == 0) Array.Fill(results, []);

        for (int next = 0; next < prompts.Count && maxNewTokens > 0;)
        {
            int first = next, tokens = 0;
            do
            {
                // Room for the prompt and all that it may grow by, within the context the model was trained with.
                tokens += Math.Min(prompts[next].Length + maxNewTokens, MaxTokens);
                next++;
            }
            while (next < prompts.Count && !_model.OneSequenceAtATime && next - first < _maxSequences
                && tokens + Math.Min(prompts[next].Length + maxNewTokens, MaxTokens) <= _batchTokens * 4);
            EnsureContext(tokens, tokens, 0);
            GenerateGroup(prompts, first, next, maxNewTokens, results, cancellationToken);
        }

        return results;
    }

    private void GenerateGroup(IReadOnlyList<int[]> prompts, int first, int end, int maxNewTokens, int[][] results, CancellationToken cancellationToken)
    {
        int count = end - first;
        var generated = new List<int>[count];
        int[] outputColumn = new int[count];
        _batch.Clear(_contextBatch);
        for (int s = 0; s < count; s++)
        {
            generated[s] = [];
            int[] prompt = prompts[first + s];
            for (int i = 0; i < prompt.Length; i++) _batch.Add(prompt[i], i, s, 1, i == prompt.Length - 1);
            outputColumn[s] = _batch.Count - 1;
        }

        Api.MemoryClear(Api.GetMemory(_context!.Pointer), 0);
        Decode();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var active = new List<(int Sequence, int Token)>();
            for (int s = 0; s < count; s++)
            {
                if (outputColumn[s] < 0) continue;
                int token = Argmax(outputColumn[s]);
                bool ends = _model.Vocabulary.IsEndOfGeneration(token);
                if (!ends) generated[s].Add(token);
                outputColumn[s] = -1;
                int length = prompts[first + s].Length + generated[s].Count;
                if (!ends && generated[s].Count < maxNewTokens && length < MaxTokens) active.Add((s, token));
            }

            if (active.Count == 0) break;
            _batch.Clear(_contextBatch);
            foreach ((int s, int token) in active)
            {
                outputColumn[s] = _batch.Count;
                _batch.Add(token, prompts[first + s].Length + generated[s].Count - 1, s, 1, output: true);
            }

            Decode();
        }

        for (int s = 0; s < count; s++) results[first + s] = [.. generated[s]];
    }

    private int Argmax(int column)
    {
        float* logits = Api.GetLogitsAt(_context!.Pointer, column);
        if (logits == null) throw new LlamaException($"llama.cpp gave no logits for token {column} of the batch.");
        var span = new ReadOnlySpan<float>(logits, _model.Vocabulary.Size);
        int best = TensorPrimitives.IndexOfMax(span);
        if (best < 0 || float.IsNaN(span[best])) throw new LlamaException("The model's logits are NaN; the weights or an adapter are damaged.");
        return best;
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

    private void Decode() => LlamaContext.Decode(Api, _context!.Pointer, _batch);

    /// <summary>Makes a context, unless there is one that is large enough.</summary>
    /// <param name="cells">Tokens that must be in the KV cache at once.</param>
    /// <param name="batch">Tokens that must fit into one call to llama_decode.</param>
    /// <param name="outputs">Output rows of one call.</param>
    private void EnsureContext(int cells, int batch, int outputs)
    {
        int wantedTokens = RoundUp(Math.Max(cells, batch), CellPadding);
        int wantedBatch = Math.Max(batch, _batchTokens), wantedOutputs = Math.Max(outputs, _maxSequences);
        if (_context != null && wantedTokens <= _contextTokens && wantedBatch <= _contextBatch && wantedOutputs <= _contextOutputs) return;

        _context?.Dispose();
        _context = null;
        var size = new ContextSize(wantedTokens, wantedBatch, _batchTokens, _maxSequences, wantedOutputs);
        _context = LlamaContext.Create(_model, _options, Threads, size, ResidualTap.Callback, GCHandle.ToIntPtr(_tapHandle));
        _contextTokens = wantedTokens;
        _contextBatch = wantedBatch;
        _contextOutputs = wantedOutputs;
        if (_adapters.Count > 0) ApplyAdapters();
        if (_steering != null) ApplySteering();
    }

    /// <summary>
    /// Changing adapters or control vectors in a context that has already computed corrupted memory on Vulkan (llama.cpp 0.5.0, measured on
    /// a software device, in about half of the scans). A new context for each change, some 40 ms, never did.
    /// </summary>
    private void DropContextIfFragile()
    {
        if (_context == null || !_model.Device.Name.StartsWith("Vulkan", StringComparison.OrdinalIgnoreCase)) return;
        _context.Dispose();
        _context = null;
    }

    private void ApplyAdapters() => LlamaContext.SetAdapters(Api, _context!.Pointer, _adapters);

    private void ApplySteering()
    {
        int code;
        if (_steering == null)
        {
            code = Api.SetControlVector(_context!.Pointer, null, 0, HiddenSize, 0, 0);
        }
        else
        {
            // llama.cpp's buffer starts at block 1: block 0 cannot be steered.
            float[] data = new float[checked(HiddenSize * (LayerCount - 1))];
            foreach ((int layer, float[] vector) in _steering.Vectors) vector.CopyTo(data, (layer - 1) * HiddenSize);
            fixed (float* d = data)
                code = Api.SetControlVector(_context!.Pointer, d, (nuint)data.Length, HiddenSize, 1, LayerCount - 1);
        }

        if (code != 0) throw new LlamaException($"llama.cpp refuses the control vector (code {code}).");
    }

    private static int RoundUp(int value, int multiple) => checked((value + multiple - 1) / multiple * multiple);

    /// <summary>Frees the context. The model stays loaded.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _context?.Dispose();
        _batch.Dispose();
        _tapHandle.Free();
    }
}
