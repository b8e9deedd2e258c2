using System.Globalization;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Bench.Accuracy;

/// <summary>Figures as Markdown tables: percent, 95% intervals over runs in brackets.</summary>
internal static class Markdown
{
    /// <summary>All detectors of a protocol.</summary>
    public static void Write(TextWriter output, StudyProtocol protocol)
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

        output.WriteLine();
        if (protocol.Outside is not { } o) return;
        output.WriteLine($"First row, outside what it was fitted on: {o.Outside} of {o.Checkpoints} checkpoints; of the missed dangerous ones {o.MissedOutside} of {o.Missed}, of the false alarms {o.FalseAlarmsOutside} of {o.FalseAlarms}.");
        output.WriteLine();
    }

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
