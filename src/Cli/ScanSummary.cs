using System.Diagnostics;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Detection;
using EmScan.Engine.Scanning;

namespace EmScan.Cli;

/// <summary>What the table says under its last row.</summary>
internal sealed class ScanSummary(int total)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private int _fromJournal;
    private int _unchanged;
    private int _failed;
    private int _outside;
    private const int MostRunsNamed = 10;

    private readonly List<(string Run, string First, int Count, double Worst)> _dangerous = [];
    private ScanPoint? _farthest;

    /// <summary>Checkpoints that are not flagged, but unlike anything that was calibrated.</summary>
    internal int Unknown { get; private set; }

    /// <summary>Flagged checkpoints.</summary>
    internal int Dangerous => _dangerous.Sum(run => run.Count);

    internal int Done { get; private set; }

    internal void Add(ScanPoint point, Verdict? verdict)
    {
        Done++;
        if (point.Drift == null)
        {
            _failed++;
            return;
        }

        if (point.FromJournal) _fromJournal++;
        if (point.Drift.ChangesNothing) _unchanged++;
        if (verdict is CalibratedVerdict { Outside: true }) _outside++;
        if (verdict is CalibratedVerdict { Unknown: true }) Unknown++;
        if (verdict is { Dangerous: true })
        {
            if (_dangerous.Count == 0 || _dangerous[^1].Run != point.Checkpoint.Run) _dangerous.Add((point.Checkpoint.Run, point.Checkpoint.Step.ToString(), 0, 0));
            double level = verdict is CalibratedVerdict c ? c.Score : verdict is BenignVerdict b ? b.Level : 0;
            _dangerous[^1] = _dangerous[^1] with { Count = _dangerous[^1].Count + 1, Worst = Math.Max(_dangerous[^1].Worst, level) };
        }

        if (_farthest == null || point.Drift.Magnitude > _farthest.Drift!.Magnitude) _farthest = point;
    }

    internal void Print(TextWriter output, VerdictKind kind)
    {
        double seconds = Stopwatch.GetElapsedTime(_start).TotalSeconds;
        int measured = Done - _fromJournal - _failed;
        output.WriteLine();
        string known = _fromJournal > 0 ? $", {_fromJournal} taken from an earlier scan" : "";
        string failed = _failed > 0 ? $", {_failed} not measured" : "";
        string rate = measured > 0 ? string.Create(CultureInfo.InvariantCulture, $" in {seconds:0.0} s ({measured / seconds * 60:0} per minute)") : "";
        output.WriteLine($"{measured} of {total} checkpoints measured{rate}{known}{failed}.");
        if (_unchanged > 0) output.WriteLine($"{_unchanged} of them change nothing up to this layer: are they the adapters you meant, and trained?");
        if (_farthest != null)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"Farthest from the base: {Printable.Of(_farthest.Checkpoint.Run)} step {_farthest.Checkpoint.Step}, |drift| {_farthest.Drift!.Magnitude:0.000}."));
        }

        if (kind == VerdictKind.EffectSize)
        {
            output.WriteLine("These are drifts, not verdicts: give --benign DIR with harmless adapters, or label some runs and run 'emscan calibrate'.");
            return;
        }

        string flagged = kind == VerdictKind.Calibrated ? "dangerous" : "unlike the benign controls";
        if (_dangerous.Count == 0) output.WriteLine($"No checkpoint is {flagged}.");

        // Many: the worst ones by name, the rest as a number. Their rows are all above.
        HashSet<string>? worst = _dangerous.Count <= MostRunsNamed ? null : [.. _dangerous.OrderByDescending(d => d.Worst).Take(MostRunsNamed).Select(d => d.Run)];
        foreach ((string run, string first, int count, _) in _dangerous.Where(d => worst?.Contains(d.Run) ?? true))
            output.WriteLine($"{flagged.ToUpperInvariant()}: {Printable.Of(run)}, first at step {first} ({count} {(count == 1 ? "checkpoint" : "checkpoints")}).");
        if (worst != null)
        {
            output.WriteLine(
                $"{flagged.ToUpperInvariant()}: {_dangerous.Count} runs with {Dangerous} checkpoints in all; the {worst.Count} worst are named above, the other {_dangerous.Count - worst.Count} are in the table.");
        }

        if (_outside > 0) output.WriteLine($"{_outside} of the checkpoints are unlike anything that was calibrated; their predictions are guesses{(Unknown > 0 ? $", and {Unknown} of them cannot be called ok" : "")}.");
    }
}
