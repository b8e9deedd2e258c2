using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>(x - mean) / s per feature, s the population standard deviation: scikit-learn's StandardScaler.</summary>
/// <remarks>A feature that is constant but for rounding keeps its scale, s = 1. The bound on rounding is scikit-learn's: a variance of at
/// most N e v + (N e mean)^2, e the unit of double precision, v the variance.</remarks>
internal sealed class Standardizer : ITransform
{
    internal const string KindName = "standardizer";

    private readonly double[] _mean;  // (F)
    private readonly double[] _scale; // (F)

    internal Standardizer(double[] mean, double[] scale)
    {
        _mean = mean;
        _scale = scale;
    }

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int InputCount => _mean.Length;

    /// <inheritdoc/>
    public int OutputCount => _mean.Length;

    /// <summary>Means, (F).</summary>
    public ReadOnlySpan<double> Mean => _mean;

    /// <summary>Standard deviations, or 1 for constant features, (F).</summary>
    public ReadOnlySpan<double> Scale => _scale;

    /// <summary>Takes the means and standard deviations of the rows.</summary>
    public static Standardizer Fit(FeatureMatrix x)
    {
        const double Unit = 2.220446049250313e-16;
        ArgumentNullException.ThrowIfNull(x);
        double[][] deviations = x.CentredColumns(out double[] means);
        var scales = new double[x.FeatureCount];
        for (int f = 0; f < scales.Length; f++)
        {
            // The deviations' own mean is the rounding of the mean; its square corrects the variance.
            double left = TensorPrimitives.Sum<double>(deviations[f]) / x.RowCount;
            double variance = (TensorPrimitives.SumOfSquares<double>(deviations[f]) / x.RowCount) - (left * left);
            double rounding = x.RowCount * Unit * means[f];
            scales[f] = variance <= (x.RowCount * Unit * variance) + (rounding * rounding) ? 1 : Math.Sqrt(variance);
        }

        return new Standardizer(means, scales);
    }

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> row, Span<double> result)
    {
        Guard.Row(row, InputCount);
        Guard.Result(result, OutputCount);
        TensorPrimitives.Subtract(row, _mean, result);
        TensorPrimitives.Divide(result, _scale, result);
    }
}
