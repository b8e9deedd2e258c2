using EmScan.Engine.Drift;
using EmScan.Engine.Reports.Exports;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Analyses.Scan;

/// <summary>A checkpoint's row as scalars, the same names for every row of a scan.</summary>
internal static class ScanScalars
{
    /// <summary>The scalars of a row: drift/TRAIT, drift/magnitude, activation/change, axis, em_rate/predicted, em_rate/low, em_rate/high,
    /// forecast/rate, forecast/low, forecast/high, forecast/alarm (1 or 0), benign/level, effect, trend, visible_share.</summary>
    public static ScalarRow Of(ScanHeader header, ScanPoint point, Assessment assessment)
    {
        ArgumentNullException.ThrowIfNull(header);
        ArgumentNullException.ThrowIfNull(point);
        ArgumentNullException.ThrowIfNull(assessment);
        var calibrated = assessment.Verdict as CalibratedVerdict;
        Displacement? moved = (point as MeasuredPoint)?.Displacement;
        var scalars = new List<(string, double?)>();
        for (int t = 0; t < header.Traits.Count; t++) scalars.Add(($"drift/{header.Traits[t]}", moved?.PerTrait[t]));
        scalars.Add(("drift/magnitude", moved?.Magnitude));
        scalars.Add(("activation/change", moved?.MeanActivationChange));
        scalars.Add(("axis", calibrated?.Axis));
        scalars.Add(("em_rate/predicted", calibrated?.Score));
        scalars.Add(("em_rate/low", calibrated?.Interval?.Low));
        scalars.Add(("em_rate/high", calibrated?.Interval?.High));
        scalars.Add(("forecast/rate", calibrated?.Forecast?.Rate));
        scalars.Add(("forecast/low", calibrated?.Forecast?.Interval.Low));
        scalars.Add(("forecast/high", calibrated?.Forecast?.Interval.High));
        scalars.Add(("forecast/alarm", calibrated?.Forecast is { } forecast ? (forecast.Alarm ? 1 : 0) : null));
        scalars.Add(("benign/level", (assessment.Verdict as BenignVerdict)?.Level));
        scalars.Add(("effect", (assessment.Verdict as EffectSize)?.Effect));
        scalars.Add(("trend", assessment.Trend?.PerStep));
        scalars.Add(("visible_share", assessment.VisibleShare));
        string? reason = assessment.Error ?? (assessment.Doubts.Count > 0 ? string.Join("; ", assessment.Doubts.Select(d => d.Text)) : null);
        return new ScalarRow(
            point.Checkpoint.Run, point.Checkpoint.Step.ToString(), point.Checkpoint.Step.Number, point.Checkpoint.Path, assessment.State.ToName(), reason, scalars);
    }
}
