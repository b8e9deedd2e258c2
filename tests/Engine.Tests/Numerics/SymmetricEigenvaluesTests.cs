using EmScan.Engine.Numerics;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Numerics;

public sealed class SymmetricEigenvaluesTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(17)]
    [InlineData(32)] // a block of reflections, and one more
    [InlineData(34)]
    [InlineData(333)]
    public void Values_are_those_of_the_full_decomposition_and_the_vector_is_an_eigenvector(int n)
    {
        var random = new Random(n);
        double[] matrix = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++) matrix[(i * n) + j] = matrix[(j * n) + i] = TinyModel.Gaussian(random) / (1 + i + j);
        }

        AssertDecomposes(matrix, n);
    }

    [Fact]
    public void Few_rows_leave_many_values_at_zero()
    {
        // 4 rows of width 150: rank 4, and all the rest is rounding.
        const int n = 150;
        var random = new Random(9);
        double[] matrix = new double[n * n];
        for (int row = 0; row < 4; row++)
        {
            double[] x = [.. Enumerable.Range(0, n).Select(_ => 5 * TinyModel.Gaussian(random))];
            for (int i = 0; i < n * n; i++) matrix[i] += x[i / n] * x[i % n];
        }

        SymmetricEigenvalues eigen = AssertDecomposes(matrix, n);
        Assert.All(eigen.Values[4..], value => Assert.Equal(0, value, 1e-10 * eigen.Values[0]));
    }

    [Fact]
    public void Diagonal_and_zero_matrices_are_their_own_values()
    {
        double[] diagonal = new double[25];
        for (int i = 0; i < 5; i++) diagonal[i * 6] = i;
        Assert.Equal([4, 3, 2, 1, 0], new SymmetricEigenvalues((double[])diagonal.Clone(), 5).Values);
        Assert.Equal(new double[5], new SymmetricEigenvalues(new double[25], 5).Values);
        Assert.Throws<ArgumentException>(() => new SymmetricEigenvalues([double.NaN], 1));
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(5, true)]
    [InlineData(40, true)]
    [InlineData(150, false)]
    public void What_is_taken_off_along_a_direction_needs_no_second_decomposition(int n, bool axis)
    {
        var random = new Random(100 + n);
        double[] matrix = new double[n * n], along = new double[n];
        for (int i = 0; i < n; i++)
        {
            if (!axis) along[i] = 3 * TinyModel.Gaussian(random);
            for (int j = 0; j <= i; j++) matrix[(i * n) + j] = matrix[(j * n) + i] = TinyModel.Gaussian(random);
        }

        if (axis) along[n - 1] = -2; // it is the last axis already
        const double Amount = 1.75;
        double norm = Math.Sqrt(along.Sum(x => x * x));
        double[] u = [.. along.Select(x => x / norm)], product = [.. Enumerable.Range(0, n).Select(i => Enumerable.Range(0, n).Sum(j => matrix[(i * n) + j] * u[j]))];
        double both = u.Zip(product, (x, y) => x * y).Sum();
        double[] less = new double[n * n], without = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                less[(i * n) + j] = matrix[(i * n) + j] - (Amount * u[i] * u[j]);
                without[(i * n) + j] = matrix[(i * n) + j] - (u[i] * product[j]) - (product[i] * u[j]) + (both * u[i] * u[j]);
            }
        }

        var eigen = new SymmetricEigenvalues((double[])matrix.Clone(), n, along);
        AssertValues(new SymmetricEigen(matrix, n).Values, eigen.Values);
        AssertValues(new SymmetricEigen(less, n).Values, eigen.Less(Amount));
        AssertValues(new SymmetricEigen(without, n).Values, eigen.Without());
        double[] first = eigen.First();
        for (int i = 0; i < n; i++)
            Assert.Equal(eigen.Values[0] * first[i], Enumerable.Range(0, n).Sum(j => matrix[(i * n) + j] * first[j]), 1e-11 * n);
        Assert.Throws<InvalidOperationException>(() => new SymmetricEigenvalues((double[])matrix.Clone(), n).Less(1));

        void AssertValues(double[] expected, double[] actual)
        {
            Assert.Equal(n, actual.Length);
            for (int i = 0; i < n; i++) Assert.Equal(expected[i], actual[i], 1e-12 * n);
        }
    }

    private static SymmetricEigenvalues AssertDecomposes(double[] matrix, int n)
    {
        var expected = new SymmetricEigen(matrix, n);
        var actual = new SymmetricEigenvalues((double[])matrix.Clone(), n);
        double size = Math.Max(Math.Abs(expected.Values[0]), Math.Abs(expected.Values[^1]));
        for (int i = 0; i < n; i++) Assert.Equal(expected.Values[i], actual.Values[i], 1e-13 * n * size);
        double[] first = actual.First();
        Assert.Equal(1, first.Sum(x => x * x), 1e-12);
        for (int i = 0; i < n; i++)
            Assert.Equal(actual.Values[0] * first[i], Enumerable.Range(0, n).Sum(j => matrix[(i * n) + j] * first[j]), 1e-11 * size);
        return actual;
    }
}
