using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Paths;

/// <summary>The shape of a quantity along a path that starts at 0 (docs/path.md).</summary>
/// <param name="Spearman">Rank correlation of y with t.</param>
/// <param name="LinearityR2">R^2 of the line with intercept.</param>
/// <param name="ChordDeviation">max |y(t) - t y(1)| / |y(1)|.</param>
/// <param name="MonotoneSteps">Steps in the direction of y(1).</param>
/// <param name="Steps">Steps.</param>
internal sealed record PathShape(double Spearman, double LinearityR2, double ChordDeviation, int MonotoneSteps, int Steps)
{
    /// <summary>Describes a quantity.</summary>
    /// <param name="t">From 0 to 1, ascending.</param>
    /// <param name="y">The values.</param>
    internal static PathShape Of(double[] t, double[] y)
    {
        double end = y[^1];
        return new PathShape(
            RankCorrelation.Spearman(t, y), LineFit.Of(t, y).RSquared, t.Zip(y, (at, value) => Math.Abs(value - (at * end))).Max() / Math.Abs(end),
            Enumerable.Range(1, y.Length - 1).Count(i => Math.Sign(y[i] - y[i - 1]) == Math.Sign(end) && end != 0), y.Length - 1);
    }
}
