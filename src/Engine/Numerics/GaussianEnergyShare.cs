using MathNet.Numerics;

namespace EmScan.Engine.Numerics;

/// <summary>
/// Which share of the coordinates of a large random matrix holds most of its squared norm: of independent Gaussian values, and of the product of two
/// Gaussian factors of rank R, whose coordinates are Gaussian with a variance that follows chi squared of R degrees of freedom.
/// </summary>
/// <remarks>E[x^2; |x| > t] and P(|x| > t) of the mixture, integrated by the midpoint rule, and t by bisection; right to 1e-5.</remarks>
internal static class GaussianEnergyShare
{
    private const int Points = 4000;

    /// <summary>The least share of coordinates that holds a share of the squared norm.</summary>
    /// <param name="energy">Share of the squared norm, in (0, 1).</param>
    /// <param name="rank">R, or null for independent values.</param>
    internal static double Of(double energy, int? rank = null)
    {
        (double Variance, double Weight)[] mixture = rank is { } r ? ChiSquared(r) : [(1, 1)];
        double total = mixture.Sum(m => m.Variance * m.Weight), low = 0, high = 60 * Math.Sqrt(total);
        for (int i = 0; i < 100; i++)
        {
            double middle = (low + high) / 2;
            if (mixture.Sum(m => m.Weight * m.Variance * TailEnergy(middle / Math.Sqrt(m.Variance))) > energy * total) low = middle;
            else high = middle;
        }

        return mixture.Sum(m => m.Weight * SpecialFunctions.Erfc(low / Math.Sqrt(2 * m.Variance)));
    }

    // E[z^2; |z| > t] of a standard normal value.
    private static double TailEnergy(double t) => SpecialFunctions.Erfc(t / Math.Sqrt(2)) + (2 * t * Math.Exp(-t * t / 2) / Math.Sqrt(2 * Math.PI));

    // In v = u^2, whose density has no pole at 0 for one degree of freedom.
    private static (double, double)[] ChiSquared(int degrees)
    {
        double end = Math.Sqrt(degrees) + 8, logGamma = SpecialFunctions.GammaLn(degrees / 2.0), step = end / Points;
        return [.. Enumerable.Range(0, Points).Select(i =>
        {
            double u = (i + 0.5) * step;
            return (u * u, step * 2 * Math.Exp(((degrees - 1) * Math.Log(u)) - (u * u / 2) - logGamma - (degrees / 2.0 * Math.Log(2))));
        })];
    }
}
