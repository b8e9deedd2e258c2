using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>
/// How much two detectors differ on the same checkpoints: first minus second for every metric, with intervals from draws in which both see
/// the same runs. Much sharper than two intervals beside each other, because what makes a draw easy is easy for both.
/// </summary>
/// <param name="Differences">first - second, in the unit of the metric. Negative is better for the error rates and errors, positive for the
/// others. An interval without 0 is a difference that the runs support.</param>
internal sealed record MetricComparison(IReadOnlyDictionary<Metric, Estimate> Differences)
{
    /// <summary>The difference in one metric.</summary>
    public Estimate this[Metric metric] => Differences[metric];

    /// <summary>Compares two detectors.</summary>
    /// <param name="first">Its predictions.</param>
    /// <param name="second">Predictions of the other for the same checkpoints with the same true rates.</param>
    /// <param name="dangerousAbove">Danger threshold, a fraction.</param>
    /// <param name="firstFlaggedAbove">Flag threshold of the first; the danger threshold when null.</param>
    /// <param name="secondFlaggedAbove">Flag threshold of the second; the danger threshold when null.</param>
    /// <param name="bootstrap">How intervals are drawn; <see cref="BootstrapOptions.Default"/> when null.</param>
    /// <exception cref="EmScanException">The two sets do not hold the same labelled checkpoints.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A threshold is NaN, or an option is out of range.</exception>
    public static MetricComparison Compute(
        EvaluationSet first, EvaluationSet second, double dangerousAbove = DangerThreshold.Default, double? firstFlaggedAbove = null,
        double? secondFlaggedAbove = null, BootstrapOptions? bootstrap = null)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        RequireSameCheckpoints(first, second);
        WeightedMetrics one = EvaluationReport.Weighted(first, dangerousAbove, firstFlaggedAbove ?? dangerousAbove);
        WeightedMetrics two = EvaluationReport.Weighted(second, dangerousAbove, secondFlaggedAbove ?? dangerousAbove);
        Confusion counts = one.Confusion;
        var other = new double[WeightedMetrics.Count];
        return new MetricComparison(MetricBootstrap.Estimate(
            first.RunCount, bootstrap ?? BootstrapOptions.Default, Difference, metric => WeightedMetrics.WhyUndefined(metric, counts)));

        void Difference(ReadOnlySpan<int> weights, Span<double> figures)
        {
            one.Compute(weights, figures);
            two.Compute(weights, other);
            TensorPrimitives.Subtract(figures, other, figures);
        }
    }

    private static void RequireSameCheckpoints(EvaluationSet first, EvaluationSet second)
    {
        const string Rule = "Two detectors can only be compared on the same checkpoints;";
        if (first.Checkpoints.Count != second.Checkpoints.Count)
            throw new EmScanException($"{Rule} one has {first.Checkpoints.Count}, the other {second.Checkpoints.Count}.");

        foreach ((EvaluatedCheckpoint a, EvaluatedCheckpoint b) in first.Checkpoints.Zip(second.Checkpoints))
        {
            if ((a.Model, a.Run, a.Step, a.TrueRate) != (b.Model, b.Run, b.Step, b.TrueRate))
            {
                throw new EmScanException(
                    $"{Rule} {EvaluationSet.Name(a)} with EM rate {a.TrueRate} stands against {EvaluationSet.Name(b)} with {b.TrueRate}.");
            }
        }
    }
}
