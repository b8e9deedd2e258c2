namespace EmScan.Engine.Runtime;

/// <summary>What a plan may use of a context.</summary>
/// <param name="BatchTokens">Most tokens decoded in one call, at least 1.</param>
/// <param name="Cells">Tokens that should be in the KV cache at most, at least 1. A prompt that is longer than this gets what it needs.</param>
/// <param name="MaxSequences">Most sequences in one batch, at least 1.</param>
/// <param name="MaxOutputs">Most output rows of the last block in one batch, at least 1.</param>
/// <param name="SharePrefixes">Whether a token that begins several prompts is decoded once for all of them.</param>
/// <param name="StopEarly">Whether blocks behind the last wanted layer are left out.</param>
/// <param name="StopAtCache">Whether tokens that nobody wants go no further in the last wanted layer than their keys and values.</param>
internal readonly record struct CaptureLimits(
    int BatchTokens, int Cells, int MaxSequences, int MaxOutputs, bool SharePrefixes, bool StopEarly = true, bool StopAtCache = true)
{
    /// <summary>Prompts packed and prefixes shared, in batches of the default size.</summary>
    public static CaptureLimits Default { get; } = new(512, 512, 63, 128, true);
}

/// <summary>
/// How a set of prompts is computed: which tokens, in which batches, up to which layer, and which rows are handed out. It depends on the
/// prompts and layers only, so it is made once and used for every checkpoint.
/// </summary>
/// <remarks>
/// <para>The prompts form a prefix tree. Its nodes are decoded in depth-first order, each exactly once, cut into batches of equal size: a
/// token common to many prompts carries the sequences of all of them. When a batch begins below the root, the tokens above it are still in
/// the KV cache, because they lie on the path to the last token of the batch before it; so nothing is ever decoded twice, however many
/// batches a prefix spans, and no more than one path and one batch are in the cache.</para>
/// <para>In the last wanted block, later tokens need nothing of a token but its keys and values. So where nobody waits for the wanted tokens
/// of a batch, the others are decoded first and stop there, and the wanted ones follow in a call of their own: the feed-forward part of that
/// block is computed for wanted tokens only, as llama.cpp itself does in the last block of a model.</para>
/// <para>Immutable and safe to share between threads, as long as nobody writes to the prompts' arrays.</para>
/// </remarks>
internal sealed class CapturePlan
{
    private CapturePlan(IReadOnlyList<CapturePrompt> prompts, int[] layers, bool logits, int layerCount, int hiddenSize, CaptureLimits limits, CaptureBatch[] batches)
    {
        Prompts = prompts;
        Layers = layers;
        Logits = logits;
        LayerCount = layerCount;
        HiddenSize = hiddenSize;
        Limits = limits;
        Batches = batches;
        PromptTokens = prompts.Sum(p => (long)p.Tokens.Length);
        Tokens = batches.Sum(b => (long)b.Tokens.Length);
        RowsDelivered = layers.Length * prompts.Sum(p => (long)p.Positions.Length);
        RowsRead = layers.Length * batches.Sum(b => (long)b.Columns.Length);
        TokensStoppedAtCache = batches.Where(b => b.StopsAtCache).Sum(b => (long)b.Tokens.Length - b.Columns.Length);
    }

    /// <summary>The prompts, P.</summary>
    public IReadOnlyList<CapturePrompt> Prompts { get; }

    /// <summary>Wanted layers, strictly ascending; possibly none where logits are wanted.</summary>
    public IReadOnlyList<int> Layers { get; }

    /// <summary>Whether the logits of the wanted positions are handed out too, which takes the whole network and the vocabulary head for them.</summary>
    public bool Logits { get; }

    /// <summary>Blocks of the model, L.</summary>
    public int LayerCount { get; }

    /// <summary>D.</summary>
    public int HiddenSize { get; }

    /// <summary>What the plan was allowed to use.</summary>
    public CaptureLimits Limits { get; }

    /// <summary>Batches: calls to llama_decode, or two where the wanted tokens follow in a call of their own.</summary>
    public int BatchCount => Batches.Length;

    /// <summary>Tokens of all prompts together.</summary>
    public long PromptTokens { get; }

    /// <summary>Tokens that are decoded.</summary>
    public long Tokens { get; }

    /// <summary>Tokens that are not decoded, because another prompt begins with the same ones.</summary>
    public long SharedTokens => PromptTokens - Tokens;

    /// <summary>Decoded tokens that go no further in the last computed block than their keys and values.</summary>
    public long TokensStoppedAtCache { get; }

    /// <summary>Blocks that are computed; the graph stops behind the last wanted layer where it can.</summary>
    public int LayersRun => Limits.StopEarly && !Logits ? Layers[^1] + 1 : LayerCount;

    /// <summary>Rows handed to the sink: positions of all prompts times wanted layers. A shared row is handed out once for each prompt.</summary>
    public long RowsDelivered { get; }

    /// <summary>Rows that leave the device; a shared row leaves it once.</summary>
    public long RowsRead { get; }

    /// <summary>Bytes of hidden states that leave the device, F32. Logits come on top of it.</summary>
    public long BytesRead => RowsRead * HiddenSize * sizeof(float);

    /// <summary>Work of this plan: decoded tokens times computed blocks.</summary>
    public long TokenLayers => Tokens * LayersRun;

    /// <summary>Work of a full prefill of every prompt: all tokens times all blocks (and it would compute the vocabulary head besides).</summary>
    public long FullTokenLayers => PromptTokens * LayerCount;

    /// <summary>The batches, in the order in which they must be decoded.</summary>
    internal CaptureBatch[] Batches { get; }

    /// <summary>Most KV cells in use at any time.</summary>
    internal int Cells => Batches.Length == 0 ? 0 : Batches.Max(b => b.Retained.Max() + b.Tokens.Length);

    /// <summary>Most rows of the last block, or of logits, that one batch asks for; 0 when neither is wanted.</summary>
    internal int Outputs => ReachesLastRows(Layers, Logits, LayerCount) && Batches.Length > 0 ? Batches.Max(b => b.Columns.Length) : 0;

    /// <summary>Makes a plan.</summary>
    /// <param name="prompts">P prompts, possibly none.</param>
    /// <param name="layers">Wanted layers, strictly ascending, each in [0, L); at least one, unless logits are wanted.</param>
    /// <param name="layerCount">L.</param>
    /// <param name="hiddenSize">D.</param>
    /// <param name="limits">What may be used.</param>
    /// <param name="logits">Whether the logits of the wanted positions are wanted.</param>
    /// <exception cref="ArgumentException">The layers are not as described, or a limit is below 1.</exception>
    public static CapturePlan Create(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers, int layerCount, int hiddenSize, CaptureLimits limits, bool logits = false)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.BatchTokens, 1, nameof(limits));
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.Cells, 1, nameof(limits));
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.MaxSequences, 1, nameof(limits));
        ArgumentOutOfRangeException.ThrowIfLessThan(limits.MaxOutputs, 1, nameof(limits));
        if (layers.Count == 0 && !logits) throw new ArgumentException("At least one layer must be wanted.", nameof(layers));
        for (int i = 0; i < layers.Count; i++)
        {
            if (layers[i] < 0 || layers[i] >= layerCount || (i > 0 && layers[i] <= layers[i - 1]))
                throw new ArgumentException($"Layers must ascend and lie in [0, {layerCount}).", nameof(layers));
        }

        // Only the last block drops the rows that nobody asked for, and only there is the number of rows limited.
        bool lastRows = ReachesLastRows(layers, logits, layerCount);
        int mostRows = lastRows ? limits.MaxOutputs : int.MaxValue;
        bool stopAtCache = limits is { StopEarly: true, StopAtCache: true } && !lastRows;
        var tree = PrefixTree.Build(prompts, limits.SharePrefixes);

        // As few batches as possible, and then of equal size: the tokens of a small batch cost more each than those of a large one.
        CaptureBatch[] batches = Cut(tree, limits.BatchTokens, limits, mostRows, stopAtCache);
        if (batches.Length > 1
            && Cut(tree, (tree.Count + batches.Length - 1) / batches.Length, limits, mostRows, stopAtCache) is var even && even.Length == batches.Length)
        {
            batches = even;
        }

        return new CapturePlan(prompts, [.. layers], logits, layerCount, hiddenSize, limits, batches);
    }

    // Whether rows are wanted that llama.cpp computes only where it is told to.
    private static bool ReachesLastRows(IReadOnlyList<int> layers, bool logits, int layerCount) => logits || layers[^1] == layerCount - 1;

    private static CaptureBatch[] Cut(PrefixTree tree, int size, CaptureLimits limits, int mostRows, bool stopAtCache)
    {
        var batches = new List<CaptureBatch>();
        for (int start = 0; start < tree.Count;)
        {
            // What is retained are the tokens above the first one; the chains behind it branch off higher up.
            int most = Math.Clamp(limits.Cells - tree.Depth(start), 1, size);
            int end = start, rows = 0, chains = 0;
            for (; end < tree.Count && end - start < most; end++)
            {
                if (end == start || tree.StartsChain(end)) chains++;
                if (tree.IsWanted(end)) rows++;
                if (chains > limits.MaxSequences || rows > mostRows) break;
            }

            batches.Add(CaptureBatch.Create(tree, start, end, stopAtCache));
            start = end;
        }

        return [.. batches];
    }
}
