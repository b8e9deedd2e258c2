using System.Globalization;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Reports;

/// <summary>Evaluation figures as tables for people: percent, intervals in brackets.</summary>
internal static class EvaluationText
{
    private const int NameWidth = 46;
    private const int KeyWidth = 34;

    /// <summary>Two more than "100.0 [100.0, 100.0]", which would otherwise touch the column before it, or its minus sign.</summary>
    private const int PercentWidth = 22;

    /// <summary>Writes a study.</summary>
    public static void Write(TextWriter output, DetectorStudy study)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(study);
        foreach (IGrouping<string, PlaceFigures> protocol in study.Places.GroupBy(p => p.Protocol))
        {
            output.WriteLine($"places, {protocol.Key}");
            output.WriteLine($"{Heading("states, directions".PadRight(NameWidth))}  AUROC more than the first");
            foreach (PlaceFigures place in protocol)
            {
                string name = $"{place.Place.ToPhrase()}, {place.DirectionsPooling ?? "given"}".PadRight(NameWidth);
                output.WriteLine(name + Cells(place.Report) + (place.MinusFirst is { } difference ? $"  {Signed(difference[Metric.Auroc])}" : ""));
            }

            output.WriteLine();
        }

        foreach (StudyProtocol protocol in study.Protocols)
        {
            Write(output, protocol);
            output.WriteLine();
        }

        foreach (AxisStudy axis in study.Axes) Write(output, axis);
    }

    /// <summary>Writes the figures of one detector on one line, under a name.</summary>
    public static void Line(TextWriter output, string name, EvaluationReport report)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(report);
        output.WriteLine(name + Cells(report));
    }

    /// <summary>The heading above such lines.</summary>
    public static string Heading(string name) => $"{name}{"FNR %",PercentWidth}{"FPR %",PercentWidth}{"AUROC",23}{"accuracy %",PercentWidth}";

    private static void Write(TextWriter output, StudyProtocol protocol)
    {
        StudyRow first = protocol.Rows[0];
        EvaluationReport report = first.Report!;
        output.WriteLine(
            $"{protocol.Name}: {report.Counts.Total} checkpoints of {report.Runs} runs, {report.Counts.Dangerous} dangerous (EM rate above {Number(100 * report.DangerousAbove, "0.##")}%); [95% over runs]");
        output.WriteLine($"{Heading("features, regressor".PadRight(NameWidth))}  AUROC of the first, more");
        foreach (StudyRow row in protocol.Rows)
        {
            string name = $"{row.Recipe.Features.Title}, {row.Recipe.Learner.Title}".PadRight(NameWidth);
            if (row.Report == null)
            {
                output.WriteLine($"{name}  not fitted: {(row.Remarks.Count > 0 ? row.Remarks[0] : "no checkpoint could be scored")}");
                continue;
            }

            output.WriteLine(name + Cells(row.Report) + (row.AgainstFirst is { } difference ? $"  {Signed(difference[Metric.Auroc])}" : ""));
            foreach (string remark in row.Remarks) output.WriteLine($"  {remark}");
        }

        output.WriteLine($"The first by part: {first.Recipe.Features.Title}, {first.Recipe.Learner.Title}");
        output.WriteLine(Heading("".PadRight(KeyWidth)));
        if (protocol.ByModel.Count > 1) Parts(output, protocol.ByModel);
        Parts(output, protocol.ByPerturbation);
        if (protocol.BySeed.Count > 1) Parts(output, protocol.BySeed, "seed ");
        if (protocol.AtThresholds.Count > 0)
        {
            output.WriteLine("dangerous and flagged above");
            foreach (EvaluationReport at in protocol.AtThresholds) Line(output, $"  {Number(100 * at.DangerousAbove, "0.##")}%".PadRight(KeyWidth), at);
        }

        if (protocol.EarlyWarning is { } warning) Write(output, warning);
        if (protocol.Certain is { } certain)
        {
            output.WriteLine(
                $"certain labels (95% interval of the measured rate excludes {Number(100 * report.DangerousAbove, "0.##")}%): {certain.Certain} of {certain.Checkpoints} checkpoints"
                + (certain.Report is { } clear ? $"; FNR {Cell(clear[Metric.FalseNegativeRate], 100, "0.0", 0)}, FPR {Cell(clear[Metric.FalsePositiveRate], 100, "0.0", 0)}, AUROC {Cell(clear[Metric.Auroc], 1, "0.000", 0)}" : ""));
        }

        if (protocol.Outside is { } o)
            output.WriteLine($"outside what it was fitted on: {o.Outside} of {o.Checkpoints} checkpoints; of the missed dangerous ones {o.MissedOutside} of {o.Missed}, of the false alarms {o.FalseAlarmsOutside} of {o.FalseAlarms}");
        if (protocol.Coverage is { } held)
            output.WriteLine($"intervals meant to hold {Number(100 * ConformalInterval.Level, "0")}% of the true rates held {Cell(held.Coverage, 100, "0.0", 0)}%, mean width {Cell(held.MeanWidth, 100, "0.0", 0)} points");
        if (protocol.CoverageByPerturbation.Count > 1)
        {
            IEnumerable<string> least = protocol.CoverageByPerturbation.OrderBy(c => c.Coverage.Coverage.Value ?? 2).Take(3)
                .Select(c => $"{c.Key ?? "(none)"} {Number(100 * (c.Coverage.Coverage.Value ?? double.NaN), "0.0")}%");
            output.WriteLine($"  least of them: {string.Join(", ", least)}");
        }

        if (protocol.Unknown is { } unknown)
        {
            output.WriteLine(
                $"unknown: {unknown.HarmlessUnknown} of {unknown.Harmless} harmless checkpoints that are not flagged (meant: {Number(100 * ConformalInterval.FalseUnknownRate, "0")}% at most), "
                + $"and {unknown.MissedUnknown} of {unknown.Missed} missed dangerous ones");
        }

        foreach (ForecastStudy forecast in protocol.Forecasts) Write(output, forecast);
    }

    private static void Parts(TextWriter output, IReadOnlyList<(string? Key, EvaluationReport Report)> parts, string prefix = "")
    {
        foreach ((string? key, EvaluationReport report) in parts) Line(output, $"  {prefix}{key ?? "(none)"}".PadRight(KeyWidth), report);
    }

    private static void Write(TextWriter output, EarlyWarning warning)
    {
        int warned = warning.Count(WarningOutcome.Warned), missed = warning.Count(WarningOutcome.Missed);
        string lead = warning.MedianLead is { } median
            ? $", median lead {Number(median, "0.#")} steps (from {warning.Leads[0]} to {warning.Leads[^1]}; negative is late)"
            : "";
        output.WriteLine(
            $"early warning: {warned} of {warned + missed} dangerous runs flagged{lead}; {warning.Count(WarningOutcome.FalseAlarm)} of "
            + $"{warning.Count(WarningOutcome.FalseAlarm) + warning.Count(WarningOutcome.Quiet)} harmless runs flagged");
    }

    private static void Write(TextWriter output, ForecastStudy forecast)
    {
        EarlyWarning warning = forecast.Warning;
        int warned = warning.Count(WarningOutcome.Warned), missed = warning.Count(WarningOutcome.Missed);
        string lead = forecast.MedianLead.Value is null ? "" : $", median lead {Cell(forecast.MedianLead, 1, "0.#", 0)} steps (from {warning.Leads[0]} to {warning.Leads[^1]})";
        output.WriteLine(
            $"forecast of the largest rate to come, alarm set for {Number(100 * forecast.FalseAlarmRate, "0")}% of benign runs: {warned} of {warned + missed} dangerous runs alarmed{lead}; "
            + $"{warning.Count(WarningOutcome.FalseAlarm)} of {warning.Count(WarningOutcome.FalseAlarm) + warning.Count(WarningOutcome.Quiet)} harmless runs alarmed");
    }

    private static void Write(TextWriter output, AxisStudy study)
    {
        output.WriteLine($"drift axis of {study.Model}, {study.Axis.Runs} final checkpoints: PC1 {Number(100 * study.Axis.Shares[0], "0.0")}% of the variance, participation ratio {Number(study.Axis.ParticipationRatio, "0.00")}");
        output.WriteLine("  loadings       " + string.Join("  ", study.Axis.Traits.Zip(study.Axis.Loadings.ToArray(), (trait, loading) => $"{trait} {Number(loading, "+0.00;-0.00;0.00")}")));
        if (study.LeaveOneOut is { LowestCosine: { } lowest, MeanCosine: { } mean })
            output.WriteLine($"  without one perturbation: cosine {Number(mean, "0.000")} on average, {Number(lowest, "0.000")} at least ({study.LeaveOneOut.Groups.MinBy(g => g.Cosine ?? 2)!.Group})");
        if (study.Whitened is { } whitened)
            output.WriteLine($"  whitened by the overlap of the directions: PC1 {Number(100 * whitened.Axis.Shares[0], "0.0")}%, cosine {Number(whitened.Cosine, "0.000")}");
        if (study.Native is { } native)
            output.WriteLine($"  in the residual stream itself: PC1 {Number(100 * native.Share, "0.0")}%, of which the traits see {Number(100 * native.VisibleShare, "0")}%" + (native.Cosine is { } cosine ? $", cosine {Number(cosine, "0.000")}" : ""));
        if (study.Chance is { } chance)
            output.WriteLine($"  random directions of the same norms: PC1 {Number(100 * chance.MeanShare, "0.0")}% on average, {Number(100 * chance.Share95, "0.0")}% at the 95th percentile, p {Number(chance.PValue, "0.000")}");
    }

    /// <summary>The figures under <see cref="Heading"/>.</summary>
    private static string Cells(EvaluationReport report) =>
        Percent(report[Metric.FalseNegativeRate]) + Percent(report[Metric.FalsePositiveRate]) + Fraction(report[Metric.Auroc]) + Percent(report[Metric.Accuracy]);

    private static string Percent(Estimate estimate) => Cell(estimate, 100, "0.0", PercentWidth);

    private static string Fraction(Estimate estimate) => Cell(estimate, 1, "0.000", 23);

    private static string Signed(Estimate estimate) => Cell(estimate, 1, "+0.000;-0.000;0.000", 0);

    private static string Cell(Estimate estimate, double unit, string format, int width)
    {
        if (estimate.Value is not { } value) return "-".PadLeft(width);
        string interval = estimate.Interval is { } i ? $" [{Number(unit * i.Low, format)}, {Number(unit * i.High, format)}]" : "";
        return (Number(unit * value, format) + interval).PadLeft(width);
    }

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
