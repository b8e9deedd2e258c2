namespace EmScan.Engine.Numerics;

/// <summary>Area under the receiver operating characteristic: how often a value of one group is above one of another, equal values half.</summary>
/// <remarks>The Mann-Whitney statistic over the number of pairs; sums of whole and half numbers, so exact up to one division.</remarks>
internal static class Auroc
{
    /// <summary>From 0 to 1; 0.5 is chance. NaN where a group is empty.</summary>
    internal static double Of(IEnumerable<double> above, IEnumerable<double> below)
    {
        double[] high = [.. above.Order()], low = [.. below.Order()];
        return Wins(high, low) / ((double)high.Length * low.Length);
    }

    /// <summary>Pairs in which the value of the first group is larger, equal ones half.</summary>
    /// <param name="sorted">Ascending.</param>
    /// <param name="others">Ascending.</param>
    internal static double Wins(ReadOnlySpan<double> sorted, ReadOnlySpan<double> others)
    {
        double wins = 0;
        int below = 0, upTo = 0;
        foreach (double value in sorted)
        {
            while (below < others.Length && others[below] < value) below++;
            upTo = Math.Max(upTo, below);
            while (upTo < others.Length && others[upTo] <= value) upTo++;
            wins += below + ((upTo - below) / 2.0);
        }

        return wins;
    }
}
