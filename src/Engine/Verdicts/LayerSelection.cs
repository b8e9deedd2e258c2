using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>How a detector does on the same labelled checkpoints at each of several layers, and how well a layer can be chosen by labels.</summary>
/// <param name="ByLayer">Leave one perturbation out at each layer. The best of them is best in hindsight: it was chosen on what it is scored on.</param>
/// <param name="Chosen">The layer that the labels choose: the one of highest AUROC when perturbations are left out.</param>
/// <param name="Nested">Leave one perturbation out where the layer is chosen again for each of them, by the others alone; nothing is scored that had a say.</param>
/// <param name="Choices">The layer that was chosen for each perturbation left out.</param>
/// <param name="Remarks">What could not be fitted, and is in no figure; one sentence each.</param>
internal sealed record LayerSelection(
    IReadOnlyDictionary<int, EvaluationReport> ByLayer, int Chosen, EvaluationReport Nested, IReadOnlyList<(string Perturbation, int Layer)> Choices,
    IReadOnlyList<string> Remarks)
{
    // Inner folds: as many groups of perturbations at most, so that the number of fits does not grow with its square.
    private const int InnerFolds = 5;

    /// <summary>Scores and chooses.</summary>
    /// <param name="layers">Layer to the labelled checkpoints as measured there; the same ones in the same order at every layer, of one base model.</param>
    /// <param name="recipe">The detector.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="seed">Seed of the bootstrap and of the learner.</param>
    /// <exception cref="EmScanException">There are too few perturbations or checkpoints, or all are dangerous or none is.</exception>
    internal static LayerSelection Of(
        IReadOnlyDictionary<int, IReadOnlyList<LabelledObservation>> layers, DetectorRecipe recipe, double dangerousAbove = DangerThreshold.Default, int seed = 42)
    {
        IReadOnlyList<LabelledObservation> any = layers.Values.First();
        string[] perturbations = [.. any.Select(c => c.Perturbation).Distinct().Order(StringComparer.Ordinal)];
        if (perturbations.Length < 3) throw new EmScanException($"A layer cannot be chosen by labels of {perturbations.Length} perturbation(s): one is left out to score and another to choose; label three or more.");
        var scores = new List<ScoredCheckpoint>();
        var choices = new List<(string, int)>();
        var remarks = new List<string>();
        foreach (string left in perturbations)
        {
            int chosen = Choose(layers, recipe, perturbation => perturbation != left, dangerousAbove, seed);
            choices.Add((left, chosen));
            LabelledObservation[] kept = [.. layers[chosen].Where(c => c.Perturbation != left)], held = [.. layers[chosen].Where(c => c.Perturbation == left)];
            CrossValidationResult scored = CrossValidation.HoldOut(recipe, kept, held, dangerousAbove, seed);
            scores.AddRange(scored.Scores);
            remarks.AddRange(scored.Remarks.Select(remark => $"Layer {chosen}, without {left}: {remark}"));
        }

        double flaggedAbove = recipe.Learner.FlaggedAbove(dangerousAbove);
        var bootstrap = new BootstrapOptions(Seed: seed);
        var byLayer = new Dictionary<int, EvaluationReport>();
        foreach ((int layer, IReadOnlyList<LabelledObservation> checkpoints) in layers)
        {
            CrossValidationResult scored = CrossValidation.LeaveOneOut(recipe, checkpoints, c => c.Perturbation, dangerousAbove, seed);
            byLayer.Add(layer, EvaluationReport.Compute(scored.ToSet(), dangerousAbove, flaggedAbove, bootstrap));
            remarks.AddRange(scored.Remarks.Select(remark => $"Layer {layer}: {remark}"));
        }

        return new LayerSelection(
            byLayer, Choose(layers, recipe, _ => true, dangerousAbove, seed),
            EvaluationReport.Compute(new CrossValidationResult(scores, remarks).ToSet(), dangerousAbove, flaggedAbove, bootstrap), choices, remarks);
    }

    // The layer of highest AUROC when groups of perturbations are left out; the lower one on ties.
    private static int Choose(
        IReadOnlyDictionary<int, IReadOnlyList<LabelledObservation>> layers, DetectorRecipe recipe, Func<string, bool> wanted, double dangerousAbove, int seed)
    {
        string[] names = [.. layers.Values.First().Select(c => c.Perturbation).Where(wanted).Distinct().Order(StringComparer.Ordinal)];
        Dictionary<string, string> fold = names.Select((name, i) => (name, i)).ToDictionary(pair => pair.name, pair => $"fold {pair.i % InnerFolds}");
        (int Layer, double Auroc)[] scored = [.. layers.OrderBy(pair => pair.Key).Select(pair =>
        {
            LabelledObservation[] some = [.. pair.Value.Where(c => wanted(c.Perturbation))];
            EvaluationSet set = CrossValidation.LeaveOneOut(recipe, some, c => fold[c.Perturbation], dangerousAbove, seed).ToSet();
            return (pair.Key, Auroc(set, dangerousAbove));
        })];
        return scored.All(s => double.IsNaN(s.Auroc))
            ? throw new EmScanException("A layer cannot be chosen by these labels: with one perturbation to score left out and another to choose by, nothing dangerous or nothing harmless remains; label more perturbations of both kinds.")
            : scored.MaxBy(s => double.IsNaN(s.Auroc) ? -1 : s.Auroc).Layer;
    }

    private static double Auroc(EvaluationSet set, double dangerousAbove)
    {
        double[] figures = new double[WeightedMetrics.Count];
        EvaluationReport.Weighted(set, dangerousAbove, dangerousAbove).Compute([.. Enumerable.Repeat(1, set.RunCount)], figures);
        return figures[(int)Metric.Auroc];
    }
}
