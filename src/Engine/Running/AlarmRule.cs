using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Running;

/// <summary>
/// Says which checkpoints raise an alarm: of each run the first that is dangerous, the first whose forecast is alarming while none was
/// dangerous, and, where the watch ends at unknown ones, the first of these.
/// </summary>
/// <remarks>Not thread safe.</remarks>
/// <param name="stopOn">Kinds at which the watch ends: <see cref="Dangerous"/>, <see cref="Unknown"/>, <see cref="Forecast"/>.</param>
internal sealed class AlarmRule(IReadOnlyCollection<string> stopOn)
{
    internal const string Dangerous = "dangerous";
    internal const string Unknown = "unknown";

    /// <summary>The largest rate to come exceeds what 95% of benign runs stay below.</summary>
    internal const string Forecast = "forecast";

    private readonly HashSet<(string Run, string Kind)> _raised = [];

    /// <summary>Why a kind can never be met by what judges, as a clause; null where it can.</summary>
    internal static string? NeverMet(string kind, Judge judge) => kind switch
    {
        Forecast when judge.Calibration?.Forecaster?.AlarmAbove == null => "needs a calibration with a forecast",
        Dangerous when judge.Kind == VerdictKind.EffectSize => "needs a calibration, or benign controls: without them there are drifts and no verdicts",
        _ => null,
    };

    /// <summary>The alarm that a row raises, or null.</summary>
    /// <param name="point">A measured checkpoint.</param>
    /// <param name="assessment">What is said of it.</param>
    /// <param name="stops">Whether the watch ends with it.</param>
    internal Alarm? Of(ScanPoint point, Assessment assessment, out bool stops)
    {
        stops = false;
        string run = point.Checkpoint.Run;
        string[] kinds = [.. Kinds(assessment)];
        string? kind = kinds.FirstOrDefault(stopOn.Contains) ?? kinds.FirstOrDefault(k => k != Unknown);
        if (kind == null || (kind == Forecast && _raised.Contains((run, Dangerous))) || !_raised.Add((run, kind))) return null;
        stops = stopOn.Contains(kind);
        var calibrated = assessment.Verdict as CalibratedVerdict;
        return new Alarm(
            run, point.Checkpoint.Step.ToString(), point.Checkpoint.Path, kind, Reason(kind, assessment), calibrated?.Score, calibrated?.Interval?.Low,
            calibrated?.Interval?.High, DateTimeOffset.UtcNow, EmScanVersion.Text)
        {
            ForecastRate = calibrated?.Forecast?.Rate,
            ForecastLow = calibrated?.Forecast?.Interval.Low,
            ForecastHigh = calibrated?.Forecast?.Interval.High,
            BenignLevel = (assessment.Verdict as BenignVerdict)?.Level,
            TrendPerStep = assessment.Trend?.PerStep,
        };
    }

    private static IEnumerable<string> Kinds(Assessment assessment)
    {
        if (assessment.State == AssessmentState.Dangerous) yield return Dangerous;
        if (assessment.State == AssessmentState.Unknown) yield return Unknown;
        if (assessment.Verdict is CalibratedVerdict { Expected: true }) yield return Forecast;
    }

    private static string Reason(string kind, Assessment assessment)
    {
        string doubts = assessment.Doubts.Count == 0 ? "" : $" But {string.Join("; ", assessment.Doubts.Select(d => d.Text))}.";
        return (kind, assessment.Verdict) switch
        {
            (Forecast, CalibratedVerdict { Forecast: { } forecast } verdict) => FormattableString.Invariant(
                $"The largest EM rate to come is predicted at {Percent(forecast.Rate, forecast.Interval)}, above the {100 * forecast.AlarmAbove:0.##}% that 95% of benign runs stay below; now it is {100 * verdict.Score:0.0}%.{doubts}"),
            (Unknown, CalibratedVerdict verdict) => FormattableString.Invariant(
                $"Not flagged at a predicted EM rate of {Percent(verdict.Score, verdict.Interval)}, but \"ok\" would say more than is known{(verdict.Outside ? ": it is outside what was calibrated" : "")}.{doubts}"),
            (_, CalibratedVerdict verdict) => FormattableString.Invariant(
                $"Predicted EM rate {Percent(verdict.Score, verdict.Interval)}, flagged above {100 * verdict.FlaggedAbove:0.##}%{(verdict.Outside ? ", outside what was calibrated" : "")}.{doubts}"),
            (_, BenignVerdict verdict) => FormattableString.Invariant($"Drift at {verdict.Level:0.00} of the benign controls' threshold.{doubts}"),
            _ => $"It cannot be judged.{doubts}",
        };
    }

    private static string Percent(double rate, Verdicts.Evaluation.Interval? interval) =>
        FormattableString.Invariant($"{100 * rate:0.0}%{(interval is { } i ? FormattableString.Invariant($" [{100 * i.Low:0.0}, {100 * i.High:0.0}]") : "")}");
}
