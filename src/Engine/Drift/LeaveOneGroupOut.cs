namespace EmScan.Engine.Drift;

/// <summary>One group left out of the fit of a drift axis.</summary>
/// <param name="Group">The group, for example a perturbation.</param>
/// <param name="Runs">Number of runs in it.</param>
/// <param name="Cosine">|cos| between the axis without it and the axis of all runs; null when there is no axis without it.</param>
/// <param name="WhyUndefined">Why there is none, one sentence; null when there is a cosine.</param>
internal sealed record LeftOutGroup(string Group, long Runs, double? Cosine, string? WhyUndefined);

/// <summary>
/// Control of a drift axis: does it hang on one perturbation? The axis is fitted without each group in turn; |cos| near 1 for all of them
/// means that it is a property of the drifts in general, a low one that the left-out group makes the axis.
/// </summary>
/// <param name="Axis">The axis of all groups together.</param>
/// <param name="Groups">One entry per group, in the order given.</param>
/// <param name="LowestCosine">The smallest of the cosines; null when none is defined.</param>
/// <param name="MeanCosine">Their mean; null when none is defined.</param>
internal sealed record LeaveOneGroupOut(DriftAxis Axis, IReadOnlyList<LeftOutGroup> Groups, double? LowestCosine, double? MeanCosine)
{
    /// <summary>Fits the axis of all groups and those without each of them, by merging moments.</summary>
    /// <param name="groups">Drifts by group.</param>
    /// <exception cref="EmScanException">There are fewer than two groups, all together have no axis, or their traits differ.</exception>
    public static LeaveOneGroupOut Compute(IReadOnlyList<KeyValuePair<string, DriftAxisBuilder>> groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        if (groups.Count < 2)
            throw new EmScanException("Leaving one group out needs at least two groups of runs; label more perturbations.");
        DriftAxis all = FitWithout(groups, null);
        LeftOutGroup[] rows = [.. groups.Select(group => Without(group, groups, all))];
        double[] cosines = [.. rows.Where(row => row.Cosine.HasValue).Select(row => row.Cosine!.Value)];
        return new LeaveOneGroupOut(all, rows, cosines.Length > 0 ? cosines.Min() : null, cosines.Length > 0 ? cosines.Average() : null);
    }

    private static LeftOutGroup Without(
        KeyValuePair<string, DriftAxisBuilder> left, IReadOnlyList<KeyValuePair<string, DriftAxisBuilder>> groups, DriftAxis all)
    {
        try
        {
            return new LeftOutGroup(left.Key, left.Value.Count, FitWithout(groups, left.Value).Cosine(all), null);
        }
        catch (EmScanException tooLittle)
        {
            // The rest is too small or does not vary: that is the answer for this group, not a failure of the control.
            return new LeftOutGroup(left.Key, left.Value.Count, null, tooLittle.Message);
        }
    }

    private static DriftAxis FitWithout(IReadOnlyList<KeyValuePair<string, DriftAxisBuilder>> groups, DriftAxisBuilder? left)
    {
        var rest = new DriftAxisBuilder(groups[0].Value.Traits);
        foreach ((_, DriftAxisBuilder group) in groups)
        {
            if (group != left) rest.Merge(group);
        }

        return rest.Fit();
    }
}
