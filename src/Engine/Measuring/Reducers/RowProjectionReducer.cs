using System.Runtime.InteropServices;
using System.Security.Cryptography;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Projections of every single row on directions: part "projections" (N, K), prompt by prompt and position by position, in the model's
/// activation units, rounded to float32. For texts that are looked at token by token; everything else takes means
/// (<see cref="ProjectionReducer"/>).
/// </summary>
internal sealed class RowProjectionReducer : Reducer
{
    private readonly float[] _directions;

    /// <summary>Makes the reducer.</summary>
    /// <param name="directions">(K, D) row-major.</param>
    /// <param name="count">K.</param>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    internal RowProjectionReducer(ReadOnlySpan<float> directions, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (directions.Length == 0 || directions.Length % count != 0)
            throw new ArgumentException($"{directions.Length} values are not {count} directions of one length.", nameof(directions));
        _directions = directions.ToArray();
        Count = count;
        Identity = $"row projections 1 {count} {Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<float>(_directions)))}";
    }

    /// <summary>K.</summary>
    internal int Count { get; }

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width) => sizeof(double) * prompts.Rows * Count;

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width)
    {
        if (_directions.Length != (long)Count * width)
            throw new ArgumentException($"The directions have {_directions.Length / Count} values, but the model's hidden size is {width}.", nameof(width));
        return new State(this, prompts, width);
    }

    private sealed class State : Accumulator
    {
        private readonly RowProjectionReducer _reducer;
        private readonly int _width;
        private readonly int[] _firstRow; // of each prompt
        private readonly double[] _projections;

        internal State(RowProjectionReducer reducer, PromptSet prompts, int width)
        {
            (_reducer, _width) = (reducer, width);
            _firstRow = new int[prompts.Prompts.Count];
            for (int p = 1; p < _firstRow.Length; p++)
                _firstRow[p] = _firstRow[p - 1] + (prompts.Pooling == RowPooling.MeanOfPrompt ? 1 : prompts.Prompts[p - 1].Positions.Length);
            _projections = new double[checked((int)prompts.Rows * reducer.Count)];
        }

        public override void Add(in RowBlock rows)
        {
            int count = _reducer.Count;
            KernelSets.Default.Project(rows.States, _reducer._directions, _width, _projections.AsSpan((_firstRow[rows.Prompt] + rows.Slot) * count, rows.Count * count));
        }

        public override void Merge(Accumulator other)
        {
            double[] more = Same<State>(other)._projections;
            for (int i = 0; i < more.Length; i++) _projections[i] += more[i];
        }

        public override CellResult Finish() => new(("projections", Array.ConvertAll(_projections, p => (double)(float)p)));
    }
}
