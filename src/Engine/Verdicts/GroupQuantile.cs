namespace EmScan.Engine.Verdicts;

/// <summary>Quantiles over whole groups: what a checkpoint of a group that was never seen stays below.</summary>
/// <remarks>
/// Hierarchical conformal prediction (Dunn, Wasserman and Ramdas 2023, doi 10.1080/01621459.2022.2060112; Lee, Barber and Willett 2023): with K groups of n_k
/// values each value weighs 1 / ((K + 1) n_k), and the group to come 1 / (K + 1) at infinity. Checkpoints of one finetuning are alike, so the
/// number of finetunings is what counts, not that of checkpoints.
/// </remarks>
internal static class GroupQuantile
{
    /// <summary>The smallest value with at least <paramref name="level"/> of the weight at or below it; the largest one where even that has less,
    /// which is so with fewer groups than level / (1 - level).</summary>
    /// <param name="values">Values with the groups that they belong to; at least one.</param>
    /// <param name="level">Between 0 and 1.</param>
    internal static double Of(IReadOnlyList<(string Group, double Value)> values, double level)
    {
        Dictionary<string, int> sizes = values.GroupBy(v => v.Group).ToDictionary(g => g.Key, g => g.Count());
        double below = 0;
        foreach ((string group, double value) in values.OrderBy(v => v.Value))
        {
            below += 1.0 / ((sizes.Count + 1) * (double)sizes[group]);
            if (below >= level - 1e-12) return value;
        }

        return values.Max(v => v.Value);
    }
}
