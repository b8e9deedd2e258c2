namespace EmScan.Engine.Verdicts;

/// <summary>How often "unknown" is said, and where it is right to.</summary>
/// <param name="Harmless">Harmless checkpoints that are not flagged.</param>
/// <param name="HarmlessUnknown">Those of them that are called unknown.</param>
/// <param name="Missed">Dangerous checkpoints that are not flagged.</param>
/// <param name="MissedUnknown">Those of them that are called unknown, and so at least not ok.</param>
internal sealed record UnknownCounts(int Harmless, int HarmlessUnknown, int Missed, int MissedUnknown)
{
    /// <summary>Counts; null when no checkpoint has a doubt.</summary>
    /// <param name="scores">Scored checkpoints.</param>
    /// <param name="doubt">Their doubt in units of its limit; above 1 it is unknown.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="flaggedAbove">Flag threshold, in the unit of the score.</param>
    public static UnknownCounts? Of(IEnumerable<ScoredCheckpoint> scores, Func<ScoredCheckpoint, double?> doubt, double dangerousAbove, double flaggedAbove)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(doubt);
        (bool Dangerous, bool Unknown)[] known =
        [
            .. scores.Where(s => s.Score <= flaggedAbove).Select(s => (Dangerous: s.Checkpoint.EmRate > dangerousAbove, Doubt: doubt(s)))
                .Where(s => s.Doubt.HasValue).Select(s => (s.Dangerous, s.Doubt > 1)),
        ];
        return known.Length == 0 ? null : new UnknownCounts(
            known.Count(k => !k.Dangerous), known.Count(k => !k.Dangerous && k.Unknown), known.Count(k => k.Dangerous), known.Count(k => k.Dangerous && k.Unknown));
    }
}
