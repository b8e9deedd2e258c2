using System.Numerics.Tensors;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Sizes of the change d = h - h_base of N rows: parts "rows" N, "base_norm" mean ||h_base||, "mean_norm" mean ||d||, "energy" mean ||d||^2
/// and "mean" m = mean d, (D); in the model's activation units.
/// </summary>
internal sealed class DifferenceReducer : Reducer
{
    /// <inheritdoc/>
    public override string Identity => "difference 1";

    /// <inheritdoc/>
    public override bool NeedsBase => true;

    /// <inheritdoc/>
    public override long StateBytes(PromptSet prompts, int width) => sizeof(double) * width;

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(width);

    private sealed class State(int width) : Accumulator
    {
        private readonly double[] _sum = new double[width];
        private double[] _norms = [];
        private long _rows;
        private double _baseNorm;
        private double _norm;
        private double _energy;

        public override void Add(in RowBlock rows)
        {
            if (_norms.Length < rows.Count) _norms = new double[rows.Count];
            Span<double> norms = _norms.AsSpan(0, rows.Count);
            KernelSets.Default.RowNorms(rows.Base, width, norms);
            _baseNorm += TensorPrimitives.Sum<double>(norms);
            KernelSets.Default.RowNorms(rows.Difference, width, norms);
            _norm += TensorPrimitives.Sum<double>(norms);
            _energy += TensorPrimitives.SumOfSquares<double>(norms);
            KernelSets.Default.AddRows(rows.Difference, _sum);
            _rows += rows.Count;
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            TensorPrimitives.Add(_sum, state._sum, _sum);
            _rows += state._rows;
            _baseNorm += state._baseNorm;
            _norm += state._norm;
            _energy += state._energy;
        }

        public override CellResult Finish() => new(
            ("rows", [_rows]), ("base_norm", [_baseNorm / _rows]), ("mean_norm", [_norm / _rows]), ("energy", [_energy / _rows]),
            ("mean", Array.ConvertAll(_sum, s => s / _rows)));
    }
}
