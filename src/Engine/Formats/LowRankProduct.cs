using System.Numerics.Tensors;

namespace EmScan.Engine.Formats;

/// <summary>The Frobenius norm of B A without the product, in float64.</summary>
/// <remarks>
/// ||B A||^2 = trace(A^T B^T B A) = sum over i, j of (B^T B)_ij (A A^T)_ij: two (R, R) matrices instead of the (out, in) product.
/// </remarks>
internal static class LowRankProduct
{
    private const int ColumnsAtOnce = 4096;

    /// <summary>||B A||^2 of A (R, in) and B (out, R), both row-major.</summary>
    public static double SquaredNorm(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int rank) => Trace(RowGram(a, rank), ColumnGram(b, rank), rank);

    /// <summary>The same with A transposed, (in, R).</summary>
    public static double SquaredNormTransposed(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int rank) =>
        Trace(ColumnGram(a, rank), ColumnGram(b, rank), rank);

    // Both are symmetric, and only their upper triangles are filled. Rounding can leave a tiny negative sum where the product vanishes.
    private static double Trace(double[] x, double[] y, int rank)
    {
        double sum = 0;
        for (int i = 0; i < rank; i++)
        {
            sum += x[i * rank + i] * y[i * rank + i];
            for (int j = i + 1; j < rank; j++) sum += 2 * x[i * rank + j] * y[i * rank + j];
        }

        return sum < 0 ? 0 : sum;
    }

    // A A^T of A (R, n), the upper triangle of (R, R).
    private static double[] RowGram(ReadOnlySpan<float> a, int rank)
    {
        int width = a.Length / rank;
        var gram = new double[rank * rank];
        int step = Math.Min(ColumnsAtOnce, width);
        var wide = new double[rank * step];
        for (int start = 0; start < width; start += step)
        {
            int count = Math.Min(step, width - start);
            for (int i = 0; i < rank; i++) TensorPrimitives.ConvertTruncating(a.Slice(i * width + start, count), wide.AsSpan(i * step, count));
            for (int i = 0; i < rank; i++)
            {
                for (int j = i; j < rank; j++)
                    gram[i * rank + j] += TensorPrimitives.Dot<double>(wide.AsSpan(i * step, count), wide.AsSpan(j * step, count));
            }
        }

        return gram;
    }

    // B^T B of B (m, R), the upper triangle of (R, R).
    private static double[] ColumnGram(ReadOnlySpan<float> b, int rank)
    {
        var gram = new double[rank * rank];
        var row = new double[rank];
        for (int start = 0; start < b.Length; start += rank)
        {
            TensorPrimitives.ConvertTruncating(b.Slice(start, rank), row);
            for (int i = 0; i < rank; i++)
            {
                Span<double> sums = gram.AsSpan(i * rank + i, rank - i);
                TensorPrimitives.MultiplyAdd(row.AsSpan(i), row[i], sums, sums);
            }
        }

        return gram;
    }
}
