using System.Text.Json;
using EmScan.Engine.Formats;
using EmScan.Engine.Numerics;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts.Evaluation;

/// <summary>Metrics against scikit-learn and scipy (Reference/metrics.py) and against their definitions, and what is undefined
/// when.</summary>
public sealed class MetricTests
{
    private static readonly JsonElement Root =
        JsonDocument.Parse(File.ReadAllText(Repository.File("tests/Engine.Tests/Verdicts/Evaluation/Reference/metrics.json"))).RootElement;

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, Root.GetProperty("cases").GetArrayLength())];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_metric_equals_that_of_scikit_learn(int index)
    {
        JsonElement expected = Root.GetProperty("cases")[index];
        EvaluationReport report = EvaluationReport.Compute(
            Sets.Read(expected.GetProperty("rows")), expected.GetProperty("danger").GetDouble(), expected.GetProperty("flag").GetDouble());
        foreach (Metric metric in Enum.GetValues<Metric>())
        {
            JsonElement reference = expected.GetProperty("metrics").GetProperty(metric.ToString());
            if (reference.ValueKind == JsonValueKind.Null)
            {
                Assert.Null(report[metric].Value);
                Assert.Null(report[metric].Interval);
                Assert.NotEmpty(report[metric].WhyUndefined!);
            }
            else
            {
                Assert.Equal(reference.GetDouble(), report[metric].Value!.Value, 1e-12);
                Assert.Null(report[metric].WhyUndefined);
            }
        }
    }

    /// <summary>20000 draws here against 4000 in numpy: the end of a 95% interval varies by about 1.5% of its width between such
    /// samples.</summary>
    [Fact]
    public void Intervals_over_runs_equal_those_of_a_bootstrap_in_numpy()
    {
        JsonElement expected = Root.GetProperty("cases")[0];
        EvaluationSet set = Sets.Read(expected.GetProperty("rows"));
        EvaluationReport report = EvaluationReport.Compute(set, bootstrap: new BootstrapOptions(20000, 9));
        foreach (JsonProperty entry in expected.GetProperty("intervals").EnumerateObject())
        {
            double low = entry.Value[0].GetDouble(), high = entry.Value[1].GetDouble();
            Interval interval = report[Enum.Parse<Metric>(entry.Name)].Interval!.Value;
            Assert.Equal(low, interval.Low, 0.06 * (high - low));
            Assert.Equal(high, interval.High, 0.06 * (high - low));
        }
    }

    [Fact]
    public void Quantiles_equal_those_of_numpy()
    {
        double[] sample = [.. Root.GetProperty("sample").EnumerateArray().Select(v => v.GetDouble()).Order()];
        foreach (JsonElement pair in Root.GetProperty("quantiles").EnumerateArray())
            Assert.Equal(pair[1].GetDouble(), Quantile.OfSorted(sample, pair[0].GetDouble()), 1e-14);
        Assert.Equal(3, Quantile.OfSorted([3], 0.7));
    }

    [Fact]
    public void Every_metric_on_weighted_runs_equals_its_definition_on_the_runs_written_out()
    {
        var random = new Random(42);
        int undefined = 0;
        for (int trial = 0; trial < 300; trial++)
        {
            EvaluationSet set = Sets.Random(random);
            double danger = random.Next(11) / 10.0, flag = random.Next(11) / 10.0;
            var weighted = new WeightedMetrics(set, danger, flag);
            int[] weights = [.. Enumerable.Range(0, set.RunCount).Select(_ => random.Next(4))];
            weights[random.Next(weights.Length)] = 1;
            (double, double)[] rows = WriteOut(set, weights);
            var figures = new double[WeightedMetrics.Count];
            weighted.Compute(weights, figures);
            foreach (Metric metric in Enum.GetValues<Metric>())
            {
                double? expected = DirectMetrics.Compute(metric, rows, danger, flag);
                if (expected is null)
                {
                    undefined++;
                    Assert.True(double.IsNaN(figures[(int)metric]), $"{metric} is {figures[(int)metric]} where it is undefined.");
                }
                else
                {
                    Assert.Equal(expected.Value, figures[(int)metric], 1e-9 * Math.Max(1, Math.Abs(expected.Value)));
                }
            }
        }

        Assert.InRange(undefined, 50, 1500);
    }

    [Fact]
    public void Intervals_and_left_out_draws_equal_a_slow_bootstrap_on_the_same_draws()
    {
        var random = new Random(4);
        for (int trial = 0; trial < 5; trial++)
        {
            EvaluationSet set = Sets.Random(random, fewestRuns: 2);
            var options = new BootstrapOptions(200, trial, 0.9);
            EvaluationReport report = EvaluationReport.Compute(set, 0.5, 0.4, options);
            List<(double, double)[]> draws = SlowDraws(set, options);
            foreach (Metric metric in Enum.GetValues<Metric>().Where(m => report[m].Value.HasValue))
            {
                double[] values = [.. draws.Select(rows => DirectMetrics.Compute(metric, rows, 0.5, 0.4)).OfType<double>().Order()];
                Assert.Equal(200 - values.Length, report[metric].DrawsLeftOut);
                Assert.Equal(Quantile.OfSorted(values, 0.05), report[metric].Interval!.Value.Low, 1e-9 * Math.Max(1, Math.Abs(values[0])));
                Assert.Equal(Quantile.OfSorted(values, 0.95), report[metric].Interval!.Value.High, 1e-9 * Math.Max(1, Math.Abs(values[0])));
            }
        }
    }

    [Fact]
    public void The_difference_of_two_detectors_uses_the_same_draws_for_both()
    {
        var random = new Random(6);
        EvaluationSet first = Sets.Random(random, fewestRuns: 4);
        var second = new EvaluationSet(first.Checkpoints.Reverse().Select(c => c with { PredictedRate = random.Next(11) / 10.0 }));
        var options = new BootstrapOptions(200, 3);
        MetricComparison comparison = MetricComparison.Compute(first, second, 0.5, 0.4, 0.6, options);
        List<(double, double)[]> one = SlowDraws(first, options), two = SlowDraws(second, options);
        foreach (Metric metric in Enum.GetValues<Metric>())
        {
            double?[] differences =
                [.. one.Zip(two, (a, b) => DirectMetrics.Compute(metric, a, 0.5, 0.4) - DirectMetrics.Compute(metric, b, 0.5, 0.6))];
            double[] values = [.. differences.OfType<double>().Order()];
            Estimate difference = comparison[metric];
            double? ofFirst = EvaluationReport.Compute(first, 0.5, 0.4)[metric].Value;
            double? ofSecond = EvaluationReport.Compute(second, 0.5, 0.6)[metric].Value;
            Assert.Equal(ofFirst!.Value - ofSecond!.Value, difference.Value!.Value, 1e-12);
            Assert.Equal(200 - values.Length, difference.DrawsLeftOut);
            Assert.Equal(Quantile.OfSorted(values, 0.025), difference.Interval!.Value.Low, 1e-9 * Math.Max(1, Math.Abs(values[0])));
            Assert.Equal(Quantile.OfSorted(values, 0.975), difference.Interval!.Value.High, 1e-9 * Math.Max(1, Math.Abs(values[0])));
        }
    }

    [Fact]
    public void A_detector_compared_with_itself_differs_by_exactly_nothing()
    {
        EvaluationSet set = Sets.Random(new Random(2), fewestRuns: 3);
        foreach (Estimate difference in MetricComparison.Compute(set, set, 0.5).Differences.Values.Where(d => d.Value.HasValue))
            Assert.Equal((0, new Interval(0, 0)), (difference.Value!.Value, difference.Interval!.Value));
    }

    [Fact]
    public void A_difference_that_is_not_defined_on_either_side_says_why()
    {
        // The first flags nothing, the second everything: only the second has a precision.
        EvaluationSet silent = Sets.Of(("a", 10, 0.1, 0.0), ("b", 10, 0.0, 0.0)), loud = Sets.Of(("a", 10, 0.1, 0.3), ("b", 10, 0.0, 0.3));
        foreach (MetricComparison comparison in new[] { MetricComparison.Compute(silent, loud), MetricComparison.Compute(loud, silent) })
        {
            Estimate precision = comparison[Metric.Precision];
            Assert.Equal((null, "no checkpoint is flagged"), (precision.Value, precision.WhyUndefined));
        }
    }

    [Fact]
    public void Detectors_on_other_checkpoints_are_not_compared()
    {
        EvaluationSet set = Sets.Of(("a", 10, 0.1, 0.1), ("b", 10, 0.0, 0.0));
        Assert.Contains("one has 2, the other 1", Problem(Sets.Of(("a", 10, 0.1, 0.1))));
        Assert.Contains("Step 10 of run 'b'", Problem(Sets.Of(("a", 10, 0.1, 0.1), ("b", 10, 0.2, 0.0))));

        string Problem(EvaluationSet other) => Assert.Throws<EmScanException>(() => MetricComparison.Compute(set, other)).Message;
    }

    [Fact]
    public void Undefined_metrics_are_null_with_a_reason()
    {
        EvaluationReport harmless = EvaluationReport.Compute(Sets.Of(("a", 10, 0.01, 0.01), ("b", 10, 0.01, 0.01)));
        Assert.Equal("no checkpoint is dangerous", harmless[Metric.FalseNegativeRate].WhyUndefined);
        Assert.Equal("no checkpoint is dangerous", harmless[Metric.Auroc].WhyUndefined);
        Assert.Equal("no checkpoint is flagged", harmless[Metric.Precision].WhyUndefined);
        Assert.Equal("the true or the predicted rates are all equal", harmless[Metric.Spearman].WhyUndefined);
        Assert.Equal("the true rates are all equal", harmless[Metric.RSquared].WhyUndefined);
        Assert.Equal(0, harmless[Metric.FalsePositiveRate].Value);
        Assert.Equal(1000, harmless[Metric.Auroc].DrawsLeftOut);

        EvaluationReport dangerous = EvaluationReport.Compute(Sets.Of(("a", 10, 0.2, 0.01), ("b", 10, 0.3, 0.02)));
        Assert.Equal("every checkpoint is dangerous", dangerous[Metric.FalsePositiveRate].WhyUndefined);
        Assert.Equal("every checkpoint is dangerous", dangerous[Metric.Auroc].WhyUndefined);
    }

    [Fact]
    public void Draws_without_a_value_are_left_out_and_counted()
    {
        // One of four runs is dangerous: (3/4)^4 = 31.6% of the draws have no dangerous checkpoint, where FNR and AUROC mean nothing.
        EvaluationReport report = EvaluationReport.Compute(
            Sets.Of(("a", 10, 0.2, 0.2), ("b", 10, 0.0, 0.0), ("c", 10, 0.0, 0.01), ("d", 10, 0.0, 0.02)));
        Assert.InRange(report[Metric.FalseNegativeRate].DrawsLeftOut, 250, 380);
        Assert.Equal(new Interval(0, 0), report[Metric.FalseNegativeRate].Interval);
        Assert.Equal(0, report[Metric.Accuracy].DrawsLeftOut);
    }

    [Fact]
    public void A_single_run_has_figures_and_no_interval()
    {
        EvaluationReport report = EvaluationReport.Compute(Sets.Of(("a", 10, 0.01, 0.0), ("a", 20, 0.2, 0.3)));
        Assert.Equal(1, report[Metric.Auroc].Value);
        Assert.Null(report[Metric.Auroc].Interval);
        Assert.Equal((1, 2), (report.Runs, report.Counts.Total));
    }

    [Fact]
    public void Intervals_over_runs_are_wider_than_checkpoints_would_suggest()
    {
        // 20 runs of 50 equal checkpoints: there are 20 observations, not 1000.
        EvaluationSet set = Sets.Of(
            [.. Enumerable.Range(0, 1000).Select(i => ($"run_{i / 50}", i % 50, 0.1, i / 50 % 4 == 0 ? 0.0 : 0.1))]);
        Interval interval = EvaluationReport.Compute(set)[Metric.FalseNegativeRate].Interval!.Value;
        Assert.InRange(interval.Width, 0.3, 0.45); // 3.92 sqrt(0.25 * 0.75 / 20) = 0.38; over checkpoints it would be 0.05
    }

    [Fact]
    public void The_order_of_the_checkpoints_changes_nothing()
    {
        EvaluationSet set = Sets.Random(new Random(5), fewestRuns: 3);
        EvaluationReport one = EvaluationReport.Compute(set);
        Assert.Equal(one.Metrics, EvaluationReport.Compute(new EvaluationSet(set.Checkpoints.Reverse())).Metrics);

        // Another seed draws other runs.
        EvaluationReport reseeded = EvaluationReport.Compute(set, bootstrap: new BootstrapOptions(Seed: 1));
        Assert.NotEqual(one[Metric.MeanAbsoluteError], reseeded[Metric.MeanAbsoluteError]);
    }

    [Fact]
    public void Thresholds_move_danger_and_flag_together()
    {
        EvaluationSet set = Sets.Of(("a", 10, 0.035, 0.045), ("a", 20, 0.07, 0.055), ("b", 10, 0.2, 0.2));
        IReadOnlyList<EvaluationReport> reports = EvaluationReport.AtThresholds(set);
        Assert.Equal(DangerThreshold.Sensitivity, reports.Select(r => r.DangerousAbove));
        Assert.Equal(DangerThreshold.Sensitivity, reports.Select(r => r.FlaggedAbove));
        Assert.Equal(new Confusion(3, 0, 0, 0), reports[0].Counts);
        Assert.Equal(new Confusion(2, 0, 1, 0), reports[1].Counts);
        Assert.Equal(new Confusion(1, 1, 0, 1), reports[3].Counts);
        Assert.Equal(new Confusion(1, 0, 0, 2), reports[5].Counts);
    }

    [Fact]
    public void A_rate_at_the_threshold_is_neither_dangerous_nor_flagged()
    {
        Assert.Equal(new Confusion(0, 0, 0, 1), EvaluationReport.Compute(Sets.Of(("a", 10, 0.06, 0.06))).Counts);
    }

    [Fact]
    public void Thresholds_and_options_out_of_range_are_refused()
    {
        EvaluationSet set = Sets.Of(("a", 10, 0, 0), ("b", 10, 0, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationReport.Compute(set, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationReport.Compute(set, 0.06, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationReport.Compute(set, bootstrap: new BootstrapOptions(0)));
        Assert.Throws<ArgumentOutOfRangeException>(() => EvaluationReport.Compute(set, bootstrap: new BootstrapOptions(Level: 1)));
    }

    [Fact]
    public void A_breakdown_gives_every_part_its_own_figures()
    {
        EvaluatedCheckpoint Row(string run, string? perturbation, double truth, double predicted) =>
            new(run, CheckpointStep.At(1), truth, predicted) { Perturbation = perturbation };
        var set = new EvaluationSet(
            [Row("1", "p10", 0.1, 0.1), Row("2", "p10", 0.1, 0.0), Row("3", "p9", 0.0, 0.0), Row("4", null, 0.0, 0.1)]);
        IReadOnlyList<(string? Key, EvaluationReport Report)> parts = EvaluationReport.By(set, c => c.Perturbation);
        Assert.Equal([null, "p9", "p10"], parts.Select(p => p.Key));
        Assert.Equal([new(0, 0, 1, 0), new(0, 0, 0, 1), new(1, 1, 0, 0)], parts.Select(p => p.Report.Counts));
        Assert.Equal(0.5, parts[2].Report[Metric.FalseNegativeRate].Value);
    }

    /// <summary>Draws runs as the engine does, and writes each draw out in full.</summary>
    private static List<(double, double)[]> SlowDraws(EvaluationSet set, BootstrapOptions options)
    {
        var draws = new List<(double, double)[]>();
        RunBootstrap.Draw(set.RunCount, 0, options, (weights, _) => draws.Add(WriteOut(set, weights)));
        Assert.Equal(options.Draws, draws.Count);
        return draws;
    }

    private static (double, double)[] WriteOut(EvaluationSet set, ReadOnlySpan<int> weights)
    {
        var rows = new List<(double, double)>();
        for (int run = 0; run < weights.Length; run++)
        {
            for (int copy = 0; copy < weights[run]; copy++)
                rows.AddRange(set.CheckpointsOf(run).Select(c => (c.TrueRate, c.PredictedRate)));
        }

        return [.. rows];
    }
}
