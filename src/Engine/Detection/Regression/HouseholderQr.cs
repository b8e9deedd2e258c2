using System.Numerics.Tensors;

namespace EmScan.Engine.Detection.Regression;

/// <summary>A = Q R for a matrix A of n columns of m values, m >= n, by Householder reflections, float64.</summary>
/// <remarks>
/// Least squares through Q R loses half as many digits as through A'A and cannot fail on nearly dependent columns. Q is kept as the product
/// of reflections I - v v' with v'v = 2, one a column. Source: Golub and Van Loan, Matrix Computations, section 5.2.
/// </remarks>
internal sealed class HouseholderQr
{
    private readonly double[][] _columns; // column k: R[i, k] at i < k, then v_k
    private readonly double[] _diagonal;  // R[k, k]

    /// <summary>Factorises; the columns are overwritten and kept.</summary>
    public HouseholderQr(double[][] columns)
    {
        _columns = columns;
        _diagonal = new double[columns.Length];
        for (int k = 0; k < columns.Length; k++)
        {
            Span<double> v = columns[k].AsSpan(k);
            double norm = TensorPrimitives.Norm<double>(v);
            if (norm == 0) continue; // v is zero, the reflection is the identity
            // v = (x / norm - target e) / sqrt(1 + |x_0| / norm) with target of the sign opposite to x_0: no cancellation.
            _diagonal[k] = v[0] > 0 ? -norm : norm;
            double head = 1 + (Math.Abs(v[0]) / norm);
            TensorPrimitives.Divide(v, norm * Math.Sqrt(head), v);
            v[0] = (_diagonal[k] > 0 ? -1 : 1) * Math.Sqrt(head);
            for (int j = k + 1; j < columns.Length; j++) Reflect(k, columns[j]);
        }
    }

    /// <summary>R[i, j], zero below the diagonal.</summary>
    public double R(int i, int j) => i < j ? _columns[j][i] : i == j ? _diagonal[i] : 0;

    /// <summary>Overwrites a vector (m) with Q' times it.</summary>
    public void ApplyTranspose(Span<double> vector)
    {
        for (int k = 0; k < _columns.Length; k++) Reflect(k, vector);
    }

    /// <summary>Overwrites a vector (m) with Q times it.</summary>
    public void Apply(Span<double> vector)
    {
        for (int k = _columns.Length - 1; k >= 0; k--) Reflect(k, vector);
    }

    /// <summary>Overwrites a vector (n) with R^-1 times it.</summary>
    public void SolveUpper(Span<double> vector)
    {
        for (int k = _columns.Length - 1; k >= 0; k--)
        {
            vector[k] /= _diagonal[k];
            TensorPrimitives.MultiplyAdd(_columns[k].AsSpan(0, k), -vector[k], vector[..k], vector[..k]);
        }
    }

    /// <summary>Overwrites a vector (n) with R'^-1 times it.</summary>
    public void SolveLower(Span<double> vector)
    {
        for (int k = 0; k < _columns.Length; k++)
            vector[k] = (vector[k] - TensorPrimitives.Dot(_columns[k].AsSpan(0, k), vector[..k])) / _diagonal[k];
    }

    private void Reflect(int k, Span<double> vector)
    {
        ReadOnlySpan<double> v = _columns[k].AsSpan(k);
        Span<double> tail = vector[k..];
        TensorPrimitives.MultiplyAdd(v, -TensorPrimitives.Dot(v, tail), tail, tail);
    }
}
