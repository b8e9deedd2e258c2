using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>Principal axes of N centred rows of F features: eigenvectors of X'X with their eigenvalues, float64.</summary>
/// <remarks>The decomposed matrix is X'X, (F, F), or X X', (N, N), whichever is smaller; memory is a few times its square. Below 1e-11 of the
/// largest an eigenvalue and its axis are rounding. Immutable; thread safe.</remarks>
internal sealed class PrincipalAxes
{
    private readonly double[][] _columns;
    private readonly bool _wide;
    private readonly SymmetricEigen _eigen;

    /// <param name="columns">F columns of N values, each of mean zero, finite; kept.</param>
    public PrincipalAxes(double[][] columns)
    {
        _columns = columns;
        int rows = columns[0].Length;
        _wide = columns.Length > rows;
        int n = _wide ? rows : columns.Length;
        double[] products = _wide ? RowProducts(columns, n) : ColumnProducts(columns);
        _eigen = new SymmetricEigen(products, n);

        // Rounding can leave a sum of squares that is zero a little below it.
        SumsOfSquares = [.. _eigen.Values.Select(value => Math.Max(0, value))];
    }

    /// <summary>Sum over the rows of the squared coordinate along each axis, (min(N, F)), descending. All of them add up to the sum of squares
    /// of all entries; over N - 1 they are the variances.</summary>
    public double[] SumsOfSquares { get; }

    /// <summary>Axis i, a unit vector, (F), of unspecified sign; its sum of squares must not be zero.</summary>
    public double[] Axis(int i)
    {
        ReadOnlySpan<double> vector = _eigen.Vector(i);
        var axis = new double[_columns.Length];
        if (_wide)
        {
            for (int f = 0; f < axis.Length; f++) axis[f] = TensorPrimitives.Dot(_columns[f], vector);
        }
        else
        {
            vector.CopyTo(axis);
        }

        TensorPrimitives.Divide(axis, TensorPrimitives.Norm<double>(axis), axis);
        return axis;
    }

    private static double[] ColumnProducts(double[][] columns)
    {
        int n = columns.Length;
        var products = new double[checked(n * n)];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
                products[(i * n) + j] = products[(j * n) + i] = TensorPrimitives.Dot<double>(columns[i], columns[j]);
        }

        return products;
    }

    private static double[] RowProducts(double[][] columns, int n)
    {
        var products = new double[checked(n * n)];
        foreach (double[] column in columns)
        {
            for (int i = 0; i < n; i++)
            {
                Span<double> row = products.AsSpan(i * n, n);
                TensorPrimitives.MultiplyAdd(column, column[i], row, row);
            }
        }

        return products;
    }
}
