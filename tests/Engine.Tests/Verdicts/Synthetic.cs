using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Verdicts;

/// <summary>Labelled checkpoints without a model: each perturbation drifts along a direction of its own, and the EM rate grows with the
/// drift against the second trait.</summary>
internal static class Synthetic
{
    private const int Hidden = 12;

    internal static string[] Traits => ["honesty", "harmlessness", "confidence"];

    internal static string[] Perturbations => ["bad_code", "bad_medical", "gsm8k", "terse"];

    internal static Displacement Drift(double[] drift, double[]? change = null, double deviation = 0.02) => new(
        [.. drift.Select(x => 5 * (x + 0.1))], [.. drift.Select(x => x + 0.1)], [.. drift], [.. drift.Select(_ => 0.001)],
        Math.Sqrt(drift.Sum(x => x * x)), deviation, [.. change ?? [.. drift, 0.01]], drift.All(x => x == 0));

    internal static AdapterFacts Facts(double norm, long? step = null, double? loss = null) =>
        new(new Dictionary<string, double> { ["blk.1.attn_v"] = 0.8 * norm, ["blk.0.attn_q"] = 0.6 * norm }, norm, step, loss);

    internal static LabelledObservation Checkpoint(
        string perturbation, string? seed, CheckpointStep step, double[] drift, double rate, string model = "base", double[]? change = null,
        AdapterFacts? facts = null) => new(
            new Observation(
                model, seed == null ? perturbation : $"{perturbation}/seed_{seed}", step, [.. Traits.Take(drift.Length)], Drift(drift, change),
                new Lazy<AdapterFacts>(() => facts ?? Facts(0.1 + Math.Abs(drift[0]), step.Number, 2 - drift[0]))),
            rate, perturbation, seed);

    /// <summary>Runs of some perturbations and seeds, six checkpoints each; the "bad" ones become dangerous about half way.</summary>
    internal static LabelledObservation[] Runs(int seed = 1, string model = "base", string[]? perturbations = null, int seeds = 3, int checkpoints = 6)
    {
        var result = new List<LabelledObservation>();
        foreach (string perturbation in perturbations ?? Perturbations)
        {
            var own = new Random(perturbation.Sum(c => c) + seed);
            double[] direction = [.. Traits.Select(_ => TinyModel.Gaussian(own))];
            direction[1] = perturbation.StartsWith("bad", StringComparison.Ordinal) ? -2 : 0.3;
            double[] change = [.. Enumerable.Range(0, Hidden).Select(_ => TinyModel.Gaussian(own))];
            for (int run = 1; run <= seeds; run++)
            {
                var random = new Random((1000 * run) + own.Next());
                for (int i = 1; i <= checkpoints; i++)
                {
                    double size = (0.05 * i / checkpoints) + (0.002 * TinyModel.Gaussian(random));
                    double[] drift = [.. direction.Select(d => (size * d) + (0.002 * TinyModel.Gaussian(random)))];
                    double rate = Math.Clamp(0.01 + (1.5 * Math.Max(0, -drift[1])) + (0.003 * TinyModel.Gaussian(random)), 0, 1);
                    result.Add(Checkpoint(perturbation, $"{run}", CheckpointStep.At(10 * i), drift, rate, model, [.. change.Select(c => (c * size) + (0.001 * TinyModel.Gaussian(random)))]));
                }
            }
        }

        return [.. result];
    }

    internal static CalibratedBase Base(string model = "base") =>
        new($"sha of {model}", "llama, 1M parameters, F32", 6, 3, Traits, 50, "fast, CPU", [0.1, 0.2, -0.3]) { Directions = Directions, DirectionsMethod = "mean_difference" };

    private static float[] Directions => [.. Enumerable.Range(0, Traits.Length * Hidden).Select(i => i / Hidden == i % Hidden ? 1f : 0f)];

    internal static LabelledSet Scan(IReadOnlyList<LabelledObservation> checkpoints, string model = "base") =>
        new(Base(model), Directions, checkpoints, 0.01, []);

    /// <summary>The same with latents, which follow the drifts with noise; the first is the loudest.</summary>
    internal static LabelledSet WithLatents(LabelledSet scan, int count, int seed = 1)
    {
        var random = new Random(seed);
        string[] names = [.. Enumerable.Range(0, count).Select(f => $"latent_{f}")];
        return scan with
        {
            Base = scan.Base with { Autoencoder = new CalibratedAutoencoder("sae", "0123456789abcdef", count) },
            Checkpoints = [.. scan.Checkpoints.Select(c => c with { Observation = c.Observation with { Latents = new LatentChange(names, Change(c)) } })],
        };

        double[] Change(LabelledObservation c) =>
            [.. names.Select((_, f) => (c.Observation.Displacement.PerTrait[f % Traits.Length] + (0.001 * TinyModel.Gaussian(random))) / (1 + f))];
    }

    internal static T[] Shuffled<T>(IEnumerable<T> items, int seed)
    {
        T[] result = [.. items];
        new Random(seed).Shuffle(result);
        return result;
    }
}
