using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>Products of square matrices, float64, row-major.</summary>
internal static class Matrix
{
    /// <summary>M x.</summary>
    /// <param name="matrix">(n, n).</param>
    /// <param name="vector">(n).</param>
    public static double[] Multiply(double[] matrix, ReadOnlySpan<double> vector)
    {
        int n = vector.Length;
        var product = new double[n];
        for (int i = 0; i < n; i++) product[i] = TensorPrimitives.Dot<double>(matrix.AsSpan(i * n, n), vector);
        return product;
    }

    /// <summary>W S W for a symmetric W.</summary>
    /// <param name="outer">W, (n, n).</param>
    /// <param name="inner">S, (n, n), symmetric.</param>
    /// <param name="n">Order.</param>
    public static double[] Sandwich(double[] outer, double[] inner, int n)
    {
        double[] half = Product(outer, inner, n);
        return Product(half, outer, n);
    }

    // A B for a symmetric B: rows of both.
    private static double[] Product(double[] a, double[] b, int n)
    {
        var product = new double[checked(n * n)];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++) product[(i * n) + j] = TensorPrimitives.Dot<double>(a.AsSpan(i * n, n), b.AsSpan(j * n, n));
        }

        return product;
    }

    /// <summary>(C + ridge mean(eigenvalues of C) I)^(-1/2) of a covariance C.</summary>
    /// <param name="covariance">(n, n), symmetric, positive semidefinite up to rounding, not zero.</param>
    /// <param name="n">Order.</param>
    /// <param name="ridge">Above 0.</param>
    public static double[] InverseRoot(double[] covariance, int n, double ridge)
    {
        var eigen = new SymmetricEigen(covariance, n);
        double floor = ridge * TensorPrimitives.Sum<double>(eigen.Values) / n;
        var root = new double[checked(n * n)];
        for (int k = 0; k < n; k++)
        {
            ReadOnlySpan<double> vector = eigen.Vector(k);
            double scale = 1 / Math.Sqrt(Math.Max(0, eigen.Values[k]) + floor);
            for (int i = 0; i < n; i++)
            {
                Span<double> row = root.AsSpan(i * n, n);
                TensorPrimitives.MultiplyAdd(vector, scale * vector[i], row, row);
            }
        }

        return root;
    }
}
