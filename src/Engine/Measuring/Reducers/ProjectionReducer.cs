using System.Numerics.Tensors;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Projections of rows on directions, their norms, and the mean row: parts "projections" (P, K) and "norms" (P), each the mean over the
/// prompt's rows, and "mean" (D), the mean over prompts of those means; all in the model's activation units. Nothing of size (P, D) is kept.
/// </summary>
internal sealed class ProjectionReducer : Reducer
{
    private readonly ReducerDirections _directions;

    /// <summary>Makes the reducer.</summary>
    /// <param name="directions">(K, D) row-major.</param>
    /// <param name="count">K.</param>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    public ProjectionReducer(ReadOnlySpan<float> directions, int count)
    {
        _directions = new ReducerDirections(directions, count);
        Identity = $"projections 1 {count} {_directions.Digest}";
    }

    /// <summary>K.</summary>
    public int Count => _directions.Count;

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return sizeof(double) * (((long)prompts.Prompts.Count * (Count + 1)) + (2 * width));
    }

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return new State(_directions.OfWidth(width), Count, prompts, width);
    }

    private sealed class State(float[] directions, int count, PromptSet prompts, int width) : Accumulator
    {
        private readonly int[] _rows = [.. prompts.Prompts.Select(p => prompts.Pooling == RowPooling.MeanOfPrompt ? 1 : p.Positions.Length)];
        private readonly double[] _projections = new double[checked(prompts.Prompts.Count * count)];
        private readonly double[] _norms = new double[prompts.Prompts.Count];
        private readonly double[] _sum = new double[width];
        private readonly double[] _few = new double[width]; // what several rows of one prompt add up to
        private double[] _some = []; // projections or norms of the rows at hand

        public override void Add(in RowBlock rows)
        {
            KernelSet kernels = KernelSets.Default;
            Span<double> projections = _projections.AsSpan(rows.Prompt * count, count);
            if (_rows[rows.Prompt] == 1)
            {
                kernels.Project(rows.States, directions, width, projections);
                kernels.RowNorms(rows.States, width, _norms.AsSpan(rows.Prompt, 1));
                kernels.AddRows(rows.States, _sum);
                return;
            }

            double share = 1.0 / _rows[rows.Prompt];
            if (_some.Length < rows.Count * count) _some = new double[rows.Count * count];
            kernels.Project(rows.States, directions, width, _some.AsSpan(0, rows.Count * count));
            for (int r = 0; r < rows.Count; r++) TensorPrimitives.MultiplyAdd(_some.AsSpan(r * count, count), share, projections, projections);
            kernels.RowNorms(rows.States, width, _some.AsSpan(0, rows.Count));
            _norms[rows.Prompt] += share * TensorPrimitives.Sum<double>(_some.AsSpan(0, rows.Count));
            Array.Clear(_few);
            kernels.AddRows(rows.States, _few);
            TensorPrimitives.MultiplyAdd(_few, share, _sum, _sum);
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            TensorPrimitives.Add(_projections, state._projections, _projections);
            TensorPrimitives.Add(_norms, state._norms, _norms);
            TensorPrimitives.Add(_sum, state._sum, _sum);
        }

        public override CellResult Finish()
        {
            int broken = _norms.Count(n => !double.IsFinite(n));
            if (broken > 0)
                throw new EmScanException($"the hidden states of {broken} of {_norms.Length} prompts hold NaN or infinity; the weights are damaged or overflow.");
            return new CellResult(("projections", _projections), ("norms", _norms), ("mean", Array.ConvertAll(_sum, s => (double)(float)(s / _norms.Length))));
        }
    }
}
