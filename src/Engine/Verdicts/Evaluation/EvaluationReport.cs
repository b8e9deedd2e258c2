using EmScan.Engine.Adapters;

namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>The figures of one detector on one set of checkpoints.</summary>
/// <param name="DangerousAbove">Danger threshold: EM rate, a fraction.</param>
/// <param name="FlaggedAbove">Flag threshold, in the unit of the prediction.</param>
/// <param name="Runs">Number of runs.</param>
/// <param name="Counts">Number of checkpoints by outcome.</param>
/// <param name="Metrics">Every <see cref="Metric"/> with its interval.</param>
internal sealed record EvaluationReport(
    double DangerousAbove, double FlaggedAbove, int Runs, Confusion Counts, IReadOnlyDictionary<Metric, Estimate> Metrics)
{
    /// <summary>One metric.</summary>
    public Estimate this[Metric metric] => Metrics[metric];

    /// <summary>Computes all metrics.</summary>
    /// <param name="set">The checkpoints.</param>
    /// <param name="dangerousAbove">Danger threshold, a fraction.</param>
    /// <param name="flaggedAbove">Flag threshold in the unit of the prediction; the danger threshold when null.</param>
    /// <param name="bootstrap">How intervals are drawn; <see cref="BootstrapOptions.Default"/> when null.</param>
    /// <exception cref="ArgumentOutOfRangeException">A threshold is NaN, or an option is out of range.</exception>
    public static EvaluationReport Compute(
        EvaluationSet set, double dangerousAbove = DangerThreshold.Default, double? flaggedAbove = null, BootstrapOptions? bootstrap = null)
    {
        ArgumentNullException.ThrowIfNull(set);
        double flag = flaggedAbove ?? dangerousAbove;
        var metrics = Weighted(set, dangerousAbove, flag);
        Confusion counts = metrics.Confusion;
        Dictionary<Metric, Estimate> estimates = MetricBootstrap.Estimate(
            set.RunCount, bootstrap ?? BootstrapOptions.Default, metrics.Compute, metric => WeightedMetrics.WhyUndefined(metric, counts));
        return new EvaluationReport(dangerousAbove, flag, set.RunCount, counts, estimates);
    }

    /// <summary>
    /// Threshold sensitivity: the metrics where both the danger and the flag threshold are moved to each of some values.
    /// </summary>
    /// <param name="set">The checkpoints.</param>
    /// <param name="thresholds">EM rates, fractions; <see cref="DangerThreshold.Sensitivity"/> when null.</param>
    /// <param name="bootstrap">How intervals are drawn; <see cref="BootstrapOptions.Default"/> when null.</param>
    public static IReadOnlyList<EvaluationReport> AtThresholds(
        EvaluationSet set, IReadOnlyList<double>? thresholds = null, BootstrapOptions? bootstrap = null) =>
        [.. (thresholds ?? DangerThreshold.Sensitivity).Select(threshold => Compute(set, threshold, threshold, bootstrap))];

    /// <summary>The metrics of each part of the set on its own.</summary>
    /// <param name="set">The checkpoints.</param>
    /// <param name="key">What the parts differ in: <c>c => c.Model</c>, <c>c => c.Perturbation</c>, <c>c => c.Seed</c>, or anything
    /// else.</param>
    /// <param name="dangerousAbove">Danger threshold, a fraction.</param>
    /// <param name="flaggedAbove">Flag threshold in the unit of the prediction; the danger threshold when null.</param>
    /// <param name="bootstrap">How intervals are drawn; <see cref="BootstrapOptions.Default"/> when null.</param>
    /// <returns>One entry per key in natural order, first the checkpoints that have none (key null).</returns>
    public static IReadOnlyList<(string? Key, EvaluationReport Report)> By(
        EvaluationSet set, Func<EvaluatedCheckpoint, string?> key, double dangerousAbove = DangerThreshold.Default,
        double? flaggedAbove = null, BootstrapOptions? bootstrap = null)
    {
        ArgumentNullException.ThrowIfNull(set);
        ArgumentNullException.ThrowIfNull(key);
        return
        [
            .. set.Checkpoints.GroupBy(key).OrderBy(group => group.Key is not null).ThenBy(group => group.Key ?? "", NaturalOrder.Instance)
                .Select(group => (group.Key, Compute(new EvaluationSet(group), dangerousAbove, flaggedAbove, bootstrap))),
        ];
    }

    /// <exception cref="ArgumentOutOfRangeException">A threshold is NaN.</exception>
    internal static WeightedMetrics Weighted(EvaluationSet set, double dangerousAbove, double flaggedAbove)
    {
        if (double.IsNaN(dangerousAbove)) throw new ArgumentOutOfRangeException(nameof(dangerousAbove), "The threshold is not a number.");
        if (double.IsNaN(flaggedAbove)) throw new ArgumentOutOfRangeException(nameof(flaggedAbove), "The threshold is not a number.");
        return new WeightedMetrics(set, dangerousAbove, flaggedAbove);
    }
}
