using EmScan.Engine.Numerics;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Numerics;

public sealed class MatrixProductTests
{
    // Sums of K products of numbers near 1 in float64: rounding is below K 1e-16, and 1e-12 leaves room for the largest of them.
    private const double Tolerance = 1e-12;

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(4, 12, 3)]
    [InlineData(5, 25, 7)]
    [InlineData(37, 53, 300)] // deeper than what is laid out at a time
    [InlineData(64, 24, 16)]
    public void Products_are_added_and_nothing_else_is_touched(int rows, int columns, int depth)
    {
        const int Margin = 3;
        var random = new Random((rows * 1000) + columns);
        int xStride = rows + Margin, yStride = columns + 1, cStride = columns + Margin;
        double[] x = Numbers(random, depth * xStride), y = Numbers(random, depth * yStride), c = Numbers(random, rows * cStride);
        foreach (bool lower in new[] { false, true })
        {
            double[] actual = [.. c];
            MatrixProduct.Add(-0.5, x, xStride, y, yStride, depth, actual, cStride, rows, columns, lower);
            for (int i = 0; i < rows; i++)
            {
                for (int j = 0; j < cStride; j++)
                {
                    double expected = c[(i * cStride) + j];
                    if (j < columns && (!lower || j <= i)) expected -= 0.5 * Enumerable.Range(0, depth).Sum(p => x[(p * xStride) + i] * y[(p * yStride) + j]);
                    Assert.Equal(expected, actual[(i * cStride) + j], Tolerance);
                }
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(31)]
    [InlineData(101)]
    public void A_symmetric_matrix_is_read_from_its_lower_triangle(int n)
    {
        var random = new Random(n);
        int stride = n + 2;
        double[] matrix = Numbers(random, n * stride), x = Numbers(random, n), product = [.. Enumerable.Repeat(double.NaN, n)];
        for (int i = 0; i < n; i++) matrix.AsSpan((i * stride) + i + 1, n - i - 1).Fill(double.NaN);
        MatrixProduct.MultiplySymmetric(matrix, stride, x, product);
        for (int i = 0; i < n; i++)
            Assert.Equal(Enumerable.Range(0, n).Sum(j => matrix[(Math.Max(i, j) * stride) + Math.Min(i, j)] * x[j]), product[i], Tolerance);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(9)]
    [InlineData(64)]
    [InlineData(150)]
    public void A_triangular_factor_is_one_and_divides(int n)
    {
        // A = B B' + I has eigenvalues from 1 on, so that L^-1 does not enlarge rounding.
        var random = new Random(n);
        double[] b = Numbers(random, n * n), a = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++) a[(i * n) + j] = Enumerable.Range(0, n).Sum(k => b[(i * n) + k] * b[(j * n) + k]) + (i == j ? 1 : 0);
        }

        double[] lower = [.. a];
        for (int i = 0; i < n; i++) lower.AsSpan((i * n) + i + 1, n - i - 1).Fill(double.NaN); // not read
        TriangularFactor factor = TriangularFactor.TryFactor(lower, n)!;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
                Assert.Equal(a[(i * n) + j], Enumerable.Range(0, j + 1).Sum(k => lower[(i * n) + k] * lower[(j * n) + k]), Tolerance * n);
        }

        const int Columns = 17;
        double[] right = Numbers(random, n * Columns), quotient = [.. right];
        factor.Divide(quotient, Columns);
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < Columns; j++)
                Assert.Equal(right[(i * Columns) + j], Enumerable.Range(0, i + 1).Sum(k => lower[(i * n) + k] * quotient[(k * Columns) + j]), Tolerance * n);
        }

        a[^1] = -1;
        Assert.Null(TriangularFactor.TryFactor(a, n));
        a[^1] = double.NaN;
        Assert.Null(TriangularFactor.TryFactor(a, n));
    }

    private static double[] Numbers(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => TinyModel.Gaussian(random))];
}
