using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>How the sum of squares of N rows is spread over directions: eigenvalues of X'X, or of X X', as shares p_k of their sum.</summary>
/// <remarks>Immutable; thread safe.</remarks>
internal sealed class Spectrum
{
    private readonly double[] _values;

    /// <summary>Takes the eigenvalues of a matrix that is positive semidefinite up to rounding.</summary>
    /// <param name="values">(n), descending.</param>
    public Spectrum(IEnumerable<double> values)
    {
        // Rounding can leave a sum of squares that is zero a little below it.
        _values = [.. values.Select(value => Math.Max(0, value))];
        Total = TensorPrimitives.Sum<double>(_values);
    }

    /// <summary>Sum of the squares of all entries of the rows.</summary>
    public double Total { get; }

    /// <summary>1 / sum of squared shares; NaN where there is nothing.</summary>
    public double ParticipationRatio => Total * Total / TensorPrimitives.SumOfSquares<double>(_values);

    /// <summary>The largest shares, descending.</summary>
    /// <param name="count">How many, if there are as many.</param>
    public double[] Shares(int count) => [.. _values.Take(count).Select(value => value / Total)];

    /// <summary>The least number of directions that together hold a share.</summary>
    public int DirectionsFor(double share)
    {
        double sum = 0;
        for (int k = 0; k < _values.Length; k++)
        {
            sum += _values[k] / Total;
            if (sum >= share) return k + 1;
        }

        return _values.Length;
    }
}
