using System.Numerics.Tensors;

namespace EmScan.Engine.Drift;

/// <summary>All eigenvalues and eigenvectors of a small symmetric matrix, float64, by the cyclic Jacobi method.</summary>
/// <remarks>
/// Each rotation zeroes one off-diagonal element; sweeps go on until none exceeds 2^-53 / n of the Frobenius norm, so that eigenvalues are
/// right to a few 1e-16 of the largest one and the vectors are orthogonal to rounding even where eigenvalues are equal. Costs about 6
/// sweeps of 3 n^3 multiplications: meant for K x K matrices of traits, not for hidden sizes. Source: Golub and Van Loan, Matrix
/// Computations, section 8.5. Same matrix, same result. Immutable; thread safe.
/// </remarks>
internal sealed class SymmetricEigen
{
    /// <summary>The method converges quadratically and needs 5 to 10 sweeps; this many means that the input was not a finite
    /// matrix.</summary>
    private const int MaxSweeps = 60;

    private readonly int _n;
    private readonly double[] _vectors; // (n, n), row i is the eigenvector of Values[i]

    /// <summary>Decomposes a matrix, which is left as it is.</summary>
    /// <param name="matrix">(n, n) row-major, symmetric, finite.</param>
    /// <param name="n">Order, at least 1.</param>
    /// <exception cref="ArgumentException">The matrix holds values that are not finite, or so large that their squares are not.</exception>
    public SymmetricEigen(ReadOnlySpan<double> matrix, int n)
    {
        _n = n;
        double[] a = matrix[..(n * n)].ToArray();
        var v = new double[n * n];
        for (int i = 0; i < n; i++) v[i * n + i] = 1;
        double negligible = TensorPrimitives.Norm<double>(a) * double.Exp2(-53) / n;
        if (!double.IsFinite(negligible)) throw new ArgumentException("The matrix is not finite.", nameof(matrix));
        for (int sweep = 0; Sweep(a, v, negligible); sweep++)
        {
            if (sweep == MaxSweeps) throw new ArgumentException("The matrix is not symmetric.", nameof(matrix));
        }

        int[] order = [.. Enumerable.Range(0, n).OrderByDescending(i => a[i * n + i])];
        Values = [.. order.Select(i => a[i * n + i])];
        _vectors = [.. order.SelectMany(i => v.AsSpan(i * n, n).ToArray())];
    }

    /// <summary>Eigenvalues, (n), descending.</summary>
    public double[] Values { get; }

    /// <summary>Unit eigenvector of <c>Values[i]</c>, (n), of unspecified sign.</summary>
    public ReadOnlySpan<double> Vector(int i) => _vectors.AsSpan(i * _n, _n);

    /// <summary>Zeroes every off-diagonal element once; false when there was none worth it.</summary>
    private bool Sweep(double[] a, double[] v, double negligible)
    {
        bool rotated = false;
        for (int p = 0; p < _n; p++)
        {
            for (int q = p + 1; q < _n; q++)
            {
                double pq = a[p * _n + q];
                if (Math.Abs(pq) <= negligible) continue;
                rotated = true;
                double theta = (a[q * _n + q] - a[p * _n + p]) / (2 * pq);
                double tangent = Math.CopySign(1, theta) / (Math.Abs(theta) + Math.Sqrt(theta * theta + 1));
                double cosine = 1 / Math.Sqrt(tangent * tangent + 1), sine = tangent * cosine;
                double pp = a[p * _n + p] - tangent * pq, qq = a[q * _n + q] + tangent * pq;
                RotateRows(a, p, q, cosine, sine);
                for (int k = 0; k < _n; k++) (a[k * _n + p], a[k * _n + q]) = (a[p * _n + k], a[q * _n + k]);
                (a[p * _n + p], a[q * _n + q]) = (pp, qq);
                a[p * _n + q] = a[q * _n + p] = 0;
                RotateRows(v, p, q, cosine, sine);
            }
        }

        return rotated;
    }

    private void RotateRows(double[] m, int p, int q, double cosine, double sine)
    {
        Span<double> first = m.AsSpan(p * _n, _n), second = m.AsSpan(q * _n, _n);
        for (int k = 0; k < _n; k++)
            (first[k], second[k]) = (cosine * first[k] - sine * second[k], sine * first[k] + cosine * second[k]);
    }
}
