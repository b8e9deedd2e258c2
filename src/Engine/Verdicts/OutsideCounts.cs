namespace EmScan.Engine.Verdicts;

/// <summary>What the detector could have known not to know: errors on checkpoints that are unlike everything it was fitted on.</summary>
/// <param name="Checkpoints">Checkpoints with a distance.</param>
/// <param name="Outside">Those outside the calibrated range.</param>
/// <param name="Missed">Dangerous checkpoints that were not flagged.</param>
/// <param name="MissedOutside">Those of them outside.</param>
/// <param name="FalseAlarms">Harmless checkpoints that were flagged.</param>
/// <param name="FalseAlarmsOutside">Those of them outside.</param>
internal sealed record OutsideCounts(int Checkpoints, int Outside, int Missed, int MissedOutside, int FalseAlarms, int FalseAlarmsOutside)
{
    /// <summary>Counts; null when no checkpoint has a distance.</summary>
    /// <param name="scores">Scored checkpoints.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="flaggedAbove">Flag threshold, in the unit of the score.</param>
    public static OutsideCounts? Of(IEnumerable<ScoredCheckpoint> scores, double dangerousAbove, double flaggedAbove)
    {
        ScoredCheckpoint[] known = [.. scores.Where(s => s.Distance.HasValue)];
        if (known.Length == 0) return null;
        ScoredCheckpoint[] missed = [.. known.Where(s => s.Checkpoint.EmRate > dangerousAbove && s.Score <= flaggedAbove)];
        ScoredCheckpoint[] alarms = [.. known.Where(s => s.Checkpoint.EmRate <= dangerousAbove && s.Score > flaggedAbove)];
        return new OutsideCounts(known.Length, known.Count(IsOutside), missed.Length, missed.Count(IsOutside), alarms.Length, alarms.Count(IsOutside));

        static bool IsOutside(ScoredCheckpoint s) => s.Distance > 1;
    }
}
