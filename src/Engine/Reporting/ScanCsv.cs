using System.Globalization;
using EmScan.Engine.Drift;
using EmScan.Engine.Scanning;

namespace EmScan.Engine.Reporting;

/// <summary>One line per checkpoint, the base included, RFC 4180, numbers round-trip.</summary>
public sealed class ScanCsv(TextWriter output) : IScanReport
{
    private string _run = "";

    /// <inheritdoc/>
    public void Begin(ScanHeader header)
    {
        ArgumentNullException.ThrowIfNull(header);
        IEnumerable<string> columns =
        [
            "run", "step", "path",
            .. header.Traits.Select(t => $"drift_{t}"),
            .. header.Traits.Select(t => $"drift_se_{t}"),
            .. header.Traits.Select(t => $"raw_{t}"),
            "drift_magnitude", "mean_activation_change", "changes_nothing", "error",
        ];
        output.Write(string.Join(',', columns.Select(Quote)) + "\n");
        TraitCount = header.Traits.Count;
    }

    private int TraitCount { get; set; }

    /// <inheritdoc/>
    public void BeginRun(CheckpointRun run, DriftPoint baseline)
    {
        ArgumentNullException.ThrowIfNull(run);
        _run = run.Name;
        Line("0", "", baseline, null);
    }

    /// <inheritdoc/>
    public void Add(ScanPoint point)
    {
        ArgumentNullException.ThrowIfNull(point);
        Line(point.Checkpoint.Step.ToString(), point.Checkpoint.Path, point.Drift, point.Error);
    }

    /// <inheritdoc/>
    public void Finish() => output.Flush();

    /// <summary>Flushes; the writer belongs to the caller.</summary>
    public void Dispose() => output.Flush();

    private void Line(string step, string path, DriftPoint? point, string? error)
    {
        IEnumerable<double> numbers = point == null
            ? Enumerable.Repeat(double.NaN, (3 * TraitCount) + 2)
            : [.. point.Drift, .. point.StandardErrors, .. point.RawProjections, point.Magnitude, point.MeanActivationChange];
        IEnumerable<string> cells =
        [
            Quote(_run), step, Quote(path),
            .. numbers.Select(n => double.IsFinite(n) ? n.ToString("R", CultureInfo.InvariantCulture) : ""),
            point == null ? "" : point.ChangesNothing ? "true" : "false",
            Quote(error ?? ""),
        ];
        output.Write(string.Join(',', cells) + "\n");
        output.Flush();
    }

    internal static string Quote(string text) =>
        text.AsSpan().ContainsAny(',', '"', '\n') || text.Contains('\r') ? $"\"{text.Replace("\"", "\"\"")}\"" : text;
}
