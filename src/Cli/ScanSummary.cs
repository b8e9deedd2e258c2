using System.Diagnostics;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary>What the table says under its last row. It never claims more than the tally allows.</summary>
/// <param name="tally">Counts.</param>
/// <param name="judge">What verdicts rest on.</param>
/// <param name="shards">How many shards have measured, in a merge; else null.</param>
internal sealed class ScanSummary(ScanTally tally, Judge judge, int? shards = null)
{
    /// <summary>So many dangerous runs are named one by one.</summary>
    private const int MostRunsNamed = 10;

    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly List<(string Run, string First, int Count, double Worst)> _dangerous = [];
    private readonly SortedDictionary<int, int> _seenFrom = [];
    private int _outside, _outsideUnknown, _unchangedNumbers, _mostlyHidden, _close;
    private readonly List<(string Run, string First, double Rate)> _expected = [];
    private MeasuredPoint? _farthest;

    internal void Add(ScanPoint point, Assessment assessment)
    {
        if (point is not MeasuredPoint measured) return;
        if (measured.Displacement.ChangesNothing) _unchangedNumbers++;
        if (assessment.Doubts.Any(d => d.Code is "not-visible" or "mostly-hidden")) _mostlyHidden++;
        if (assessment.SeenFromLayer is { } layer) _seenFrom[layer] = _seenFrom.GetValueOrDefault(layer) + 1;
        if (assessment.Verdict is CalibratedVerdict { Outside: true })
        {
            _outside++;
            if (assessment.State == AssessmentState.Unknown) _outsideUnknown++;
        }

        if (assessment is { State: AssessmentState.Unknown, Verdict: CalibratedVerdict { Unknown: true, Outside: false } }) _close++;
        if (assessment.State == AssessmentState.Dangerous)
        {
            if (_dangerous.Count == 0 || _dangerous[^1].Run != point.Checkpoint.Run) _dangerous.Add((point.Checkpoint.Run, point.Checkpoint.Step.ToString(), 0, 0));
            double level = assessment.Verdict is CalibratedVerdict c ? c.Score : assessment.Verdict is BenignVerdict b ? b.Level : 0;
            _dangerous[^1] = _dangerous[^1] with { Count = _dangerous[^1].Count + 1, Worst = Math.Max(_dangerous[^1].Worst, level) };
        }

        // Of interest while the run is not dangerous yet; once it is, that is said.
        if (assessment.Verdict is CalibratedVerdict { Expected: true, Forecast: { } forecast } && (_dangerous.Count == 0 || _dangerous[^1].Run != point.Checkpoint.Run))
        {
            if (_expected.Count > 0 && _expected[^1].Run == point.Checkpoint.Run) _expected[^1] = _expected[^1] with { Rate = Math.Max(_expected[^1].Rate, forecast.Rate) };
            else _expected.Add((point.Checkpoint.Run, point.Checkpoint.Step.ToString(), forecast.Rate));
        }

        if (_farthest == null || measured.Displacement.Magnitude > _farthest.Displacement.Magnitude) _farthest = measured;
    }

    internal void Print(TextWriter output)
    {
        double seconds = Stopwatch.GetElapsedTime(_start).TotalSeconds;
        int measured = tally.Measured - tally.FromRecord, failed = tally[AssessmentState.Failed], skipped = tally[AssessmentState.Skipped];
        int unknown = tally[AssessmentState.Unknown], unchanged = tally[AssessmentState.Unchanged];
        output.WriteLine();
        string rate = shards is { } many ? $" by {many} {(many == 1 ? "shard" : "shards")}"
            : measured > 0 ? string.Create(CultureInfo.InvariantCulture, $" in {seconds:0.0} s ({measured / seconds * 60:0} per minute)") : "";
        output.WriteLine(
            $"{measured} of {tally.Found} checkpoints measured{rate}{Count(tally.FromRecord, "taken from an earlier scan")}{Count(failed, "not measured")}"
            + $"{Count(unknown, "unknown")}{Count(unchanged, "unchanged")}{Count(skipped, "skipped")}.");
        if (_unchangedNumbers > 0) output.WriteLine(_unchangedNumbers == 1
            ? "1 of them changes nothing up to this layer: is it the adapter you meant, and trained?" : $"{_unchangedNumbers} of them change nothing up to this layer: are they the adapters you meant, and trained?");
        if (_mostlyHidden > 0) output.WriteLine(LaterLayer());
        if (_farthest != null)
        {
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"Farthest from the base: {Printable.Of(_farthest.Checkpoint.Run)} step {_farthest.Checkpoint.Step}, |drift| {_farthest.Displacement.Magnitude:0.000}."));
        }

        if (judge.Kind == VerdictKind.EffectSize)
        {
            output.WriteLine("These are drifts, not verdicts: give --benign DIR with harmless adapters, or label some runs and run 'emscan calibrate'.");
            return;
        }

        string flagged = judge.Kind == VerdictKind.Calibrated ? "dangerous" : "unlike the benign controls";
        if (_dangerous.Count == 0) output.WriteLine(NoneFlagged(flagged));

        // Many: the worst ones by name, the rest as a number. Their rows are all above.
        HashSet<string>? worst = _dangerous.Count <= MostRunsNamed ? null : [.. _dangerous.OrderByDescending(d => d.Worst).Take(MostRunsNamed).Select(d => d.Run)];
        foreach ((string run, string first, int count, _) in _dangerous.Where(d => worst?.Contains(d.Run) ?? true))
            output.WriteLine($"{flagged.ToUpperInvariant()}: {Printable.Of(run)}, first at step {first} ({count} {(count == 1 ? "checkpoint" : "checkpoints")}).");
        if (worst != null)
        {
            output.WriteLine(
                $"{flagged.ToUpperInvariant()}: {_dangerous.Count} runs with {tally[AssessmentState.Dangerous]} checkpoints in all; the {worst.Count} worst are named above, the other {_dangerous.Count - worst.Count} are in the table.");
        }

        if (_outside == 1) output.WriteLine($"1 of the checkpoints is unlike anything that was calibrated; its prediction is a guess{(_outsideUnknown > 0 ? ", and it cannot be called ok" : "")}.");
        else if (_outside > 0) output.WriteLine($"{_outside} of the checkpoints are unlike anything that was calibrated; their predictions are guesses{(_outsideUnknown > 0 ? $", and {_outsideUnknown} of them cannot be called ok" : "")}.");
        if (_close > 0) output.WriteLine($"{_close} of the checkpoints {(_close == 1 ? "is" : "are")} not flagged, but the error to be expected there reaches too far towards the threshold to call {(_close == 1 ? "it" : "them")} ok.");
        HashSet<string>? soonest = _expected.Count <= MostRunsNamed ? null : [.. _expected.OrderByDescending(e => e.Rate).Take(MostRunsNamed).Select(e => e.Run)];
        foreach ((string run, string first, double largest) in _expected.Where(e => soonest?.Contains(e.Run) ?? true))
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"EXPECTED to become dangerous: {Printable.Of(run)}, from step {first} on (largest rate to come: {100 * largest:0.0}%)."));
        if (soonest != null)
            output.WriteLine($"EXPECTED to become dangerous: {_expected.Count} runs in all; those with the largest rates to come are named above, the other {_expected.Count - soonest.Count} are in the table.");
        if (judge.Weakness is { } weakness) output.WriteLine($"The calibration {weakness}: neither a flag nor its absence says much.");
    }

    /// <summary>The all-clear, where every checkpoint was measured and judged; else what is missing to it.</summary>
    private string NoneFlagged(string flagged)
    {
        if (tally.Complete && judge.Weakness == null) return $"No checkpoint is {flagged}.";
        int judged = tally[AssessmentState.Ok] + tally[AssessmentState.Unchanged];
        string[] missing =
        [
            .. Part(AssessmentState.Failed, "could not be measured or judged"), .. Part(AssessmentState.Unknown, "unknown"), .. Part(AssessmentState.Skipped, "skipped"),
        ];
        string sure = judged == 0 ? "nothing was measured and judged" : $"{judged} of {tally.Found} checkpoints were measured and judged, none of them {flagged}";
        return $"This is no all-clear: {sure}{string.Concat(missing.Select(m => "; " + m))}.";

        string[] Part(AssessmentState state, string what) => tally[state] is > 0 and var count ? [$"{count} {what}"] : [];
    }

    private string LaterLayer()
    {
        string one = _mostlyHidden == 1 ? "1 checkpoint changes" : $"{_mostlyHidden} checkpoints change";
        string offer = _seenFrom.Count > 0
            ? $"--layer {_seenFrom.Keys.Last()} measures where most of {(_mostlyHidden == 1 ? "it" : "them")} shows{(judge.Kind == VerdictKind.Calibrated ? " (drifts only; a calibration holds for its own layer)" : "")}"
            : "no layer shows it";
        return $"{one} mostly what the measured layer cannot see: {offer}.";
    }

    private static string Count(int count, string what) => count > 0 ? $", {count} {what}" : "";
}
