using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Traits;

/// <summary>
/// L2-regularised logistic regression with a free intercept, solved exactly in the span of the samples; the objective is stated at
/// <see cref="DirectionEstimator"/>.
/// </summary>
/// <remarks>
/// The minimiser is w = sum_i a_i z_i with a_i = t_i - p_i (t: 1 for the positive pole, p: predicted probability), which sum to zero. The
/// z_i are needed up to a rotation only: with the products G = U S U' of the samples, the rows of U S^1/2 have the same products.
/// </remarks>
internal static class LogisticProbe
{
    /// <summary>Below this share of the largest an eigenvalue of the products is rounding.</summary>
    private const double SmallestEigenvalue = 1e-14;

    /// <summary>Fits the probe on some of the samples.</summary>
    /// <param name="gram">Products of all N samples.</param>
    /// <param name="positive">Rows of the positive pole to use.</param>
    /// <param name="negative">Rows of the negative pole to use.</param>
    /// <returns>Coefficients (N) of the normal vector in terms of the samples; zero for samples that were not used.</returns>
    public static double[] Fit(GramMatrix gram, ReadOnlySpan<int> positive, ReadOnlySpan<int> negative)
    {
        int[] rows = [.. positive, .. negative];
        double[] products = Standardise(gram, rows);
        var labels = new bool[rows.Length];
        labels.AsSpan(0, positive.Length).Fill(true);
        double[] a = LogisticFit.TryFit(Coordinates(products, rows.Length), labels, 1)?.Residuals
            ?? throw new EmScanException("The logistic probe did not converge; use mean_difference.");
        var coefficients = new double[gram.Count];
        for (int i = 0; i < rows.Length; i++) coefficients[rows[i]] = a[i];
        return coefficients;
    }

    /// <summary>Gram matrix of the chosen rows, centred on their mean, over the mean squared deviation per coordinate.</summary>
    private static double[] Standardise(GramMatrix gram, int[] rows)
    {
        int n = rows.Length;
        var products = new double[n * n];
        var means = new double[n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++) products[i * n + j] = gram[rows[i], rows[j]];
            means[i] = TensorPrimitives.Sum<double>(products.AsSpan(i * n, n)) / n;
        }

        double mean = TensorPrimitives.Sum<double>(means) / n, trace = 0;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++) products[i * n + j] += mean - means[i] - means[j];
            trace += products[i * n + i];
        }

        if (!(trace > 0)) throw new EmScanException("The two poles have the same hidden states, so there is no direction between them.");
        TensorPrimitives.Multiply(products, (double)n * gram.HiddenSize / trace, products);
        return products;
    }

    /// <summary>Columns of N values whose rows have the given products.</summary>
    private static double[][] Coordinates(double[] products, int n)
    {
        var eigen = new SymmetricEigen(products, n);
        int dimension = eigen.Values.Count(value => value > SmallestEigenvalue * eigen.Values[0]);
        var columns = new double[dimension][];
        for (int k = 0; k < dimension; k++)
        {
            columns[k] = new double[n];
            TensorPrimitives.Multiply(eigen.Vector(k), Math.Sqrt(eigen.Values[k]), columns[k]);
        }

        return columns;
    }
}
