namespace EmScan.Engine.Numerics;

/// <summary>Quantiles of a sample.</summary>
internal static class Quantile
{
    /// <summary>
    /// The q-quantile with linear interpolation between the two nearest order statistics, at position q (n - 1): type 7 of Hyndman and Fan
    /// (1996, doi 10.1080/00031305.1996.10473566), numpy's default.
    /// </summary>
    /// <param name="sorted">At least one value, ascending.</param>
    /// <param name="q">From 0 to 1.</param>
    public static double OfSorted(ReadOnlySpan<double> sorted, double q)
    {
        double position = q * (sorted.Length - 1);
        int below = Math.Min((int)position, sorted.Length - 1), above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
    }

    /// <summary>The same of values in any order, which are left as they are.</summary>
    public static double Of(ReadOnlySpan<double> values, double q)
    {
        double[] sorted = values.ToArray();
        Array.Sort(sorted);
        return OfSorted(sorted, q);
    }
}
