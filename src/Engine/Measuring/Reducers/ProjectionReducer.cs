using System.Runtime.InteropServices;
using System.Security.Cryptography;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Projections of each row on directions, its norm, and the mean row: parts "projections" (N, K), "norms" (N) and "mean" (D), all in the
/// model's activation units. Nothing of size (N, D) is kept.
/// </summary>
public sealed class ProjectionReducer : Reducer
{
    private readonly float[] _directions;

    /// <summary>Makes the reducer.</summary>
    /// <param name="directions">(K, D) row-major.</param>
    /// <param name="count">K.</param>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    public ProjectionReducer(ReadOnlySpan<float> directions, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (directions.Length == 0 || directions.Length % count != 0)
            throw new ArgumentException($"{directions.Length} values are not {count} directions of one length.", nameof(directions));
        _directions = directions.ToArray();
        Count = count;
        Identity = $"projections 1 {count} {Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<float>(_directions)))}";
    }

    /// <summary>K.</summary>
    public int Count { get; }

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return sizeof(double) * ((prompts.Rows * (Count + 1)) + width);
    }

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width)
    {
        if (_directions.Length != (long)Count * width)
            throw new ArgumentException($"The directions have {_directions.Length / Count} values, but the model's hidden size is {width}.", nameof(width));
        return new State(this, prompts, width);
    }

    private sealed class State : Accumulator
    {
        private readonly ProjectionReducer _reducer;
        private readonly RowIndex _index;
        private readonly int _width;
        private readonly bool[] _seen;
        private readonly double[] _projections;
        private readonly double[] _norms;
        private readonly double[] _sum;

        internal State(ProjectionReducer reducer, PromptSet prompts, int width)
        {
            _reducer = reducer;
            _index = new RowIndex(prompts);
            _width = width;
            _seen = new bool[_index.Rows];
            _projections = new double[checked(_index.Rows * reducer.Count)];
            _norms = new double[_index.Rows];
            _sum = new double[width];
        }

        public override void Add(in RowBlock rows)
        {
            int first = _index.Of(rows.Prompt, rows.Slot);
            KernelSet kernels = KernelSets.Default;
            kernels.Project(rows.States, _reducer._directions, _width, _projections.AsSpan(first * _reducer.Count, rows.Count * _reducer.Count));
            kernels.RowNorms(rows.States, _width, _norms.AsSpan(first, rows.Count));
            kernels.AddRows(rows.States, _sum);
            _seen.AsSpan(first, rows.Count).Fill(true);
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            for (int row = 0; row < _seen.Length; row++)
            {
                if (!state._seen[row]) continue;
                _seen[row] = true;
                _norms[row] = state._norms[row];
                state._projections.AsSpan(row * _reducer.Count, _reducer.Count).CopyTo(_projections.AsSpan(row * _reducer.Count));
            }

            for (int d = 0; d < _sum.Length; d++) _sum[d] += state._sum[d];
        }

        public override CellResult Finish()
        {
            int broken = _norms.Count(n => !double.IsFinite(n));
            if (broken > 0)
                throw new EmScanException($"the hidden states of {broken} of {_norms.Length} prompts hold NaN or infinity; the weights are damaged or overflow.");
            double[] mean = Array.ConvertAll(_sum, s => (double)(float)(s / _norms.Length));
            return new CellResult(("projections", _projections), ("norms", _norms), ("mean", mean));
        }
    }
}
