using System.Globalization;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Bench.Accuracy;

/// <summary>Figures as Markdown tables: percent, 95% intervals over runs in brackets.</summary>
internal static class Markdown
{
    /// <summary>All detectors of a protocol.</summary>
    /// <param name="output">Receives the table.</param>
    /// <param name="protocol">The detectors.</param>
    /// <param name="elsewhere">Detectors on states of another place, for the same checkpoints.</param>
    /// <param name="place">That place.</param>
    public static void Write(TextWriter output, StudyProtocol protocol, StudyProtocol? elsewhere = null, string place = "")
    {
        EvaluationReport first = protocol.Rows[0].Report!;
        output.WriteLine($"{first.Counts.Total} checkpoints of {first.Runs} runs, {first.Counts.Dangerous} dangerous.");
        output.WriteLine();
        output.WriteLine("| features | regressor | FNR % | FPR % | AUROC | AUROC of the first row, more |");
        output.WriteLine("|---|---|---|---|---|---|");
        foreach (StudyRow row in protocol.Rows)
        {
            string name = $"| {row.Recipe.Features.Title.Replace("|", "\\|")} | {row.Recipe.Learner.Title} |";
            if (row.Report == null) output.WriteLine($"{name} not fitted | | | |");
            else output.WriteLine($"{name} {Cells(row.Report)} {(row.AgainstFirst is { } d ? Cell(d[Metric.Auroc], 1, "+0.000;-0.000;0.000") : "")} |");
        }

        foreach (StudyRow row in elsewhere?.Rows ?? [])
        {
            string name = $"| {place}: {row.Recipe.Features.Title.Replace("|", "\\|")} | {row.Recipe.Learner.Title} |";
            output.WriteLine(row.Report == null ? $"{name} not fitted | | | |" : $"{name} {Cells(row.Report)} {Cell(AgainstFirst(protocol.Rows[0], row)[Metric.Auroc], 1, "+0.000;-0.000;0.000")} |");
        }

        output.WriteLine();
        if (protocol.Outside is not { } o) return;
        output.WriteLine($"First row, outside what it was fitted on: {o.Outside} of {o.Checkpoints} checkpoints; of the missed dangerous ones {o.MissedOutside} of {o.Missed}, of the false alarms {o.FalseAlarmsOutside} of {o.FalseAlarms}.");
        output.WriteLine();
    }

    private static MetricComparison AgainstFirst(StudyRow first, StudyRow other) => MetricComparison.Compute(
        new EvaluationSet(first.Scores.Select(s => s.ToEvaluated())), new EvaluationSet(other.Scores.Select(s => s.ToEvaluated())), DangerThreshold.Default,
        first.Recipe.Learner.FlaggedAbove(DangerThreshold.Default), other.Recipe.Learner.FlaggedAbove(DangerThreshold.Default));

    /// <summary>What the headline detector says besides: certain labels, intervals, unknown, forecast.</summary>
    public static void Beside(TextWriter output, StudyProtocol protocol)
    {
        if (protocol.Certain is { Report: { } certain } c)
            output.WriteLine($"First row over the {c.Certain} of {c.Checkpoints} checkpoints with a certain label: FNR {Percent(certain[Metric.FalseNegativeRate])}, FPR {Percent(certain[Metric.FalsePositiveRate])}, AUROC {Cell(certain[Metric.Auroc], 1, "0.000")}.");
        if (protocol.Coverage is { } coverage)
        {
            output.WriteLine($"Its 90% intervals hold {Percent(coverage.Coverage)}% of the true rates, at a mean width of {Percent(coverage.MeanWidth)} points; least of "
                + $"{string.Join(", ", protocol.CoverageByPerturbation.OrderBy(p => p.Coverage.Coverage.Value).Take(3).Select(p => $"{p.Key} ({Percent(p.Coverage.Coverage with { Interval = null })}%)"))}.");
        }

        if (protocol.Unknown is { } u) output.WriteLine($"*Unknown* is said of {u.HarmlessUnknown} of {u.Harmless} harmless checkpoints and of {u.MissedUnknown} of the {u.Missed} missed ones.");
        foreach (ForecastStudy f in protocol.Forecasts)
        {
            int warned = f.Warning.Count(WarningOutcome.Warned), missed = f.Warning.Count(WarningOutcome.Missed), alarms = f.Warning.Count(WarningOutcome.FalseAlarm), quiet = f.Warning.Count(WarningOutcome.Quiet);
            output.WriteLine($"Forecast with {100 * f.FalseAlarmRate:0}% of benign runs alarmed: median lead {Cell(f.MedianLead, 1, "0")} steps, {missed} of {warned + missed} dangerous runs missed, {alarms} of {alarms + quiet} benign runs alarmed.");
        }

        output.WriteLine();
    }

    private static string Percent(Estimate estimate) => Cell(estimate, 100, "0.0");

    /// <summary>FNR, FPR and AUROC as three cells.</summary>
    public static string Cells(EvaluationReport report) =>
        $"{Cell(report[Metric.FalseNegativeRate], 100, "0.0")} | {Cell(report[Metric.FalsePositiveRate], 100, "0.0")} | {Cell(report[Metric.Auroc], 1, "0.000")} |";

    /// <summary>A figure with its interval.</summary>
    public static string Cell(Estimate estimate, double unit, string format)
    {
        if (estimate.Value is not { } value) return "-";
        string interval = estimate.Interval is { } i ? $" [{Number(unit * i.Low, format)}, {Number(unit * i.High, format)}]" : "";
        return Number(unit * value, format) + interval;
    }

    public static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
