using System.Numerics;
using System.Numerics.Tensors;

namespace EmScan.Engine.Formats;

/// <summary>The Frobenius norm of B A, and the inner product of two of them, without the product, in float64.</summary>
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

    /// <summary>The Frobenius inner product of B1 A1 and B2 A2, of one shape: sum over i, j of (B1' B2)_ij (A1 A2')_ij.</summary>
    /// <param name="a1">(R1, in).</param>
    /// <param name="b1">(out, R1).</param>
    /// <param name="rank1">R1.</param>
    /// <param name="a2">(R2, in).</param>
    /// <param name="b2">(out, R2).</param>
    /// <param name="rank2">R2.</param>
    public static double Inner<T>(ReadOnlySpan<T> a1, ReadOnlySpan<T> b1, int rank1, ReadOnlySpan<T> a2, ReadOnlySpan<T> b2, int rank2)
        where T : INumberBase<T>
    {
        double[][] rows1 = Rows(a1, rank1), rows2 = Rows(a2, rank2), columns1 = Columns(b1, rank1), columns2 = Columns(b2, rank2);
        double sum = 0;
        for (int i = 0; i < rank1; i++)
        {
            for (int j = 0; j < rank2; j++)
                sum += TensorPrimitives.Dot<double>(columns1[i], columns2[j]) * TensorPrimitives.Dot<double>(rows1[i], rows2[j]);
        }

        return sum;
    }

    private static double[][] Rows<T>(ReadOnlySpan<T> a, int rank)
        where T : INumberBase<T>
    {
        var rows = new double[rank][];
        for (int r = 0; r < rank; r++)
        {
            rows[r] = new double[a.Length / rank];
            TensorPrimitives.ConvertTruncating(a.Slice(r * rows[r].Length, rows[r].Length), rows[r]);
        }

        return rows;
    }

    private static double[][] Columns<T>(ReadOnlySpan<T> b, int rank)
        where T : INumberBase<T>
    {
        var columns = new double[rank][];
        for (int r = 0; r < rank; r++)
        {
            columns[r] = new double[b.Length / rank];
            for (int o = 0; o < columns[r].Length; o++) columns[r][o] = double.CreateTruncating(b[(o * rank) + r]);
        }

        return columns;
    }

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
