using EmScan.Engine.Runtime.Native;
using LLama.Native;

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
    internal static SafeLLamaContextHandle Create(GgufModel model, CaptureOptions options, int threads, ContextSize size, nint callback = 0, nint callbackData = 0)
    {
        LLamaContextParams p = LLamaContextParams.Default();
        p.n_ctx = (uint)size.Cells;
        p.n_batch = (uint)size.Batch;
        p.n_ubatch = (uint)size.Ubatch;
        p.n_seq_max = (uint)size.Sequences;
        p.n_outputs_max = (uint)size.Outputs;
        p.n_threads = p.n_threads_batch = threads;
        p.llama_flash_attn_type = options.Precise ? LLamaFlashAttentionType.LLAMA_FLASH_ATTENTION_TYPE_DISABLED : LLamaFlashAttentionType.LLAMA_FLASH_ATTENTION_TYPE_AUTO;
        p.type_k = p.type_v = options.Precise ? GGMLType.GGML_TYPE_F32 : GGMLType.GGML_TYPE_F16;

        // One cache for all sequences: columns keep batch order, packing is exact, and a token may belong to several sequences.
        p.kv_unified = true;
        p.cb_eval = callback;
        p.cb_eval_user_data = callbackData;
        SafeLLamaContextHandle context = SafeLLamaContextHandle.Create(model.Handle, p);
        if (!context.IsInvalid) return context;
        model.Handle.DangerousRelease(); // Create took a reference that an invalid context never gives back.
        throw new LlamaException($"llama.cpp cannot make a context of {size.Cells} tokens for {model.FilePath}; there is too little memory, or the log says why.");
    }

    /// <summary>Makes exactly these adapters active.</summary>
    /// <exception cref="LlamaException">llama.cpp refuses.</exception>
    internal static void SetAdapters(LlamaImports imports, SafeLLamaContextHandle context, IReadOnlyList<WeightedAdapter> adapters)
    {
        nint* pointers = stackalloc nint[adapters.Count];
        float* scales = stackalloc float[adapters.Count];
        for (int i = 0; i < adapters.Count; i++)
        {
            pointers[i] = ((LlamaAdapter)adapters[i].Adapter).Pointer;
            scales[i] = adapters[i].Scale;
        }

        if (imports.SetAdapters(context.DangerousGetHandle(), pointers, (nuint)adapters.Count, scales) != 0)
            throw new LlamaException($"llama.cpp refuses to apply {string.Join(" + ", adapters.Select(a => a.Adapter.Path))}.");
    }

    /// <summary>Decodes a batch: on a CPU at once, on a GPU in turn with every other context of the process, the host's own included.</summary>
    /// <exception cref="LlamaException">llama.cpp fails.</exception>
    internal static void Decode(GgufModel model, CaptureOptions options, SafeLLamaContextHandle context, LlamaBatchBuilder batch)
    {
        int code = options.TakeTurns || !model.Device.IsCpu ? (int)context.Decode(batch.ToManaged()) : model.Library.Imports.Decode(context.DangerousGetHandle(), batch.Native);
        GC.KeepAlive(context);
        if (code == 0) return;
        string reason = code switch
        {
            1 => "no room in the KV cache",
            2 => "aborted",
            -1 => "invalid batch",
            -2 => "out of memory",
            _ => "computation failed",
        };
        throw new LlamaException($"llama.cpp could not decode a batch of {batch.Count} tokens: {reason} (code {code}); a smaller batch may help.");
    }
}
