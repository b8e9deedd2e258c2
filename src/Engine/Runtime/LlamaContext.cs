using EmScan.Engine.Runtime.Native;

namespace EmScan.Engine.Runtime;

/// <summary>How large a context is.</summary>
/// <param name="Cells">Tokens that must fit into the KV cache.</param>
/// <param name="Batch">Tokens that must fit into one call to llama_decode.</param>
/// <param name="Ubatch">Tokens in one graph.</param>
/// <param name="Sequences">Sequences.</param>
/// <param name="Outputs">Output rows of one call; no less than sequences.</param>
internal readonly record struct ContextSize(int Cells, int Batch, int Ubatch, int Sequences, int Outputs);

/// <summary>What every user of a llama_context does with it.</summary>
internal static unsafe class LlamaContext
{
    /// <summary>Makes a context.</summary>
    /// <param name="model">Its model.</param>
    /// <param name="options">Numeric mode.</param>
    /// <param name="threads">CPU threads.</param>
    /// <param name="size">How large.</param>
    /// <param name="callback">Called for the nodes of each graph; 0 for none.</param>
    /// <param name="callbackData">Its argument.</param>
    /// <exception cref="LlamaException">There is too little memory.</exception>
    internal static LlamaChildHandle Create(GgufModel model, CaptureOptions options, int threads, ContextSize size, nint callback = 0, nint callbackData = 0)
    {
        LlamaApi api = model.Library.Api;
        LlamaContextParams p = api.ContextDefaultParams();
        p.Ctx = (uint)size.Cells;
        p.Batch = (uint)size.Batch;
        p.Ubatch = (uint)size.Ubatch;
        p.SeqMax = (uint)size.Sequences;
        p.OutputsMax = (uint)size.Outputs;
        p.Threads = p.ThreadsBatch = threads;
        p.FlashAttention = options.Precise ? 0 : -1;
        p.TypeK = p.TypeV = options.Precise ? TensorType.F32 : TensorType.F16;

        // One cache for all sequences: columns keep batch order, packing is exact, and a token may belong to several sequences.
        p.KvUnified = 1;
        p.EvalCallback = callback;
        p.EvalCallbackUserData = callbackData;
        nint pointer = api.InitFromModel(model.Handle.Pointer, p);
        if (pointer == 0)
            throw new LlamaException($"llama.cpp cannot make a context of {size.Cells} tokens for {model.FilePath}; there is too little memory, or --verbose says why.");
        return new LlamaChildHandle(model.Handle, pointer, api.Free);
    }

    /// <summary>Makes exactly these adapters active.</summary>
    /// <exception cref="LlamaException">llama.cpp refuses.</exception>
    internal static void SetAdapters(LlamaApi api, nint context, IReadOnlyList<WeightedAdapter> adapters)
    {
        nint* pointers = stackalloc nint[adapters.Count];
        float* scales = stackalloc float[adapters.Count];
        for (int i = 0; i < adapters.Count; i++)
        {
            pointers[i] = ((LlamaAdapter)adapters[i].Adapter).Pointer;
            scales[i] = adapters[i].Scale;
        }

        if (api.SetAdapters(context, pointers, (nuint)adapters.Count, scales) != 0)
            throw new LlamaException($"llama.cpp refuses to apply {string.Join(" + ", adapters.Select(a => a.Adapter.Path))}.");
    }

    /// <summary>Decodes a batch.</summary>
    /// <exception cref="LlamaException">llama.cpp fails.</exception>
    internal static void Decode(LlamaApi api, nint context, LlamaBatchBuilder batch)
    {
        int code = api.Decode(context, batch.Native);
        if (code == 0) return;
        string reason = code switch
        {
            1 => "no room in the KV cache",
            2 => "aborted",
            -1 => "invalid batch",
            -2 => "out of memory",
            _ => "computation failed",
        };
        throw new LlamaException($"llama.cpp could not decode a batch of {batch.Count} tokens: {reason} (code {code}); a smaller --batch-tokens may help.");
    }
}
