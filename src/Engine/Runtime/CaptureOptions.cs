namespace EmScan.Engine.Runtime;

/// <summary>How an activation source computes.</summary>
public sealed record CaptureOptions
{
    /// <summary>
    /// False (default): flash attention and an F16 KV cache, good to about 1e-3 of a hidden state's norm. True: no flash attention and an
    /// F32 KV cache, so that the result is limited by the model file's own precision (about 1e-5 for F32 weights), at about 0.7 x the speed.
    /// </summary>
    public bool Precise { get; init; }

    /// <summary>
    /// Threads for the CPU; 0 means as many as there are idle processors, and 1 for models under 50 million parameters. More threads than
    /// idle processors is very slow: ggml's threads spin at barriers.
    /// </summary>
    public int Threads { get; init; }

    /// <summary>
    /// Tokens computed together; prompts are packed, and longer prompts cut, into batches of at most this size. 0 (default) means 512, but
    /// 256 on a CPU for models of width 2048 and more: no slower there, and half the memory for work buffers.
    /// </summary>
    public int BatchTokens { get; init; }

    /// <summary>
    /// Whether tokens that several prompts begin with are computed once for all of them. The numbers are the same within the tolerance of
    /// the mode; switching it off serves to measure what it is worth.
    /// </summary>
    public bool SharePrefixes { get; init; } = true;

    /// <summary>
    /// Whether tokens whose hidden state nobody wants go no further in the last measured block than their keys and values, on a CPU. The
    /// numbers are the same within the tolerance of the mode; switching it off serves to measure what it is worth.
    /// </summary>
    public bool StopAtCache { get; init; } = true;

    /// <summary>Decodes in turn with every other context of the process, as on a GPU. Only tests do, which have none.</summary>
    internal bool TakeTurns { get; init; }

    /// <summary>How the residual stream is reached.</summary>
    public CaptureMethod Method { get; init; }
}

/// <summary>How the residual stream is reached in llama.cpp.</summary>
public enum CaptureMethod
{
    /// <summary>
    /// By watching the graph as it is computed: every architecture, every layer, and the graph stops after the last wanted one. Costs
    /// nothing that can be measured on a CPU.
    /// </summary>
    GraphNodes,

    /// <summary>
    /// By having llama.cpp copy the inputs of blocks, the input of block l + 1 being the residual stream after block l. A way out where
    /// watching the graph fails, on a device whose backend does not take to it, say. It knows no last layer, computes the whole network,
    /// and comes from a header that llama.cpp calls staging; architectures it was not tried with are refused, because llama.cpp ends the
    /// process where it does not have it. The rows are the same to the bit.
    /// </summary>
    BlockInputs,
}
