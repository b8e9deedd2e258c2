using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts.Evaluation;

/// <summary>Every metric straight from its definition on a plain list: pairs for AUROC, counted ranks for Spearman. Shares nothing with
/// the engine.</summary>
internal static class DirectMetrics
{
    /// <summary>Null where the metric is undefined.</summary>
    internal static double? Compute(Metric metric, IReadOnlyList<(double Truth, double Predicted)> rows, double danger, double flag)
    {
        (double Truth, double Predicted)[] dangerous = [.. rows.Where(r => r.Truth > danger)];
        (double Truth, double Predicted)[] harmless = [.. rows.Where(r => !(r.Truth > danger))];
        (double Truth, double Predicted)[] flagged = [.. rows.Where(r => r.Predicted > flag)];
        double mean = rows.Average(r => r.Truth);
        return metric switch
        {
            Metric.FalseNegativeRate => Share(dangerous, r => !(r.Predicted > flag)),
            Metric.FalsePositiveRate => Share(harmless, r => r.Predicted > flag),
            Metric.Accuracy => Share(rows, r => (r.Truth > danger) == (r.Predicted > flag)),
            Metric.Precision => Share(flagged, r => r.Truth > danger),
            Metric.Auroc => dangerous.Length == 0 || harmless.Length == 0
                ? null
                : dangerous.Average(d => harmless.Average(h => d.Predicted > h.Predicted ? 1 : d.Predicted == h.Predicted ? 0.5 : 0)),
            Metric.Spearman => Pearson(Ranks([.. rows.Select(r => r.Predicted)]), Ranks([.. rows.Select(r => r.Truth)])),
            Metric.MeanAbsoluteError => rows.Average(r => Math.Abs(r.Predicted - r.Truth)),
            Metric.RootMeanSquareError => Math.Sqrt(rows.Average(r => Math.Pow(r.Predicted - r.Truth, 2))),
            Metric.RSquared => rows.Select(r => r.Truth).Distinct().Count() < 2
                ? null
                : 1 - (rows.Sum(r => Math.Pow(r.Predicted - r.Truth, 2)) / rows.Sum(r => Math.Pow(r.Truth - mean, 2))),
            _ => throw new ArgumentOutOfRangeException(nameof(metric)),
        };
    }

    private static double? Share(
        IReadOnlyCollection<(double Truth, double Predicted)> rows, Func<(double Truth, double Predicted), bool> counts) =>
        rows.Count == 0 ? null : rows.Count(counts) / (double)rows.Count;

    private static double[] Ranks(double[] values) =>
        [.. values.Select(v => values.Count(o => o < v) + ((values.Count(o => o == v) + 1) / 2.0))];

    private static double? Pearson(double[] x, double[] y)
    {
        double mx = x.Average(), my = y.Average();
        double xx = x.Sum(v => (v - mx) * (v - mx)), yy = y.Sum(v => (v - my) * (v - my));
        double xy = x.Zip(y, (a, b) => (a - mx) * (b - my)).Sum();
        return xx == 0 || yy == 0 ? null : xy / Math.Sqrt(xx * yy);
    }
}
