namespace EmScan.Engine.Traits;

/// <summary>Estimates a trait direction from hidden states of its two poles.</summary>
/// <remarks>
/// <para>All methods return a unit vector (D) that points to the positive pole, computed in float64 and rounded once. Each direction is a
/// combination of the N samples, so everything is solved in their span through the N x N Gram matrix: exact, and independent of D.</para>
/// <list type="bullet">
/// <item><b>Mean difference</b>: mean(h+) - mean(h-).</item>
/// <item><b>Paired PCA</b>: sample i of one pole is the counterpart of sample i of the other (same question, same prompt index).
/// Each pair is centred on its own midpoint, which leaves +d_i/2 and -d_i/2 with d_i = h+_i - h-_i; these have mean zero, and their first
/// principal component is the top right singular vector of the matrix of the d_i. The d_i are <em>not</em> centred on their mean: that
/// would remove the mean difference, which is the trait, and keep only how it varies. The sign, which a principal component does not have,
/// is the one with a positive product with the mean difference.</item>
/// <item><b>Logistic probe</b>: minimises 1/2 |w|^2 + sum_i log(1 + exp(-y_i (w.z_i + b))) with b free, as scikit-learn's
/// LogisticRegression(C=1) does, to a gradient below 1e-10. z_i = (h_i - mean) / s with one scalar s, the root mean square deviation per
/// coordinate (mean |h_i - mean|^2 = s^2 D). One scalar instead of one per coordinate: the penalty then has the same strength in a model
/// with large activations as in one with small ones, and the direction does not depend on the basis. w points back in the residual stream
/// without rescaling, and always towards the positive pole: at w = 0 the loss falls only along vectors with a positive product with the
/// mean difference.</item>
/// </list>
/// </remarks>
internal static class DirectionEstimator
{
    /// <summary>Estimates one direction.</summary>
    /// <param name="method">The estimator.</param>
    /// <param name="positive">Hidden states of the positive pole, (N+, D) row-major, finite.</param>
    /// <param name="negative">Hidden states of the negative pole, (N-, D) row-major, finite; N- = N+ for
    /// <see cref="DirectionMethod.PairedPca"/>.</param>
    /// <param name="hiddenSize">D, at least 1.</param>
    /// <returns>A unit vector, (D).</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    /// <exception cref="EmScanException">The samples define no direction: a value is not finite, or the poles do not differ.</exception>
    public static float[] Estimate(DirectionMethod method, ReadOnlySpan<float> positive, ReadOnlySpan<float> negative, int hiddenSize)
    {
        var samples = new ContrastSamples(positive, negative, hiddenSize);
        double[] coefficients = SpanEstimator.Coefficients(method, samples.Gram, samples.AllPositive, samples.AllNegative);
        return samples.Direction(coefficients);
    }
}
