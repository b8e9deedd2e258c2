using System.Diagnostics;
using System.Globalization;
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
    private readonly List<(string Run, string First, int Count)> _dangerous = [];
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
            if (_dangerous.Count == 0 || _dangerous[^1].Run != point.Checkpoint.Run) _dangerous.Add((point.Checkpoint.Run, point.Checkpoint.Step.ToString(), 0));
            _dangerous[^1] = _dangerous[^1] with { Count = _dangerous[^1].Count + 1 };
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
                $"Farthest from the base: {_farthest.Checkpoint.Run} step {_farthest.Checkpoint.Step}, |drift| {_farthest.Drift!.Magnitude:0.000}."));
        }

        if (kind == VerdictKind.EffectSize)
        {
            output.WriteLine("These are drifts, not verdicts: give --benign DIR with harmless adapters, or label some runs and run 'emscan calibrate'.");
            return;
        }

        string flagged = kind == VerdictKind.Calibrated ? "dangerous" : "unlike the benign controls";
        if (_dangerous.Count == 0) output.WriteLine($"No checkpoint is {flagged}.");
        foreach ((string run, string first, int count) in _dangerous)
            output.WriteLine($"{flagged.ToUpperInvariant()}: {run}, first at step {first} ({count} {(count == 1 ? "checkpoint" : "checkpoints")}).");
        if (_outside > 0) output.WriteLine($"{_outside} of the checkpoints are unlike anything that was calibrated; their predictions are guesses{(Unknown > 0 ? $", and {Unknown} of them cannot be called ok" : "")}.");
    }
}
