using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class LayerSelectionTests
{
    private static readonly string[] Perturbations = ["bad_code", "bad_medical", "bad_money", "gsm8k", "terse", "poem"];

    [Fact]
    public void Labels_choose_the_layer_that_knows_and_are_scored_without_the_perturbation_that_is_left_out()
    {
        LabelledObservation[] knows = Synthetic.Runs(perturbations: Perturbations, seeds: 2);
        LayerSelection found = LayerSelection.Of(new Dictionary<int, IReadOnlyList<LabelledObservation>> { [1] = Noise(knows, 1), [2] = knows, [3] = Noise(knows, 3) }, DetectorRecipe.Default);
        Assert.Equal(2, found.Chosen);
        Assert.Equal(Perturbations.Order(StringComparer.Ordinal), found.Choices.Select(c => c.Perturbation));
        Assert.All(found.Choices, choice => Assert.Equal(2, choice.Layer));

        // Where every choice is the same, the nested figures are those of that layer.
        Assert.Equal(found.ByLayer[2][Metric.Auroc].Value!.Value, found.Nested[Metric.Auroc].Value!.Value, 1e-12);
        Assert.True(found.ByLayer[2][Metric.Auroc].Value > 0.9);
        Assert.True(found.ByLayer[1][Metric.Auroc].Value < found.ByLayer[2][Metric.Auroc].Value - 0.1);
    }

    /// <summary>With many layers of noise the best looks good in hindsight; the nested choice is not taken in.</summary>
    [Fact]
    public void Choosing_among_noise_gains_nothing_in_the_nested_figures()
    {
        LabelledObservation[] runs = Synthetic.Runs(perturbations: Perturbations, seeds: 2);
        double hindsight = 0, nested = 0;
        for (int round = 0; round < 3; round++)
        {
            LayerSelection found = LayerSelection.Of(
                Enumerable.Range(0, 8).ToDictionary(layer => layer, layer => (IReadOnlyList<LabelledObservation>)Noise(runs, (100 * round) + layer)), DetectorRecipe.Default);
            hindsight += found.ByLayer.Values.Max(r => r[Metric.Auroc].Value!.Value) / 3;
            nested += found.Nested[Metric.Auroc].Value!.Value / 3;
        }

        Assert.True(hindsight > nested + 0.05, $"{hindsight} in hindsight, {nested} nested");
        Assert.True(nested < 0.62, $"{nested}");
    }

    [Fact]
    public void Two_perturbations_are_too_few() => Assert.Contains("three or more", Assert.Throws<EmScanException>(() => LayerSelection.Of(
        new Dictionary<int, IReadOnlyList<LabelledObservation>> { [1] = Synthetic.Runs(perturbations: ["bad_code", "terse"]) }, DetectorRecipe.Default)).Message);

    // The same checkpoints and labels, and drifts that have nothing to do with them.
    private static LabelledObservation[] Noise(LabelledObservation[] runs, int seed)
    {
        var random = new Random(seed);
        return [.. runs.Select(c =>
        {
            double[] drift = [.. Enumerable.Range(0, 3).Select(_ => 0.05 * TinyModel.Gaussian(random))];
            return c with { Observation = c.Observation with { Displacement = Synthetic.Drift(drift) } };
        })];
    }
}
