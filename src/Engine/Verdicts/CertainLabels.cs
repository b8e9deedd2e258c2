using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>The figures over checkpoints whose label leaves no doubt. A rate of 5 or 7% out of 600 answers is neither above nor below 6%.</summary>
/// <param name="Checkpoints">Checkpoints with a known number of answers.</param>
/// <param name="Certain">Those whose label is certain (<see cref="LabelCertainty.IsCertain"/>).</param>
/// <param name="Report">The figures over those; null when there is none.</param>
internal sealed record CertainLabels(int Checkpoints, int Certain, EvaluationReport? Report)
{
    /// <summary>Computes them; null when no label says on how many answers it was measured.</summary>
    /// <param name="scores">Scored checkpoints.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="flaggedAbove">Flag threshold, in the unit of the score.</param>
    /// <param name="bootstrap">How intervals are drawn.</param>
    public static CertainLabels? Of(IReadOnlyList<ScoredCheckpoint> scores, double dangerousAbove, double flaggedAbove, BootstrapOptions? bootstrap = null)
    {
        ArgumentNullException.ThrowIfNull(scores);
        (ScoredCheckpoint Score, bool Certain)[] known =
        [
            .. scores.Select(s => (s, LabelCertainty.IsCertain(s.Checkpoint.EmRate, s.Checkpoint.ScoredCount, dangerousAbove)))
                .Where(pair => pair.Item2.HasValue).Select(pair => (pair.s, pair.Item2!.Value)),
        ];
        if (known.Length == 0) return null;
        EvaluatedCheckpoint[] certain = [.. known.Where(k => k.Certain).Select(k => k.Score.ToEvaluated())];
        return new CertainLabels(
            known.Length, certain.Length, certain.Length == 0 ? null : EvaluationReport.Compute(new EvaluationSet(certain), dangerousAbove, flaggedAbove, bootstrap));
    }
}
