namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>Turns figures on weighted runs into estimates of all metrics.</summary>
internal static class MetricBootstrap
{
    /// <param name="runs">R.</param>
    /// <param name="options">How intervals are drawn.</param>
    /// <param name="compute">Writes one figure per metric.</param>
    /// <param name="whyUndefined">Reason for a figure that is NaN on all runs.</param>
    public static Dictionary<Metric, Estimate> Estimate(
        int runs, BootstrapOptions options, WeightedFigures compute, Func<Metric, string?> whyUndefined)
    {
        var all = new double[WeightedMetrics.Count];
        compute([.. Enumerable.Repeat(1, runs)], all);
        double[][] draws = RunBootstrap.Draw(runs, all.Length, options, compute);
        return Enum.GetValues<Metric>().ToDictionary(
            metric => metric,
            metric => Evaluation.Estimate.From(all[(int)metric], whyUndefined(metric), draws[(int)metric], options.Level));
    }
}
