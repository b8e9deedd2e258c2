using EmScan.Engine.Numerics;

namespace EmScan.Engine.Tests.Numerics;

/// <summary>The decompositions against what defines them, on random matrices.</summary>
public sealed class LinearAlgebraTests
{
    // Backward errors are a few n units of double precision of the largest value; 1e-12 leaves a factor of 20 at n = 200.
    private const double Tolerance = 1e-12;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(200)]
    public void Eigenvectors_are_orthonormal_and_give_the_matrix_back(int n)
    {
        double[] matrix = Symmetric(n, seed: n);
        var eigen = new SymmetricEigen(matrix, n);
        Assert.Equal(eigen.Values.OrderDescending(), eigen.Values);
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double dot = 0, entry = 0;
                for (int k = 0; k < n; k++)
                {
                    dot += eigen.Vector(i)[k] * eigen.Vector(j)[k];
                    entry += eigen.Values[k] * eigen.Vector(k)[i] * eigen.Vector(k)[j];
                }

                Assert.Equal(i == j ? 1 : 0, dot, Tolerance);
                Assert.Equal(matrix[(i * n) + j], entry, Tolerance * Math.Max(1, Math.Abs(eigen.Values[0])));
            }
        }
    }

    [Fact]
    public void Equal_eigenvalues_keep_their_vectors_orthogonal_and_what_is_not_finite_is_refused()
    {
        var eigen = new SymmetricEigen([2, 0, 0, 0, 5, 0, 0, 0, 2], 3);
        Assert.Equal([5, 2, 2], eigen.Values);
        Assert.Equal(0, Dot(eigen.Vector(1).ToArray(), eigen.Vector(2).ToArray()), Tolerance);
        Assert.Throws<ArgumentException>(() => new SymmetricEigen([1, double.NaN, double.NaN, 1], 2));
        Assert.Throws<ArgumentException>(() => new SymmetricEigen([1e200, 0, 0, 1], 2));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(3, 3)]
    [InlineData(65, 65)]
    [InlineData(130, 40)] // most eigenvalues are zero, as of rows fewer than their width
    public void Eigenvalues_alone_are_those_with_vectors_and_the_first_vector_is_one(int n, int rank)
    {
        double[][] rows = [.. Enumerable.Range(0, n).Select(i => Random(rank, seed: i))];
        double[] matrix = [.. rows.SelectMany(a => rows.Select(b => Dot(a, b)))];
        var alone = new SymmetricEigenvalues((double[])matrix.Clone(), n);
        var whole = new SymmetricEigen(matrix, n);
        for (int i = 0; i < n; i++) Assert.Equal(whole.Values[i], alone.Values[i], Tolerance * whole.Values[0]);
        double[] first = alone.First();
        Assert.Equal(1, Dot(first, first), Tolerance);
        for (int i = 0; i < n; i++) Assert.Equal(alone.Values[0] * first[i], Dot(matrix[(i * n)..((i + 1) * n)], first), Tolerance * whole.Values[0]);
    }

    [Fact]
    public void Eigenvalues_alone_of_matrices_that_are_diagonal_in_part_or_not_definite_or_not_finite()
    {
        Assert.Equal([0, 0, 0], new SymmetricEigenvalues(new double[9], 3).Values);
        Assert.Equal([5, 2, -7], new SymmetricEigenvalues([2, 0, 0, 0, 5, 0, 0, 0, -7], 3).Values);
        double[] blocks = new SymmetricEigenvalues([1, 2, 0, 0, 2, 1, 0, 0, 0, 0, 4, 3, 0, 0, 3, 4], 4).Values;
        double[] wanted = [7, 3, 1, -1];
        for (int i = 0; i < 4; i++) Assert.Equal(wanted[i], blocks[i], Tolerance);
        Assert.Throws<ArgumentException>(() => new SymmetricEigenvalues([1, double.NaN, double.NaN, 1], 2));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(9)]
    [InlineData(150)]
    public void Cholesky_solves_what_it_reads_of_the_lower_triangle(int n)
    {
        double[] a = Random(n * n, seed: n), matrix = new double[n * n], lower = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                for (int k = 0; k < n; k++) matrix[(i * n) + j] += a[(i * n) + k] * a[(j * n) + k];
                if (i == j) matrix[(i * n) + j] += 1;
                lower[(i * n) + j] = j <= i ? matrix[(i * n) + j] : double.NaN;
            }
        }

        double[] wanted = Random(n, seed: 5);
        double[] x = [.. Enumerable.Range(0, n).Select(i => Dot(matrix[(i * n)..((i + 1) * n)], wanted))];
        Cholesky.TryFactor(lower, n)!.Solve(x);
        for (int i = 0; i < n; i++) Assert.Equal(wanted[i], x[i], 1e-10);
    }

    [Fact]
    public void Cholesky_gives_nothing_for_a_matrix_that_is_not_positive_definite()
    {
        Assert.Null(Cholesky.TryFactor([1, 2, 2, 1], 2));
        Assert.Null(Cholesky.TryFactor([0], 1));
        Assert.Null(Cholesky.TryFactor([double.NaN], 1));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(6, 6)]
    [InlineData(300, 20)]
    public void Q_is_orthonormal_and_Q_times_R_gives_the_columns_back(int rows, int columns)
    {
        double[][] a = [.. Enumerable.Range(0, columns).Select(k => Random(rows, seed: k))];
        if (columns > 2) a[2] = [.. a[0].Zip(a[1], (x, y) => x - y)]; // dependent columns are no failure
        var qr = new ThinQr(a);
        for (int j = 0; j < columns; j++)
        {
            double[] r = [.. Enumerable.Range(0, columns).Select(i => qr.R(i, j))];
            Assert.All(r[(j + 1)..], value => Assert.Equal(0, value));
            double[] product = qr.Multiply(r);
            for (int i = 0; i < rows; i++) Assert.Equal(a[j][i], product[i], Tolerance);
            for (int k = 0; k <= j; k++) Assert.Equal(j == k ? 1 : 0, Dot(qr.Q(j).ToArray(), qr.Q(k).ToArray()), Tolerance);
        }
    }

    [Fact]
    public void The_residual_of_least_squares_is_orthogonal_to_every_column()
    {
        double[][] a = [.. Enumerable.Range(0, 8).Select(k => Random(60, seed: k))];
        double[] b = Random(60, seed: 99), x = new ThinQr(a).LeastSquares(b);
        double[] residual = [.. b.Select((value, i) => value - Enumerable.Range(0, 8).Sum(k => x[k] * a[k][i]))];
        Assert.All(a, column => Assert.Equal(0, Dot(column, residual), Tolerance));
    }

    [Theory]
    [InlineData(20, 5)]
    [InlineData(5, 20)]
    [InlineData(12, 12)]
    public void Principal_axes_explain_all_squares_and_each_its_own(int rows, int features)
    {
        double[][] columns = [.. Enumerable.Range(0, features).Select(f =>
        {
            double[] column = Random(rows, seed: f);
            double mean = column.Average();
            return (double[])[.. column.Select(value => value - mean)];
        })];
        var axes = new PrincipalAxes(columns);
        Assert.Equal(Math.Min(rows, features), axes.SumsOfSquares.Length);
        Assert.Equal(columns.Sum(column => Dot(column, column)), axes.SumsOfSquares.Sum(), Tolerance * rows * features);
        for (int a = 0; a < Math.Min(rows - 1, features); a++)
        {
            double[] axis = axes.Axis(a);
            Assert.Equal(1, Dot(axis, axis), Tolerance);
            double squares = Enumerable.Range(0, rows).Sum(i => Math.Pow(Enumerable.Range(0, features).Sum(f => axis[f] * columns[f][i]), 2));
            Assert.Equal(axes.SumsOfSquares[a], squares, Tolerance * axes.SumsOfSquares[0]);
        }
    }

    [Theory]
    [InlineData(30, 40, 4)]
    [InlineData(3, 40, 8)]  // more rank than outputs
    [InlineData(40, 1, 2)]  // a single input
    [InlineData(6, 6, 6)]
    public void Singular_vectors_of_factors_give_their_product_back(int outputs, int inputs, int rank)
    {
        float[] b = [.. Random(outputs * rank, seed: 1).Select(value => (float)value)], a = [.. Random(rank * inputs, seed: 2).Select(value => (float)value)];
        var svd = new LowRankSvd(b, a, rank, scale: 2.5);
        Assert.Equal(svd.Values.OrderDescending(), svd.Values);
        double[][] left = [.. svd.Values.Select((_, i) => svd.Left(i))], right = [.. svd.Values.Select((_, i) => svd.Right(i))];
        for (int o = 0; o < outputs; o++)
        {
            for (int i = 0; i < inputs; i++)
            {
                double wanted = Enumerable.Range(0, rank).Sum(r => 2.5 * b[(o * rank) + r] * a[(r * inputs) + i]);
                Assert.Equal(wanted, svd.Values.Select((value, k) => value * left[k][o] * right[k][i]).Sum(), 1e-11);
            }
        }

        Assert.All(left.Concat(right), vector => Assert.Equal(1, Dot(vector, vector), Tolerance));
        Assert.Throws<ArgumentException>(() => new LowRankSvd(new float[7], new float[4], 2));
    }

    private static double[] Symmetric(int n, int seed)
    {
        double[] matrix = Random(n * n, seed);
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < i; j++) matrix[(j * n) + i] = matrix[(i * n) + j];
        }

        return matrix;
    }

    private static double[] Random(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (2 * random.NextDouble()) - 1)];
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();
}
