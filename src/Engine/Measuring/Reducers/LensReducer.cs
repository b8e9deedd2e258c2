using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace EmScan.Engine.Measuring;

/// <summary>
/// What the model's head makes of a change, over N rows: "shift" (D), the mean of N(h) - N(h_base) with N the final norm, whose product with
/// the vocabulary matrix is the mean change of the logits; and with a group of tokens "group_base" and "group", the mean probability of the
/// group when nothing followed, before and after. Works with the base's head.
/// </summary>
internal sealed class LensReducer : Reducer
{
    private readonly Lens _lens;
    private readonly int[] _group;

    /// <summary>Makes the reducer.</summary>
    /// <param name="lens">The model's head; outlives all accumulators.</param>
    /// <param name="group">Token ids; may be empty.</param>
    public LensReducer(Lens lens, IReadOnlyCollection<int> group)
    {
        ArgumentNullException.ThrowIfNull(lens);
        ArgumentNullException.ThrowIfNull(group);
        _lens = lens;
        _group = [.. group.Distinct().Order()];
        Identity = $"lens 1 {Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<int>(_group)))}";
    }

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override bool NeedsBase => true;

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width) => 2L * sizeof(float) * width * (_group.Length > 0 ? Lens.MostRows : 1);

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(_lens, _group, width);

    private sealed class State(Lens lens, int[] group, int width) : Accumulator
    {
        private readonly double[] _shift = new double[width];
        private readonly List<float> _waiting = []; // rows that wait for the vocabulary to pass, base and variant by turns
        private float[] _before = [];
        private float[] _after = [];
        private long _rows;
        private double _groupBase;
        private double _group;

        public override void Add(in RowBlock rows)
        {
            int length = rows.States.Length;
            if (_before.Length < length) (_before, _after) = (new float[length], new float[length]);
            Span<float> before = _before.AsSpan(0, length), after = _after.AsSpan(0, length);
            lens.Normalize(rows.Base, before);
            lens.Normalize(rows.States, after);
            for (int r = 0; r < rows.Count; r++)
            {
                for (int d = 0; d < width; d++) _shift[d] += (double)after[(r * width) + d] - before[(r * width) + d];
                if (group.Length == 0) continue;
                _waiting.AddRange(rows.Base.Slice(r * width, width));
                _waiting.AddRange(rows.States.Slice(r * width, width));
                if (_waiting.Count >= (long)Lens.MostRows * width) Pass();
            }

            _rows += rows.Count;
        }

        private void Pass()
        {
            if (_waiting.Count == 0) return;
            IReadOnlyList<LensReading> readings = lens.Read(CollectionsMarshal.AsSpan(_waiting), new LensRequest { Group = group });
            for (int i = 0; i < readings.Count; i += 2)
            {
                _groupBase += readings[i].GroupProbability;
                _group += readings[i + 1].GroupProbability;
            }

            _waiting.Clear();
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            state.Pass();
            TensorPrimitives.Add(_shift, state._shift, _shift);
            _rows += state._rows;
            _groupBase += state._groupBase;
            _group += state._group;
        }

        public override CellResult Finish()
        {
            Pass();
            var parts = new List<(string, double[])> { ("shift", Array.ConvertAll(_shift, s => s / _rows)) };
            if (group.Length > 0) parts.AddRange([("group_base", [_groupBase / _rows]), ("group", [_group / _rows])]);
            return new CellResult([.. parts]);
        }
    }
}
