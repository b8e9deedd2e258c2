using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>The share of sum ||d||^2, d = h - h_base, that lies along a direction: part "along"; left out where there is no change.</summary>
internal sealed class AlongReducer : Reducer
{
    private readonly float[] _unit;

    /// <summary>Makes the reducer.</summary>
    /// <param name="direction">(D), of any length but zero.</param>
    /// <exception cref="ArgumentException">The direction is zero or not finite.</exception>
    public AlongReducer(ReadOnlySpan<double> direction)
    {
        double norm = TensorPrimitives.Norm(direction);
        if (norm == 0 || !double.IsFinite(norm)) throw new ArgumentException("A direction must not be zero.", nameof(direction));
        _unit = new float[direction.Length];
        for (int d = 0; d < _unit.Length; d++) _unit[d] = (float)(direction[d] / norm);
        Identity = $"difference along 1 {Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<float>(_unit)))}";
    }

    /// <inheritdoc/>
    public override string Identity { get; }

    /// <inheritdoc/>
    public override bool NeedsBase => true;

    /// <inheritdoc/>
    public override Accumulator Start(PromptSet prompts, int width) => new State(_unit, width);

    private sealed class State(float[] unit, int width) : Accumulator
    {
        private double[] _values = [];
        private double _along;
        private double _energy;

        public override void Add(in RowBlock rows)
        {
            if (_values.Length < rows.Count) _values = new double[rows.Count];
            Span<double> values = _values.AsSpan(0, rows.Count);
            KernelSets.Default.Project(rows.Difference, unit, width, values);
            _along += TensorPrimitives.SumOfSquares<double>(values);
            KernelSets.Default.RowNorms(rows.Difference, width, values);
            _energy += TensorPrimitives.SumOfSquares<double>(values);
        }

        public override void Merge(Accumulator other)
        {
            State state = Same<State>(other);
            _along += state._along;
            _energy += state._energy;
        }

        public override CellResult Finish() => _energy > 0 ? new CellResult(("along", [_along / _energy])) : new CellResult();
    }
}
