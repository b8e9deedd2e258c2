using System.Numerics.Tensors;
using EmScan.Engine.Runtime;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Measures the cells of a variant in one activation source: one pass through the model feeds all reducers and layers. Where a reducer
/// needs the base model's rows beside the variant's, the prompts go through in pieces, base first and variant behind it, and only the
/// rows of one piece are kept; where accumulators need more memory than there is, layers are measured in several passes.
/// </summary>
/// <remarks>Not thread safe. No adapter is active between two calls.</remarks>
internal sealed class CellMeasurer
{
    private const int MostPlans = 8;

    private readonly IActivationSource _source;
    private readonly MeasuringLimits _limits;
    private readonly List<(PromptSet[] Sets, int[] Layers, bool Logits, CapturePlan Plan)> _plans = [];

    internal CellMeasurer(IActivationSource source, MeasuringLimits? limits = null)
    {
        _source = source;
        _limits = limits ?? MeasuringLimits.Default;
    }

    /// <summary>Measures cells of one variant.</summary>
    /// <param name="cells">All of the same variant.</param>
    /// <param name="variant">That variant, loaded.</param>
    /// <param name="cancellationToken">Checked between batches.</param>
    /// <returns>A result for each cell.</returns>
    /// <exception cref="EmScanException">The rows cannot be reduced; the sentence says why.</exception>
    internal CellResult[] Measure(IReadOnlyList<Cell> cells, LoadedVariant variant, CancellationToken cancellationToken)
    {
        var results = new CellResult[cells.Count];
        try
        {
            Generate(cells, variant, results, cancellationToken);
            foreach (int[] pass in Passes(cells))
            {
                CellResult[] measured;
                try
                {
                    measured = MeasurePass(cells, pass, variant, cancellationToken);
                }
                catch (KernelDeviceException)
                {
                    // What was added up on the device is lost with it; the device makes everything on the processor from now on.
                    measured = MeasurePass(cells, pass, variant, cancellationToken);
                }

                for (int i = 0; i < pass.Length; i++) results[pass[i]] = measured[i];
            }
        }
        finally
        {
            LoadedVariant.Clear(_source);
        }

        return results;
    }

    // What is generated is generated together: a batch of one token costs nearly what a batch of many does.
    private void Generate(IReadOnlyList<Cell> cells, LoadedVariant variant, CellResult[] results, CancellationToken cancellationToken)
    {
        foreach (IGrouping<int, int> some in Enumerable.Range(0, cells.Count).Where(i => cells[i].Reducer.Generates).GroupBy(i => ((GreedyAnswerReducer)cells[i].Reducer).MaxTokens))
        {
            variant.Apply(_source);
            int[][] answers = _source.GenerateGreedy([.. some.SelectMany(i => cells[i].Prompts.Prompts.Select(p => p.Tokens))], some.Key, cancellationToken);
            int from = 0;
            foreach (int i in some)
            {
                int count = cells[i].Prompts.Prompts.Count;
                results[i] = GreedyAnswerReducer.Result(answers.Skip(from).Take(count));
                from += count;
            }
        }
    }

    private CellResult[] MeasurePass(IReadOnlyList<Cell> cells, int[] pass, LoadedVariant variant, CancellationToken cancellationToken)
    {
        var subscriptions = new List<Subscription>(pass.Length);
        try
        {
            foreach (int i in pass) subscriptions.Add(new Subscription(cells[i], _source.HiddenSize));
            Run([.. subscriptions], variant, cancellationToken);
            return [.. subscriptions.Select(Finish)];
        }
        finally
        {
            foreach (Subscription subscription in subscriptions) (subscription.Accumulator as IDisposable)?.Dispose();
        }
    }

    // Cells in the order of their layers, as many at a time as fit into memory. An early pass stops at an early layer.
    private IEnumerable<int[]> Passes(IReadOnlyList<Cell> cells)
    {
        var pass = new List<int>();
        long bytes = 0;
        foreach (int i in Enumerable.Range(0, cells.Count).Where(i => !cells[i].Reducer.Generates).OrderBy(i => cells[i].Layer ?? int.MaxValue))
        {
            long needed = cells[i].Reducer.StateBytes(cells[i].Prompts, _source.HiddenSize);
            if (pass.Count > 0 && bytes + needed > _limits.StateBytes)
            {
                yield return [.. pass];
                pass.Clear();
                bytes = 0;
            }

            pass.Add(i);
            bytes += needed;
        }

        if (pass.Count > 0) yield return [.. pass];
    }

    private static CellResult Finish(Subscription subscription)
    {
        CellResult result = subscription.Accumulator.Finish();
        return result.IsFinite ? result : throw new EmScanException(
            $"the hidden states of '{subscription.Cell.Prompts.Name}' hold NaN or infinity{(subscription.Cell.Layer is { } layer ? $" at layer {layer}" : "")}; the weights are damaged or overflow.");
    }

    // Logits take the whole network and the head, so prompts without them go through on their own and stop early, unless they are other
    // positions of the very same sequences.
    private void Run(Subscription[] subscriptions, LoadedVariant variant, CancellationToken cancellationToken)
    {
        PromptSet[] withLogits = [.. subscriptions.Where(s => s.Cell.Reducer.ReadsLogits).Select(s => s.Cell.Prompts).Distinct()];
        HashSet<int[]> sequences = [.. withLogits.SelectMany(set => set.Prompts).Select(p => p.Tokens)];
        HashSet<PromptSet> along = [.. subscriptions.Select(s => s.Cell.Prompts).Distinct().Where(set => set.Prompts.All(p => sequences.Contains(p.Tokens)))];
        foreach (IGrouping<bool, Subscription> part in subscriptions.GroupBy(s => along.Contains(s.Cell.Prompts) && !s.Cell.Reducer.NeedsBase))
        {
            Subscription[] some = [.. part];
            PromptSet[] sets = [.. some.Select(s => s.Cell.Prompts).Distinct()];
            int[] layers = [.. some.Select(s => s.Cell.Layer).OfType<int>().Distinct().Order()];
            if (Array.Exists(some, s => s.Cell.Reducer.NeedsBase)) RunPaired(some, sets, layers, variant, cancellationToken);
            else RunAlone(some, sets, layers, part.Key, variant, cancellationToken);
        }
    }

    private void RunAlone(Subscription[] subscriptions, PromptSet[] sets, int[] layers, bool logits, LoadedVariant variant, CancellationToken cancellationToken)
    {
        Piece whole = Piece.Whole(sets);
        variant.Apply(_source);
        var sink = new RowSink(whole, sets, subscriptions, _source.HiddenSize, null, logits ? _source.VocabularySize : 0);
        _source.Capture(PlanOf(sets, layers, logits, whole), sink, cancellationToken);
    }

    private void RunPaired(Subscription[] subscriptions, PromptSet[] sets, int[] layers, LoadedVariant variant, CancellationToken cancellationToken)
    {
        int[] pairedLayers = [.. subscriptions.Where(s => s.Cell.Reducer.NeedsBase).Select(s => s.Cell.Layer!.Value).Distinct().Order()];
        bool[] paired = [.. sets.Select(set => Array.Exists(subscriptions, s => s.Cell.Reducer.NeedsBase && s.Cell.Prompts == set))];
        long rowBytes = (long)pairedLayers.Length * _source.HiddenSize * sizeof(float);
        var sink = new RowSink(Piece.Whole(sets), sets, subscriptions, _source.HiddenSize, new BaseRows(pairedLayers, _source.HiddenSize));
        foreach (Piece piece in Piece.Cut(sets, Math.Max(1, _limits.BaseRowBytes / rowBytes)))
        {
            sink.Begin(piece, paired);
            if (sink.PairedPrompts.Count > 0)
            {
                LoadedVariant.Clear(_source);
                _source.Capture(sink.PairedPrompts, pairedLayers, sink.BaseSink, cancellationToken);
            }

            variant.Apply(_source);
            _source.Capture(piece.Prompts, layers, sink, cancellationToken);
        }
    }

    // Variant after variant is measured on the same prompts: the plan is made once.
    private CapturePlan PlanOf(PromptSet[] sets, int[] layers, bool logits, Piece whole)
    {
        foreach ((PromptSet[] knownSets, int[] knownLayers, bool knownLogits, CapturePlan known) in _plans)
        {
            if (knownLogits == logits && knownSets.SequenceEqual(sets) && knownLayers.SequenceEqual(layers)) return known;
        }

        CapturePlan plan = _source.Plan(whole.Prompts, layers, logits);
        if (_plans.Count == MostPlans) _plans.RemoveAt(0);
        _plans.Add((sets, layers, logits, plan));
        return plan;
    }

    /// <summary>A cell and what becomes of its rows.</summary>
    internal sealed class Subscription(Cell cell, int width)
    {
        internal Cell Cell { get; } = cell;
        internal Accumulator Accumulator { get; } = cell.Reducer.Start(cell.Prompts, width);
    }

    /// <summary>Some prompts of some sets, or a part of a prompt's positions, that go through the model together.</summary>
    private sealed class Piece
    {
        private Piece(IReadOnlyList<Origin> origins, IReadOnlyList<CapturePrompt> prompts) => (Origins, Prompts) = (origins, prompts);

        internal IReadOnlyList<Origin> Origins { get; }
        internal IReadOnlyList<CapturePrompt> Prompts { get; }

        internal static Piece Whole(PromptSet[] sets)
        {
            Origin[] origins = [.. sets.SelectMany((set, s) => set.Prompts.Select((_, p) => new Origin(s, p, 0)))];
            return new Piece(origins, [.. origins.Select(o => sets[o.Set].Prompts[o.Prompt])]);
        }

        /// <summary>Pieces of at most so many rows, prompts that begin alike side by side, so that what they share is computed once.</summary>
        internal static IEnumerable<Piece> Cut(PromptSet[] sets, long mostRows)
        {
            var origins = new List<Origin>();
            var prompts = new List<CapturePrompt>();
            long rows = 0;
            foreach (Origin origin in Whole(sets).Origins.OrderBy(o => sets[o.Set].Prompts[o.Prompt].Tokens, TokenOrder.Instance))
            {
                CapturePrompt prompt = sets[origin.Set].Prompts[origin.Prompt];
                if (rows > 0 && rows + prompt.Positions.Length > mostRows)
                {
                    yield return new Piece([.. origins], [.. prompts]);
                    origins.Clear();
                    prompts.Clear();
                    rows = 0;
                }

                // A prompt with more rows than a piece may have goes through several times.
                for (int slot = 0; slot < prompt.Positions.Length;)
                {
                    int taken = (int)Math.Min(prompt.Positions.Length - slot, mostRows);
                    bool all = taken == prompt.Positions.Length;
                    origins.Add(origin with { Slot = slot });
                    prompts.Add(all ? prompt : new CapturePrompt(prompt.Tokens, prompt.Positions[slot..(slot + taken)]));
                    rows += taken;
                    slot += taken;
                    if (slot >= prompt.Positions.Length) continue;
                    yield return new Piece([.. origins], [.. prompts]);
                    origins.Clear();
                    prompts.Clear();
                    rows = 0;
                }
            }

            if (prompts.Count > 0) yield return new Piece(origins, prompts);
        }
    }

    /// <summary>Where a prompt of a piece comes from.</summary>
    private readonly record struct Origin(int Set, int Prompt, int Slot);

    private sealed class TokenOrder : IComparer<int[]>
    {
        internal static TokenOrder Instance { get; } = new();

        public int Compare(int[]? x, int[]? y) => x.AsSpan().SequenceCompareTo(y.AsSpan());
    }

    /// <summary>Hands rows on to the accumulators that want them, with the base's rows beside them.</summary>
    private sealed class RowSink : ILogitSink
    {
        private const int Logits = -1; // in the place of a layer

        private readonly PromptSet[] _sets;
        private readonly int _width;
        private readonly BaseRows? _base;
        private readonly int _vocabulary;
        private readonly Dictionary<(int Set, int Layer), Subscription[]> _subscriptions = [];
        private readonly Dictionary<(int Set, int Prompt, int Layer), Pool> _pools = [];
        private Piece _piece;
        private float[] _difference = [];

        internal RowSink(Piece piece, PromptSet[] sets, Subscription[] subscriptions, int width, BaseRows? baseRows, int vocabulary = 0)
        {
            _piece = piece;
            _sets = sets;
            _width = width;
            _base = baseRows;
            _vocabulary = vocabulary;
            for (int s = 0; s < sets.Length; s++)
            {
                foreach (IGrouping<int, Subscription> layer in subscriptions.Where(x => x.Cell.Prompts == sets[s]).GroupBy(x => x.Cell.Layer ?? Logits))
                    _subscriptions.Add((s, layer.Key), [.. layer]);
            }
        }

        internal List<CapturePrompt> PairedPrompts { get; } = [];

        internal IHiddenStateSink BaseSink => _base!;

        internal void Begin(Piece piece, bool[] paired)
        {
            _piece = piece;
            PairedPrompts.Clear();
            int[] pairedIndex = new int[piece.Prompts.Count];
            for (int i = 0; i < pairedIndex.Length; i++)
            {
                pairedIndex[i] = -1;
                if (!paired[piece.Origins[i].Set]) continue;
                pairedIndex[i] = PairedPrompts.Count;
                PairedPrompts.Add(piece.Prompts[i]);
            }

            _base!.Begin(PairedPrompts, pairedIndex);
        }

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
        {
            Origin origin = _piece.Origins[promptIndex];
            if (!_subscriptions.TryGetValue((origin.Set, layer), out Subscription[]? wanted)) return;
            ReadOnlySpan<float> beside = _base == null ? default : _base.Rows(promptIndex, layer, firstPosition, states.Length);
            int slot = origin.Slot + firstPosition, count = states.Length / _width;
            if (_sets[origin.Set].Pooling == RowPooling.MeanOfPrompt)
            {
                var key = (origin.Set, origin.Prompt, layer);
                if (!_pools.TryGetValue(key, out Pool? pool)) _pools.Add(key, pool = new Pool(_width, beside.Length > 0));
                pool.Add(states, beside);
                if (pool.Count < _sets[origin.Set].Prompts[origin.Prompt].Positions.Length) return;
                _pools.Remove(key);
                states = pool.Mean();
                beside = pool.BaseMean();
                (slot, count) = (0, 1);
            }

            Span<float> difference = default;
            if (beside.Length > 0)
            {
                if (_difference.Length < states.Length) _difference = new float[states.Length];
                difference = _difference.AsSpan(0, states.Length);
                TensorPrimitives.Subtract(states, beside, difference);
            }

            foreach (Subscription subscription in wanted)
                subscription.Accumulator.Add(new RowBlock(origin.Prompt, slot, count, states, beside, difference));
        }

        public void AcceptLogits(int promptIndex, int firstPosition, ReadOnlySpan<float> logits)
        {
            Origin origin = _piece.Origins[promptIndex];
            if (!_subscriptions.TryGetValue((origin.Set, Logits), out Subscription[]? wanted)) return;
            int rows = logits.Length / _vocabulary;
            foreach (Subscription subscription in wanted)
                subscription.Accumulator.Add(new RowBlock(origin.Prompt, origin.Slot + firstPosition, rows, logits, default, default));
        }
    }

    /// <summary>The base model's rows of one piece.</summary>
    private sealed class BaseRows(int[] layers, int width) : IHiddenStateSink
    {
        private float[] _rows = [];
        private long[] _start = []; // of each paired prompt
        private int[] _slots = [];
        private int[] _pairedIndex = [];

        internal void Begin(List<CapturePrompt> prompts, int[] pairedIndex)
        {
            _pairedIndex = pairedIndex;
            _start = new long[prompts.Count];
            _slots = [.. prompts.Select(p => p.Positions.Length)];
            long length = 0;
            for (int i = 0; i < prompts.Count; i++)
            {
                _start[i] = length;
                length += (long)_slots[i] * layers.Length * width;
            }

            if (_rows.Length < length) _rows = new float[length];
        }

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) =>
            states.CopyTo(_rows.AsSpan(Offset(promptIndex, layer, firstPosition), states.Length));

        internal ReadOnlySpan<float> Rows(int promptIndex, int layer, int firstPosition, int length) =>
            _pairedIndex[promptIndex] < 0 || Array.BinarySearch(layers, layer) < 0 ? default : _rows.AsSpan(Offset(_pairedIndex[promptIndex], layer, firstPosition), length);

        private int Offset(int paired, int layer, int slot) =>
            (int)(_start[paired] + (((long)Array.BinarySearch(layers, layer) * _slots[paired]) + slot) * width);
    }

    /// <summary>The mean over the positions of a prompt.</summary>
    private sealed class Pool(int width, bool paired)
    {
        private readonly double[] _sum = new double[width];
        private readonly double[] _baseSum = paired ? new double[width] : [];

        internal int Count { get; private set; }

        internal void Add(ReadOnlySpan<float> states, ReadOnlySpan<float> beside)
        {
            Kernels.KernelSets.Default.AddRows(states, _sum);
            if (_baseSum.Length > 0) Kernels.KernelSets.Default.AddRows(beside, _baseSum);
            Count += states.Length / width;
        }

        internal float[] Mean() => Array.ConvertAll(_sum, s => (float)(s / Count));

        internal float[] BaseMean() => Array.ConvertAll(_baseSum, s => (float)(s / Count));
    }
}

/// <summary>How much memory measuring may take beside the model.</summary>
/// <param name="BaseRowBytes">For the base model's rows of one piece.</param>
/// <param name="StateBytes">For the accumulators of one pass.</param>
internal sealed record MeasuringLimits(long BaseRowBytes, long StateBytes)
{
    internal static MeasuringLimits Default { get; } = new(128L << 20, 1L << 30);
}
