using EmScan.Engine.Adapters;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>A checkpoint with what a detector that has not seen it said of it.</summary>
/// <param name="Checkpoint">The checkpoint.</param>
/// <param name="Score">Predicted EM rate, or probability of danger, 0 to 1.</param>
/// <param name="Distance">Distance from what the detector was fitted on, in units of its range (<see cref="CalibratedRange"/>); above 1 it is
/// outside. Null when it was not asked for.</param>
internal sealed record ScoredCheckpoint(LabelledObservation Checkpoint, double Score, double? Distance = null)
{
    /// <summary>The same distance in deviations of the features; null where that is.</summary>
    public double? Deviations { get; init; }

    /// <summary>In the form that intervals are taken from.</summary>
    internal UnseenPrediction ToUnseen() => new(
        Checkpoint.Perturbation, Score, Checkpoint.EmRate, Deviations ?? throw new InvalidOperationException("The distance was not asked for."));

    /// <summary>In the form that figures are computed from.</summary>
    /// <param name="interval">The detector's interval for the rate, where it gives one.</param>
    public EvaluatedCheckpoint ToEvaluated(Interval? interval = null) => new(
        Checkpoint.Observation.Run, Checkpoint.Observation.Step, Checkpoint.EmRate, Score)
    {
        Model = Checkpoint.Observation.Model,
        Perturbation = Checkpoint.Perturbation,
        Seed = Checkpoint.Seed,
        PredictedInterval = interval,
    };
}

/// <summary>Out-of-sample scores.</summary>
/// <param name="Scores">Every checkpoint that could be scored, in the order given.</param>
/// <param name="Remarks">One sentence for each fold that could not be fitted; its checkpoints are missing.</param>
internal sealed record CrossValidationResult(IReadOnlyList<ScoredCheckpoint> Scores, IReadOnlyList<string> Remarks)
{
    /// <summary>The scores as a set for evaluation.</summary>
    /// <exception cref="EmScanException">No fold could be fitted.</exception>
    public EvaluationSet ToSet() => Scores.Count > 0
        ? new EvaluationSet(Scores.Select(s => s.ToEvaluated()))
        : throw new EmScanException(Remarks.Count > 0 ? Remarks[0] : "There is nothing to validate on.");
}

/// <summary>
/// Scores checkpoints with detectors that were fitted without their group. A group is a perturbation, a seed or a base model, never a
/// single checkpoint: checkpoints of one run are too much alike.
/// </summary>
internal static class CrossValidation
{
    /// <summary>Leaves out one group after another within each base model, as in the paper, where every base has its own detector.</summary>
    /// <param name="recipe">What is fitted.</param>
    /// <param name="checkpoints">All labelled checkpoints.</param>
    /// <param name="group">What is left out together: <c>c => c.Perturbation</c> or <c>c => c.Seed</c>.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="seed">Seed of whatever the learner draws.</param>
    /// <param name="distances">Whether to tell how far each checkpoint is from what its detector was fitted on.</param>
    /// <param name="borrowed">Checkpoints of other bases that every detector sees besides, but for those of the group that is left out; distances are from
    /// the base's own.</param>
    public static CrossValidationResult LeaveOneOut(
        DetectorRecipe recipe, IReadOnlyList<LabelledObservation> checkpoints, Func<LabelledObservation, string?> group,
        double dangerousAbove = DangerThreshold.Default, int seed = 42, bool distances = false, IReadOnlyList<LabelledObservation>? borrowed = null)
    {
        ArgumentNullException.ThrowIfNull(group);
        return Run(recipe, checkpoints, c => (c.Observation.Model, group(c)), Training, dangerousAbove, seed, distances, Borrowed);

        LabelledObservation[] Training((string Model, string? Group) left) =>
            [.. checkpoints.Where(c => c.Observation.Model == left.Model && group(c) != left.Group)];

        LabelledObservation[] Borrowed((string Model, string? Group) left) => [.. (borrowed ?? []).Where(c => group(c) != left.Group)];
    }

    /// <summary>Scores the checkpoints of each base model with a detector fitted on all other bases: a base that was never calibrated.</summary>
    public static CrossValidationResult LeaveOneModelOut(
        DetectorRecipe recipe, IReadOnlyList<LabelledObservation> checkpoints, double dangerousAbove = DangerThreshold.Default, int seed = 42, bool distances = false) =>
        Run(
            recipe, checkpoints, c => (c.Observation.Model, (string?)null),
            left => [.. checkpoints.Where(c => c.Observation.Model != left.Model)], dangerousAbove, seed, distances);

    /// <summary>Fits on one part and scores another, within each base model.</summary>
    public static CrossValidationResult HoldOut(
        DetectorRecipe recipe, IReadOnlyList<LabelledObservation> training, IReadOnlyList<LabelledObservation> heldOut,
        double dangerousAbove = DangerThreshold.Default, int seed = 42, bool distances = false)
    {
        ArgumentNullException.ThrowIfNull(training);
        return Run(
            recipe, heldOut, c => (c.Observation.Model, (string?)null),
            left => [.. training.Where(c => c.Observation.Model == left.Model)], dangerousAbove, seed, distances);
    }

    private static CrossValidationResult Run(
        DetectorRecipe recipe, IReadOnlyList<LabelledObservation> checkpoints, Func<LabelledObservation, (string Model, string? Group)> fold,
        Func<(string Model, string? Group), LabelledObservation[]> training, double dangerousAbove, int seed, bool distances,
        Func<(string Model, string? Group), LabelledObservation[]>? borrowed = null)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentNullException.ThrowIfNull(checkpoints);
        var scores = new ScoredCheckpoint?[checkpoints.Count];
        var remarks = new List<string>();
        foreach (IGrouping<(string Model, string? Group), int> left in Enumerable.Range(0, checkpoints.Count)
            .GroupBy(i => fold(checkpoints[i])).OrderBy(g => g.Key.Model, NaturalOrder.Instance).ThenBy(g => g.Key.Group ?? "", NaturalOrder.Instance))
        {
            try
            {
                LabelledObservation[] seen = training(left.Key);
                Detector detector = recipe.Fit(seen, borrowed?.Invoke(left.Key) ?? [], dangerousAbove, seed);
                CalibratedRange? range = distances ? CalibratedRange.Around(seen) : null;
                bool limited = seen.Select(c => (c.Observation.Model, c.Observation.Run)).Distinct().Count() > 1;

                // All of a fold or nothing: which checkpoints come before one that cannot be scored is a matter of their order.
                (int Index, ScoredCheckpoint Score)[] scored =
                [
                    .. left.Select(i => (i, new ScoredCheckpoint(
                        checkpoints[i], detector.Score(checkpoints[i].Observation), limited ? range?.Distance(checkpoints[i].Observation) : null)
                    {
                        Deviations = range?.Deviations(checkpoints[i].Observation),
                    })),
                ];
                foreach ((int i, ScoredCheckpoint score) in scored) scores[i] = score;
            }
            catch (EmScanException e)
            {
                remarks.Add($"{recipe.Name} could not be fitted for {left.Key.Group ?? left.Key.Model}: {e.Message}");
            }
        }

        return new CrossValidationResult([.. scores.OfType<ScoredCheckpoint>()], remarks);
    }
}
