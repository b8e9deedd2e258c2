namespace EmScan.Engine.Runtime;

/// <summary>One call to llama_decode: a slice of the prefix tree. Immutable.</summary>
internal sealed class CaptureBatch
{
    private CaptureBatch(BatchToken[] tokens, int[] retained, int[] columns, RowRun[] runs, bool stopsAtCache)
    {
        Tokens = tokens;
        Retained = retained;
        Columns = columns;
        Runs = runs;
        StopsAtCache = stopsAtCache;
    }

    /// <summary>The tokens, in order; the index is the token's column in the graph.</summary>
    internal BatchToken[] Tokens { get; }

    /// <summary>
    /// For each sequence s of this batch (0, 1, ...): how many of its tokens are already in the cache, as the first ones of the sequence
    /// that the last token of the batch before belongs to.
    /// </summary>
    internal int[] Retained { get; }

    /// <summary>Columns that somebody wants, ascending. Row i of what is read from the device is column <c>Columns[i]</c>.</summary>
    internal int[] Columns { get; }

    /// <summary>Who gets which rows, by prompt and then by position.</summary>
    internal RowRun[] Runs { get; }

    /// <summary>
    /// Whether the tokens that nobody wants are decoded first, and only as far as their keys and values in the last wanted layer, and the
    /// wanted ones behind them.
    /// </summary>
    internal bool StopsAtCache { get; }

    /// <summary>Hands the wanted rows of one layer to a sink.</summary>
    /// <param name="sink">Who gets them.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="states">F32, (tokens, D), or (wanted tokens, D) where compact.</param>
    /// <param name="hiddenSize">D.</param>
    /// <param name="compact">Whether there are rows for wanted tokens only.</param>
    internal unsafe void Deliver(IHiddenStateSink sink, int layer, float* states, int hiddenSize, bool compact)
    {
        foreach (RowRun run in Runs)
        {
            float* first = states + ((long)(compact ? run.Row : run.Column) * hiddenSize);
            sink.Accept(run.Prompt, layer, run.Slot, new ReadOnlySpan<float>(first, checked(run.Count * hiddenSize)));
        }
    }

    /// <summary>Takes the nodes from <paramref name="start"/> to <paramref name="end"/>.</summary>
    /// <param name="tree">The tree.</param>
    /// <param name="start">First node.</param>
    /// <param name="end">Behind the last node.</param>
    /// <param name="stopAtCache">Whether <see cref="StopsAtCache"/> is to be, where it is possible and worth a second call.</param>
    internal static CaptureBatch Create(PrefixTree tree, int start, int end, bool stopAtCache)
    {
        // Every chain is one sequence. In depth-first order the chains below a node are consecutive: from its own to the last one that
        // branches off it or off its descendants.
        int count = end - start;
        int[] first = new int[count], last = new int[count];
        var retained = new List<int>();
        for (int i = 0; i < count; i++)
        {
            int parent = tree.Parent(start + i) - start;
            if (i == 0 || tree.StartsChain(start + i)) retained.Add(parent >= 0 ? retained[first[parent]] : tree.Depth(start + i));
            first[i] = last[i] = retained.Count - 1;
        }

        for (int i = count - 1; i >= 0; i--)
        {
            int parent = tree.Parent(start + i) - start;
            if (parent >= 0) last[parent] = Math.Max(last[parent], last[i]);
        }

        var tokens = new BatchToken[count];
        var columns = new List<int>();
        int[] rows = new int[count];
        for (int i = 0; i < count; i++)
        {
            bool wanted = tree.IsWanted(start + i);
            rows[i] = columns.Count;
            if (wanted) columns.Add(i);
            tokens[i] = new BatchToken(tree.Token(start + i), tree.Depth(start + i), first[i], last[i] - first[i] + 1, wanted);
        }

        bool stops = stopAtCache && 2 * columns.Count <= count && columns.TrueForAll(column => tree.IsLate(start + column));
        return new CaptureBatch(tokens, [.. retained], [.. columns], Group(tree.Wants(start, end), start, rows), stops);
    }

    private static RowRun[] Group(ReadOnlySpan<PrefixTree.Want> wants, int start, int[] rows)
    {
        PrefixTree.Want[] sorted = wants.ToArray();
        Array.Sort(sorted, (a, b) => (a.Prompt, a.Slot).CompareTo((b.Prompt, b.Slot)));
        var runs = new List<RowRun>();
        for (int i = 0; i < sorted.Length;)
        {
            int end = i + 1;
            while (end < sorted.Length && sorted[end].Prompt == sorted[i].Prompt && sorted[end].Node == sorted[end - 1].Node + 1) end++;
            int column = sorted[i].Node - start;
            runs.Add(new RowRun(sorted[i].Prompt, sorted[i].Slot, column, rows[column], end - i));
            i = end;
        }

        return [.. runs];
    }
}

/// <summary>A token of a batch.</summary>
/// <param name="Id">Token id.</param>
/// <param name="Position">Position in its sequences.</param>
/// <param name="FirstSequence">The lowest sequence it belongs to.</param>
/// <param name="SequenceCount">It belongs to so many, consecutive from there.</param>
/// <param name="Wanted">Whether a prompt wants its hidden state.</param>
internal readonly record struct BatchToken(int Id, int Position, int FirstSequence, int SequenceCount, bool Wanted);

/// <summary>Consecutive rows that go to one prompt.</summary>
/// <param name="Prompt">Index of the prompt.</param>
/// <param name="Slot">Index into the prompt's positions of the first row.</param>
/// <param name="Column">First column in a graph that has a column for every token.</param>
/// <param name="Row">First row where there are rows for wanted tokens only.</param>
/// <param name="Count">How many.</param>
internal readonly record struct RowRun(int Prompt, int Slot, int Column, int Row, int Count);
