using MathNet.Numerics.Providers.LinearAlgebra;

namespace EmScan.Engine.Numerics;

/// <summary>Singular values of a small matrix, float64.</summary>
internal static class SingularValues
{
    /// <summary>All singular values, descending.</summary>
    /// <param name="columns">(n, m): n columns of m values each, finite; at least one.</param>
    internal static double[] Of(double[][] columns)
    {
        int rows = columns[0].Length;
        double[] matrix = [.. columns.SelectMany(column => column)], values = new double[Math.Min(rows, columns.Length)];
        ManagedLinearAlgebraProvider.Instance.SingularValueDecomposition(
            false, matrix, rows, columns.Length, values, new double[rows * rows], new double[columns.Length * columns.Length]);
        return values;
    }
}
