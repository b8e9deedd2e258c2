using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>A line y = a + b x by ordinary least squares, with intercept.</summary>
/// <param name="Intercept">a.</param>
/// <param name="Slope">b; NaN where x is constant.</param>
/// <param name="RSquared">1 - residual sum of squares / total sum of squares about the mean; NaN where y is constant.</param>
/// <param name="SlopeStandardError">sqrt(residual sum of squares / (n - 2) / sum of squared deviations of x); NaN with two points.</param>
internal sealed record LineFit(double Intercept, double Slope, double RSquared, double SlopeStandardError)
{
    /// <summary>Fits the line. Sums are taken about the means, so that nothing cancels where they are far from zero.</summary>
    /// <param name="x">(n), n at least 2, finite.</param>
    /// <param name="y">(n), finite.</param>
    /// <exception cref="ArgumentException">The lengths differ, or there are fewer than two points.</exception>
    public static LineFit Of(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        if (x.Length != y.Length || x.Length < 2)
            throw new ArgumentException($"{x.Length} and {y.Length} values give no line; there must be as many of both, at least 2.", nameof(y));
        double meanX = TensorPrimitives.Average(x), meanY = TensorPrimitives.Average(y);
        double squaresX = 0, squaresY = 0, products = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double dx = x[i] - meanX, dy = y[i] - meanY;
            squaresX += dx * dx;
            squaresY += dy * dy;
            products += dx * dy;
        }

        double slope = products / squaresX, residual = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double miss = y[i] - meanY - slope * (x[i] - meanX);
            residual += miss * miss;
        }

        double error = x.Length > 2 ? Math.Sqrt(residual / (x.Length - 2) / squaresX) : double.NaN;
        return new LineFit(meanY - slope * meanX, slope, squaresY > 0 ? 1 - residual / squaresY : double.NaN, error);
    }
}
