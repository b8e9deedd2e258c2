using System.Globalization;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Reports;

/// <summary>One line per checkpoint, the base included, RFC 4180, numbers round-trip.</summary>
internal sealed class ScanCsv : IScanReport
{
    private readonly CsvLines _csv;
    private string _run = "";
    private int _traitCount;

    /// <summary>Writes to a writer that belongs to the caller.</summary>
    public ScanCsv(TextWriter output)
    {
        ArgumentNullException.ThrowIfNull(output);
        _csv = new CsvLines(output);
    }

    /// <inheritdoc/>
    public void Begin(ScanHeader header, ScanTally tally)
    {
        ArgumentNullException.ThrowIfNull(header);
        IEnumerable<string> columns =
        [
            "run", "step", "path",
            .. header.Traits.Select(t => $"drift_{t}"),
            .. header.Traits.Select(t => $"drift_se_{t}"),
            .. header.Traits.Select(t => $"raw_{t}"),
            "drift_magnitude", "mean_activation_change", "changes_nothing",
            "dangerous", "score", "em_rate_low", "em_rate_high", "range_distance", "axis", "benign_level", "effect", "effect_low", "effect_high",
            "forecast", "forecast_low", "forecast_high", "forecast_alarm", "error",
            "state", "visible_share", "doubts", "trend", "trend_se",
        ];
        _csv.Write(columns);
        _traitCount = header.Traits.Count;
    }

    /// <inheritdoc/>
    public void BeginRun(CheckpointRun run, Displacement baseline)
    {
        ArgumentNullException.ThrowIfNull(run);
        _run = run.Name;
        Line("0", "", baseline, null);
    }

    /// <inheritdoc/>
    public void Add(ScanPoint point, Assessment assessment)
    {
        ArgumentNullException.ThrowIfNull(point);
        ArgumentNullException.ThrowIfNull(assessment);
        Line(point.Checkpoint.Step.ToString(), point.Checkpoint.Path, (point as MeasuredPoint)?.Displacement, assessment);
    }

    /// <inheritdoc/>
    public void Finish()
    {
        // Every line is flushed as it is written.
    }

    /// <inheritdoc/>
    public void Dispose() => _csv.Dispose();

    private void Line(string step, string path, Displacement? point, Assessment? assessment)
    {
        Verdict? verdict = assessment?.Verdict;
        var calibrated = verdict as CalibratedVerdict;
        var effect = verdict as EffectSize;
        IEnumerable<double> numbers = point == null
            ? Enumerable.Repeat(double.NaN, (3 * _traitCount) + 2)
            : [.. point.PerTrait, .. point.StandardErrors, .. point.RawProjections, point.Magnitude, point.MeanActivationChange];
        // A record is one line, whatever a folder is called: line breaks are escaped, not quoted.
        IEnumerable<string> cells =
        [
            Printable.Cell(_run), step, Printable.Cell(path),
            .. numbers.Select(n => Number(n)),
            point == null ? "" : Boolean(point.ChangesNothing),
            verdict is null or EffectSize ? "" : Boolean(verdict.Dangerous),
            Number(calibrated?.Score), Number(calibrated?.Interval?.Low), Number(calibrated?.Interval?.High), Number(calibrated?.Distance), Number(calibrated?.Axis),
            Number((verdict as BenignVerdict)?.Level), Number(effect?.Effect), Number(effect?.Interval?.Low), Number(effect?.Interval?.High),
            Number(calibrated?.Forecast?.Rate), Number(calibrated?.Forecast?.Interval.Low), Number(calibrated?.Forecast?.Interval.High),
            calibrated?.Forecast is { } forecast ? Boolean(forecast.Alarm) : "",
            Printable.Cell(assessment?.Error ?? ""),
            assessment?.State.ToName() ?? "base", Number(assessment?.VisibleShare), Printable.Cell(string.Join("; ", assessment?.Doubts.Select(d => d.Text) ?? [])),
            Number(assessment?.Trend?.PerStep), Number(assessment?.Trend?.StandardError),
        ];
        _csv.Write(cells);
    }

    private static string Number(double? value) => value is { } number && double.IsFinite(number) ? number.ToString("R", CultureInfo.InvariantCulture) : "";

    private static string Boolean(bool value) => value ? "true" : "false";
}
