using EmScan.Engine.Runtime.Native;
using LLama.Native;

namespace EmScan.Engine.Runtime;

/// <summary>
/// Decodes prompts as any program on llama.cpp would: whole network, no tap, nothing shared, one row of logits for each prompt. It measures
/// what emscan is compared with.
/// </summary>
/// <remarks>Not thread safe. Its context is its own; the model's weights are shared.</remarks>
internal sealed unsafe class RawPrefill : IDisposable
{
    private readonly GgufModel _model;
    private readonly CaptureOptions _options;
    private readonly SafeLLamaContextHandle _context;
    private readonly LlamaBatchBuilder _batch;
    private readonly int _batchTokens;
    private readonly int _maxSequences;

    /// <summary>Makes a context.</summary>
    /// <param name="model">The model.</param>
    /// <param name="options">Numeric mode, threads (at least 1) and tokens in a batch (0 means 512, llama.cpp's own).</param>
    /// <param name="longest">Tokens of the longest prompt.</param>
    /// <exception cref="LlamaException">There is too little memory.</exception>
    public RawPrefill(GgufModel model, CaptureOptions options, int longest)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        _model = model;
        _options = options;
        _batchTokens = Math.Max(options.BatchTokens > 0 ? options.BatchTokens : 512, longest);
        _maxSequences = model.OneSequenceAtATime ? 1 : 64;
        _batch = new LlamaBatchBuilder(_maxSequences);
        _context = LlamaContext.Create(model, options, options.Threads, new ContextSize(_batchTokens, _batchTokens, _batchTokens, _maxSequences, Math.Max(_maxSequences, longest)));
        LayerCount = model.LayerCount;
    }

    private LlamaImports Imports => _model.Library.Imports;

    /// <summary>Blocks of the model, L.</summary>
    public int LayerCount { get; }

    /// <summary>Makes an adapter active.</summary>
    public void SetAdapter(ILoadedAdapter adapter) => LlamaContext.SetAdapters(Imports, _context, [new WeightedAdapter(adapter, 1)]);

    /// <summary>Back to the base model.</summary>
    public void ClearAdapters() => LlamaContext.SetAdapters(Imports, _context, []);

    /// <summary>Computes the vocabulary head for every token instead of the last one of each prompt.</summary>
    internal bool EveryLogit { get; init; }

    /// <summary>Whether this llama.cpp can copy the inputs of blocks to the host by itself.</summary>
    internal bool CanCopyLayerInputs => Imports.SetLayerInput != null && Imports.GetLayerInput != null;

    /// <summary>Makes llama.cpp copy the input of a block, which is the residual stream after the block before it, for all tokens of a batch.</summary>
    internal void CopyLayerInput(int block) => Imports.SetLayerInput(_context.DangerousGetHandle(), (uint)block, 1);

    /// <summary>The copy of the last batch, (tokens, D); null when there is none.</summary>
    internal float* LayerInput(int block) => Imports.GetLayerInput(_context.DangerousGetHandle(), (uint)block);

    /// <summary>Decodes the prompts.</summary>
    /// <param name="prompts">Token ids of each.</param>
    /// <param name="packed">Many prompts in a batch, or one at a time.</param>
    /// <param name="afterBatch">Called after each batch; null for nothing.</param>
    /// <exception cref="LlamaException">llama.cpp fails.</exception>
    public void Run(IReadOnlyList<int[]> prompts, bool packed, Action? afterBatch = null)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        for (int next = 0; next < prompts.Count;)
        {
            _batch.Clear(_batchTokens);
            int sequence = 0;
            do
            {
                int[] tokens = prompts[next++];
                for (int i = 0; i < tokens.Length; i++) _batch.Add(tokens[i], i, sequence, 1, EveryLogit || i == tokens.Length - 1);
                sequence++;
            }
            while (packed && next < prompts.Count && sequence < _maxSequences && _batch.Count + prompts[next].Length <= _batchTokens);

            _context.MemoryClear(data: false);
            LlamaContext.Decode(_model, _options, _context, _batch);
            afterBatch?.Invoke();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _context.Dispose();
        _batch.Dispose();
    }
}
