using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Projections of every single row on directions: part "projections" (N, K), prompt by prompt and position by position, in the model's
/// activation units, rounded to float32. For texts that are looked at token by token; everything else takes means
/// (<see cref="ProjectionReducer"/>).
/// </summary>
internal sealed class RowProjectionReducer : Reducer
{
    private readonly ReducerDirections _directions;

    /// <summary>Makes the reducer.</summary>
    /// <param name="directions">(K, D) row-major.</param>
    /// <param name="count">K.</param>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    internal RowProjectionReducer(ReadOnlySpan<float> directions, int count)
    {
        _directions = new ReducerDirections(directions, count);
        Identity = $"row projections 1 {count} {_directions.Digest}";
    }

    /// <summary>K.</summary>
    internal int Count => _directions.Count;

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width) => sizeof(double) * prompts.Rows * Count;

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(_directions.OfWidth(width), Count, prompts, width);

    private sealed class State : Accumulator
    {
        private readonly float[] _directions;
        private readonly int _count, _width;
        private readonly int[] _firstRow; // of each prompt
        private readonly double[] _projections;

        internal State(float[] directions, int count, PromptSet prompts, int width)
        {
            (_directions, _count, _width) = (directions, count, width);
            _firstRow = new int[prompts.Prompts.Count];
            for (int p = 1; p < _firstRow.Length; p++)
                _firstRow[p] = _firstRow[p - 1] + (prompts.Pooling == RowPooling.MeanOfPrompt ? 1 : prompts.Prompts[p - 1].Positions.Length);
            _projections = new double[checked((int)prompts.Rows * count)];
        }

        public override void Add(in RowBlock rows) => KernelSets.Default.Project(
            rows.States, _directions, _width, _projections.AsSpan((_firstRow[rows.Prompt] + rows.Slot) * _count, rows.Count * _count));

        public override void Merge(Accumulator other)
        {
            double[] more = Same<State>(other)._projections;
            for (int i = 0; i < more.Length; i++) _projections[i] += more[i];
        }

        public override CellResult Finish() => new(("projections", Array.ConvertAll(_projections, p => (double)(float)p)));
    }
}
