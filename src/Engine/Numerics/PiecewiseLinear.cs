namespace EmScan.Engine.Numerics;

/// <summary>Points joined by straight lines.</summary>
internal static class PiecewiseLinear
{
    /// <summary>Where a level is first reached; null where it never is.</summary>
    /// <param name="x">(n), ascending.</param>
    /// <param name="y">(n).</param>
    /// <param name="level">A value of y.</param>
    internal static double? FirstReach(double[] x, double[] y, double level)
    {
        int at = Array.FindIndex(y, value => value >= level);
        return at < 0 ? null : at == 0 ? x[0] : x[at - 1] + ((x[at] - x[at - 1]) * (level - y[at - 1]) / (y[at] - y[at - 1]));
    }
}
