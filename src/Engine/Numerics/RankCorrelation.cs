using MathNet.Numerics.Statistics;

namespace EmScan.Engine.Numerics;

/// <summary>Correlation of ranks.</summary>
internal static class RankCorrelation
{
    /// <summary>Spearman's correlation of two samples of the same length: Pearson's of their ranks, equal values at their mean rank.</summary>
    /// <param name="x">(n), finite.</param>
    /// <param name="y">(n), finite.</param>
    /// <returns>From -1 to 1; NaN with fewer than two values, or where either side is constant.</returns>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static double Spearman(double[] x, double[] y)
    {
        if (x.Length != y.Length) throw new ArgumentException($"{x.Length} values cannot be correlated with {y.Length}.", nameof(y));
        return x.Length < 2 ? double.NaN : Math.Clamp(Correlation.Spearman(x, y), -1, 1);
    }
}
