using System.Numerics.Tensors;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>Hands rows on to the accumulators that want them, with the base's rows beside them.</summary>
internal sealed class RowSink : ILogitSink
{
    private const int Logits = -1; // in the place of a layer

    private readonly PromptSet[] _sets;
    private readonly int _width;
    private readonly BaseRows? _base;
    private readonly int _vocabulary;
    private readonly Dictionary<(int Set, int Layer), CellSubscription[]> _subscriptions = [];
    private readonly Dictionary<(int Set, int Prompt, int Layer), PromptPool> _pools = [];
    private PromptPiece _piece;
    private float[] _difference = [];

    internal RowSink(PromptPiece piece, PromptSet[] sets, CellSubscription[] subscriptions, int width, BaseRows? baseRows, int vocabulary = 0)
    {
        _piece = piece;
        _sets = sets;
        _width = width;
        _base = baseRows;
        _vocabulary = vocabulary;
        for (int s = 0; s < sets.Length; s++)
        {
            foreach (IGrouping<int, CellSubscription> layer in subscriptions.Where(x => x.Cell.Prompts == sets[s]).GroupBy(x => x.Cell.Layer ?? Logits))
                _subscriptions.Add((s, layer.Key), [.. layer]);
        }
    }

    internal List<CapturePrompt> PairedPrompts { get; } = [];

    internal IHiddenStateSink BaseSink => _base!;

    internal void Begin(PromptPiece piece, bool[] paired)
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
        PromptOrigin origin = _piece.Origins[promptIndex];
        if (!_subscriptions.TryGetValue((origin.Set, layer), out CellSubscription[]? wanted)) return;
        ReadOnlySpan<float> beside = _base == null ? default : _base.Rows(promptIndex, layer, firstPosition, states.Length);
        int slot = origin.Slot + firstPosition, count = states.Length / _width;
        if (_sets[origin.Set].Pooling == RowPooling.MeanOfPrompt)
        {
            var key = (origin.Set, origin.Prompt, layer);
            if (!_pools.TryGetValue(key, out PromptPool? pool)) _pools.Add(key, pool = new PromptPool(_width, beside.Length > 0));
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

        foreach (CellSubscription subscription in wanted)
            subscription.Accumulator.Add(new RowBlock(origin.Prompt, slot, count, states, beside, difference));
    }

    public void AcceptLogits(int promptIndex, int firstPosition, ReadOnlySpan<float> logits)
    {
        PromptOrigin origin = _piece.Origins[promptIndex];
        if (!_subscriptions.TryGetValue((origin.Set, Logits), out CellSubscription[]? wanted)) return;
        int rows = logits.Length / _vocabulary;
        foreach (CellSubscription subscription in wanted)
            subscription.Accumulator.Add(new RowBlock(origin.Prompt, origin.Slot + firstPosition, rows, logits, default, default));
    }
}
