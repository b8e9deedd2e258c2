using EmScan.Engine.Numerics;

namespace EmScan.Engine.Traits;

/// <summary>The estimators of <see cref="DirectionEstimator"/> as functions of the Gram matrix alone.</summary>
internal static class SpanEstimator
{
    /// <summary>Fits one estimator on some of the samples.</summary>
    /// <param name="method">The estimator.</param>
    /// <param name="gram">Products of all N samples.</param>
    /// <param name="positive">Rows of the positive pole to use.</param>
    /// <param name="negative">Rows of the negative pole to use; row i is the counterpart of positive row i where the method is
    /// paired.</param>
    /// <returns>Coefficients (N) of the direction, not normalised, zero for samples that were not used; they sum to zero.</returns>
    public static double[] Coefficients(DirectionMethod method, GramMatrix gram, ReadOnlySpan<int> positive, ReadOnlySpan<int> negative) =>
        method switch
        {
            DirectionMethod.MeanDifference => MeanDifference(gram.Count, positive, negative),
            DirectionMethod.PairedPca => PairedPca(gram, positive, negative),
            DirectionMethod.LogisticProbe => LogisticProbe.Fit(gram, positive, negative),
            _ => throw new ArgumentOutOfRangeException(nameof(method), method, "There is no such method."),
        };

    /// <summary>1/N+ on the positive pole, -1/N- on the negative one.</summary>
    public static double[] MeanDifference(int count, ReadOnlySpan<int> positive, ReadOnlySpan<int> negative)
    {
        var coefficients = new double[count];
        foreach (int row in positive) coefficients[row] = 1.0 / positive.Length;
        foreach (int row in negative) coefficients[row] = -1.0 / negative.Length;
        return coefficients;
    }

    private static double[] PairedPca(GramMatrix gram, ReadOnlySpan<int> positive, ReadOnlySpan<int> negative)
    {
        if (positive.Length != negative.Length)
            throw new ArgumentException($"Paired PCA needs pairs of rows; got {positive.Length} and {negative.Length}.");
        int pairs = positive.Length;
        var products = new double[pairs * pairs]; // d_i . d_j
        for (int i = 0; i < pairs; i++)
        {
            for (int j = 0; j < pairs; j++)
            {
                products[i * pairs + j] = gram[positive[i], positive[j]] - gram[positive[i], negative[j]]
                    - gram[negative[i], positive[j]] + gram[negative[i], negative[j]];
            }
        }

        // With G u = lambda u, the component is v = sum_i u_i d_i / sqrt(lambda), and v . mean(d) = sqrt(lambda) sum_i u_i / N:
        // the orientation is the sign of the sum of u.
        ReadOnlySpan<double> u = FirstEigenvector(products, pairs);
        double sum = 0, magnitude = 0;
        foreach (double value in u)
        {
            sum += value;
            magnitude += Math.Abs(value);
        }

        if (magnitude == 0) throw new EmScanException("The two poles have the same hidden states, so there is no direction between them.");
        if (Math.Abs(sum) <= 1e-12 * magnitude)
            throw new EmScanException("The first principal component is orthogonal to the mean difference, so it has no orientation.");
        var coefficients = new double[gram.Count];
        for (int i = 0; i < pairs; i++)
        {
            coefficients[positive[i]] += Math.Sign(sum) * u[i];
            coefficients[negative[i]] -= Math.Sign(sum) * u[i];
        }

        return coefficients;
    }

    /// <summary>Unit eigenvector of the largest eigenvalue of products of vectors; empty when all are zero.</summary>
    private static ReadOnlySpan<double> FirstEigenvector(double[] products, int n) =>
        products.AsSpan().ContainsAnyExcept(0) ? new SymmetricEigen(products, n).Vector(0) : [];
}
