using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>L of a symmetric positive definite matrix A = L L', float64, in blocks: for matrices of the width of a model, where
/// <see cref="Cholesky"/> takes minutes. Source: Golub and Van Loan, Matrix Computations, section 4.2.</summary>
/// <remarks>Works in the matrix that it is given. Immutable; thread safe, as long as nobody else writes to the matrix.</remarks>
internal sealed class TriangularFactor
{
    private const int Block = 64;

    private readonly int _n;
    private readonly double[] _lower; // (n, n), of which the lower triangle counts

    private TriangularFactor(double[] lower, int n) => (_lower, _n) = (lower, n);

    /// <summary>Factorises in place.</summary>
    /// <param name="matrix">(n, n) row-major, of which only the lower triangle is read; overwritten, and kept.</param>
    /// <param name="n">Order, at least 1.</param>
    /// <returns>Null where the matrix is not positive definite or not finite.</returns>
    public static TriangularFactor? TryFactor(double[] matrix, int n)
    {
        var factor = new TriangularFactor(matrix, n);
        for (int first = 0; first < n; first += Block)
        {
            int end = Math.Min(first + Block, n);
            for (int i = first; i < n; i++)
            {
                Span<double> row = factor.Row(i, first, Math.Min(i + 1, end));
                for (int j = first; j < Math.Min(i, end); j++)
                {
                    ReadOnlySpan<double> other = factor.Row(j, first, j + 1);
                    row[j - first] = (row[j - first] - TensorPrimitives.Dot(row[..(j - first)], other[..^1])) / other[^1];
                }

                if (i >= end) continue;
                double pivot = row[^1] - TensorPrimitives.SumOfSquares<double>(row[..^1]);
                if (!(pivot > 0) || !double.IsFinite(pivot)) return null;
                row[^1] = Math.Sqrt(pivot);
            }

            int left = n - end;
            if (left == 0) break;
            double[] columns = factor.Columns(first, end);
            MatrixProduct.Add(-1, columns, left, columns, left, end - first, matrix.AsSpan((end * n) + end), n, left, left, lower: true);
        }

        return factor;
    }

    /// <summary>L^-1 B, in place.</summary>
    /// <param name="rows">B, (n, m) row-major.</param>
    /// <param name="m">Columns.</param>
    public void Divide(Span<double> rows, int m)
    {
        for (int first = 0; first < _n; first += Block)
        {
            int end = Math.Min(first + Block, _n), left = _n - end;
            for (int i = first; i < end; i++)
            {
                Span<double> row = rows.Slice(i * m, m);
                for (int j = first; j < i; j++) TensorPrimitives.MultiplyAdd(rows.Slice(j * m, m), -_lower[(i * _n) + j], row, row);
                TensorPrimitives.Divide(row, _lower[(i * _n) + i], row);
            }

            MatrixProduct.Add(-1, Columns(first, end), left, rows.Slice(first * m, (end - first) * m), m, end - first, rows[(end * m)..], m, left, m, lower: false);
        }
    }

    private Span<double> Row(int row, int first, int end) => _lower.AsSpan((row * _n) + first, end - first);

    // Columns of L below their block, each contiguous: (end - first, n - end).
    private double[] Columns(int first, int end)
    {
        int left = _n - end;
        double[] columns = new double[(end - first) * left];
        for (int i = 0; i < left; i++)
        {
            ReadOnlySpan<double> row = Row(end + i, first, end);
            for (int p = 0; p < row.Length; p++) columns[(p * left) + i] = row[p];
        }

        return columns;
    }
}
