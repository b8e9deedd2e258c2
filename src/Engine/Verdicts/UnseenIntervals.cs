using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>The intervals that the checkpoints of each perturbation get from the errors on all others: one that knew a perturbation's own errors would
/// look better than it is.</summary>
internal sealed class UnseenIntervals
{
    private readonly Dictionary<(string, string), ConformalInterval> _byGroup;

    private UnseenIntervals(Dictionary<(string, string), ConformalInterval> byGroup) => _byGroup = byGroup;

    /// <summary>Takes leave-one-perturbation-out scores; null when some lack a distance, or a base model has only one perturbation.</summary>
    internal static UnseenIntervals? Of(IReadOnlyList<ScoredCheckpoint> scores, double flaggedAbove)
    {
        var byGroup = new Dictionary<(string, string), ConformalInterval>();
        foreach (IGrouping<string, ScoredCheckpoint> model in scores.GroupBy(s => s.Checkpoint.Observation.Model))
        {
            foreach (string left in model.Select(s => s.Checkpoint.Perturbation).Distinct())
            {
                ScoredCheckpoint[] others = [.. model.Where(s => s.Checkpoint.Perturbation != left)];
                if (others.Length == 0 || model.Any(s => s.Deviations == null)) return null;
                byGroup.Add((model.Key, left), ConformalInterval.Fit(others.Select(s => s.ToUnseen()), flaggedAbove));
            }
        }

        return new UnseenIntervals(byGroup);
    }

    internal Interval? Around(ScoredCheckpoint score) =>
        score.Deviations is { } deviations ? For(score)?.Around(score.Score, deviations) : null;

    internal double? RelativeDoubt(ScoredCheckpoint score) =>
        score.Deviations is { } deviations ? For(score)?.RelativeDoubt(score.Score, deviations) : null;

    private ConformalInterval? For(ScoredCheckpoint score) => _byGroup.GetValueOrDefault((score.Checkpoint.Observation.Model, score.Checkpoint.Perturbation));
}
