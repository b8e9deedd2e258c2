using System.Globalization;
using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Reports;

/// <summary>The figures of a study as CSV: fractions, not percent.</summary>
internal static class DetectorStudyCsv
{
    /// <summary>Writes one line per protocol, part and detector; parts are those of the first detector.</summary>
    public static void Write(TextWriter output, DetectorStudy study)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(study);
        Metric[] metrics = Enum.GetValues<Metric>();
        IEnumerable<string> columns =
        [
            "protocol", "detector", "part", "dangerous_above", "runs", "checkpoints", "dangerous", "flagged",
            .. metrics.SelectMany(m => new[] { FiguresRecord.Key(m), $"{FiguresRecord.Key(m)}_low", $"{FiguresRecord.Key(m)}_high" }),
        ];
        using var csv = new CsvLines(output);
        csv.Write(columns);
        foreach (StudyProtocol protocol in study.Protocols)
        {
            foreach (StudyRow row in protocol.Rows.Where(r => r.Report != null)) Line(protocol.Name, row.Recipe.Name, "", row.Report!);
            string first = protocol.Rows[0].Recipe.Name;
            foreach ((string? key, EvaluationReport report) in protocol.ByModel) Line(protocol.Name, first, $"model {key}", report);
            foreach ((string? key, EvaluationReport report) in protocol.ByPerturbation) Line(protocol.Name, first, $"perturbation {key}", report);
            foreach ((string? key, EvaluationReport report) in protocol.BySeed) Line(protocol.Name, first, $"seed {key}", report);
            foreach (EvaluationReport report in protocol.AtThresholds) Line(protocol.Name, first, "threshold", report);
        }

        void Line(string protocol, string detector, string part, EvaluationReport report)
        {
            IEnumerable<string> cells =
            [
                Printable.Cell(protocol), Printable.Cell(detector), Printable.Cell(part), Number(report.DangerousAbove),
                .. new[] { report.Runs, report.Counts.Total, report.Counts.Dangerous, report.Counts.Flagged }.Select(n => n.ToString(CultureInfo.InvariantCulture)),
                .. metrics.Select(m => report[m]).SelectMany(e => new[] { Number(e.Value), Number(e.Interval?.Low), Number(e.Interval?.High) }),
            ];
            csv.Write(cells);
        }

        static string Number(double? value) => value?.ToString("R", CultureInfo.InvariantCulture) ?? "";
    }
}
