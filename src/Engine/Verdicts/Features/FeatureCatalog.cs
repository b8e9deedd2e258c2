using System.Collections.Immutable;
using System.Numerics.Tensors;
using EmScan.Engine.Drift;
using EmScan.Engine.Numerics;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Verdicts.Features;

/// <summary>The features that go by a name: those of the paper's table, and a few of our own.</summary>
/// <remarks>Definitions: method.md, sections Detector and Baselines, of arXiv 2606.07631.</remarks>
internal static class FeatureCatalog
{
    private const int Components = 7;
    private const int MostLatents = 256;
    private const string TraitPrefix = "trait:";
    private const int RandomSeed = 20260607;

    /// <summary>The K drifts x and |mean dh|: how far the checkpoint moved along the traits, and how far in all.</summary>
    public static FeatureSource DriftAndActivation { get; } = new SimpleFeature(
        "drift+activation", "drifts and activation norm", o => [.. DriftColumns(o), "activation_norm"], o => [.. o.Displacement.PerTrait, o.Displacement.MeanActivationChange],
        ofDrift: true);

    /// <summary>The K drifts x, |mean dh| and the optimizer step.</summary>
    public static FeatureSource DriftActivationAndStep { get; } = new SimpleFeature(
        "drift+activation+step", "drifts, activation norm and step", o => [.. DriftColumns(o), "activation_norm", "step"],
        o => [.. o.Displacement.PerTrait, o.Displacement.MeanActivationChange, StepOf(o)], ofDrift: true);

    /// <summary>The K drifts x, the paper's features.</summary>
    public static FeatureSource Drift { get; } = new SimpleFeature("drift", "drifts", DriftColumns, o => [.. o.Displacement.PerTrait], ofDrift: true);

    /// <summary>|x . PC1|, PC1 fitted on the final checkpoints of the training runs.</summary>
    public static FeatureSource AxisMagnitude { get; } = new SimpleFeature(
        "pc1", "|PC1|", DriftColumns, o => [.. o.Displacement.PerTrait], (training, _, _) => [new DriftAxisTransform(FinalAxis(training), DriftAxisOutput.Magnitude)],
        ofDrift: true);

    /// <summary>x . PC1 with its sign.</summary>
    public static FeatureSource AxisSigned { get; } = new SimpleFeature(
        "pc1-signed", "PC1, signed", DriftColumns, o => [.. o.Displacement.PerTrait], (training, _, _) => [new DriftAxisTransform(FinalAxis(training), DriftAxisOutput.Position)],
        ofDrift: true);

    /// <summary>The paper's features for long runs: 100 |PC1|, step, 100 |PC1| / step.</summary>
    public static FeatureSource AxisAndStep { get; } = new SimpleFeature(
        "pc1+step", "|PC1|, step, |PC1| / step", o => [.. DriftColumns(o), "step"], o => [.. o.Displacement.PerTrait, StepOf(o)],
        (training, _, _) => [new DriftAxisTransform(FinalAxis(training), DriftAxisOutput.StepAware)], ofDrift: true);

    /// <summary>|x|.</summary>
    public static FeatureSource DriftNorm { get; } = new SimpleFeature("drift-norm", "drift norm", _ => ["drift_norm"], o => [o.Displacement.Magnitude], ofDrift: true);

    /// <summary>|mean dh| / n0.</summary>
    public static FeatureSource ActivationNorm { get; } = new SimpleFeature(
        "activation-norm", "activation norm", _ => ["activation_norm"], o => [o.Displacement.MeanActivationChange], ofDrift: true);

    /// <summary>The first 7 principal components of mean dh / n0.</summary>
    public static FeatureSource ActivationPca { get; } = new SimpleFeature(
        "activation-pca", "activation PCA-7", ActivationColumns, o => [.. o.Displacement.ActivationChange],
        (_, raw, _) => [PrincipalComponents.Fit(raw, Math.Min(Components, Math.Min(raw.RowCount - 1, raw.FeatureCount)))]);

    /// <summary>The first 7 partial least squares components of mean dh / n0.</summary>
    public static FeatureSource ActivationPls { get; } = new SimpleFeature(
        "activation-pls", "activation PLS-7", ActivationColumns, o => [.. o.Displacement.ActivationChange],
        (_, raw, rates) => [PartialLeastSquares.Fit(raw, rates, Math.Min(Components, Math.Min(raw.RowCount - 1, raw.FeatureCount)))]);

    /// <summary>mean dh / n0 along K random unit directions: what any K directions would tell.</summary>
    public static FeatureSource RandomDirections { get; } = new SimpleFeature(
        "random", "random directions", o => [.. o.Traits.Select((_, k) => $"random_{k}")], ReadRandom);

    /// <summary>Frobenius norm of the whole LoRA change.</summary>
    public static FeatureSource LoraNorm { get; } = new SimpleFeature("lora-norm", "LoRA norm", _ => ["lora_norm"], o => [o.Facts.Value.TotalNorm]);

    /// <summary>Frobenius norm of the LoRA change of each weight.</summary>
    public static FeatureSource LoraNorms { get; } = new SimpleFeature(
        "lora-norms", "LoRA norms by weight", o => [.. o.Facts.Value.Norms.Keys.Order(StringComparer.Ordinal)],
        o => [.. o.Facts.Value.Norms.OrderBy(n => n.Key, StringComparer.Ordinal).Select(n => n.Value)]);

    /// <summary>How much more active the latents of a sparse autoencoder are than in the base: the 256 of them that vary most over the training
    /// checkpoints, or all where there are fewer.</summary>
    public static FeatureSource Latents { get; } = new SimpleFeature(
        "sae", $"SAE-{MostLatents}", o => LatentsOf(o).Names, o => LatentsOf(o).Change,
        (_, raw, _) => [ColumnSelection.MostVarying(raw, MostLatents)], ofLatents: true);

    /// <summary>Training loss at the step.</summary>
    public static FeatureSource Loss { get; } = new SimpleFeature(
        "loss", "training loss", _ => ["loss"],
        o => [o.Facts.Value.Loss ?? throw new EmScanException($"{o.Name} has no training loss: there is no trainer_state.json with a log beside it.")]);

    /// <summary>All with a fixed name; besides them, "trait:NAME" is the drift along one trait.</summary>
    public static IReadOnlyList<FeatureSource> All { get; } =
    [
        DriftAndActivation, DriftActivationAndStep, Drift, AxisMagnitude, AxisSigned, AxisAndStep, DriftNorm, ActivationNorm, ActivationPca, ActivationPls,
        RandomDirections, LoraNorm, LoraNorms, Latents, Loss,
    ];

    /// <summary>The drift along one trait: one persona direction.</summary>
    public static FeatureSource Trait(string trait)
    {
        ArgumentException.ThrowIfNullOrEmpty(trait);
        return new SimpleFeature(
            TraitPrefix + trait, $"one direction ({trait})", _ => [$"drift_{trait}"], o =>
            {
                for (int k = 0; k < o.Traits.Count; k++)
                {
                    if (o.Traits[k] == trait) return [o.Displacement.PerTrait[k]];
                }

                throw new EmScanException($"There is no trait '{trait}'; there are {string.Join(", ", o.Traits)}.");
            },
            ofDrift: true);
    }

    /// <summary>Finds a feature source by its name.</summary>
    /// <exception cref="EmScanException">There is none; the sentence lists them.</exception>
    public static FeatureSource Get(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name.StartsWith(TraitPrefix, StringComparison.Ordinal) && name.Length > TraitPrefix.Length) return Trait(name[TraitPrefix.Length..]);
        return All.FirstOrDefault(source => source.Name == name)
            ?? throw new EmScanException($"There are no features called '{name}'; there are {string.Join(", ", All.Select(s => s.Name))} and {TraitPrefix}NAME.");
    }

    /// <summary>The drift axis of the last checkpoint of every run.</summary>
    /// <exception cref="EmScanException">There are fewer than 3 runs, or they do not differ.</exception>
    public static DriftAxis FinalAxis(IEnumerable<LabelledObservation> checkpoints)
    {
        ArgumentNullException.ThrowIfNull(checkpoints);
        DriftAxisBuilder? builder = null;
        foreach (LabelledObservation last in LastOfRuns(checkpoints))
        {
            builder ??= new DriftAxisBuilder(last.Observation.Traits);
            builder.Add(last.Observation.Displacement.PerTrait.AsSpan());
        }

        return builder?.Fit() ?? throw new EmScanException("There are no runs to take a drift axis from.");
    }

    /// <summary>The last checkpoint of every run, in the order of model and run.</summary>
    public static IEnumerable<LabelledObservation> LastOfRuns(IEnumerable<LabelledObservation> checkpoints) =>
        checkpoints.GroupBy(c => (c.Observation.Model, c.Observation.Run)).OrderBy(g => g.Key.Model, StringComparer.Ordinal)
            .ThenBy(g => g.Key.Run, StringComparer.Ordinal).Select(run => run.MaxBy(c => c.Observation.Step)!);

    private static IReadOnlyList<string> DriftColumns(Observation o) => [.. o.Traits.Select(trait => $"drift_{trait}")];

    private static IReadOnlyList<string> ActivationColumns(Observation o) => [.. Enumerable.Range(0, o.Displacement.ActivationChange.Length).Select(d => $"dh_{d}")];

    private static LatentChange LatentsOf(Observation o) => o.Latents
        ?? throw new EmScanException($"The features '{Latents.Name}' are latents of a sparse autoencoder, and none was given when {o.Name} was measured.");

    private static double StepOf(Observation o) => o.Step.Number ?? o.Facts.Value.Step
        ?? throw new EmScanException($"{o.Name}: the step of the final adapter is not known (no trainer_state.json), and a step-aware detector needs it.");

    // Drawn anew for every checkpoint: K D normal numbers, negligible beside the pass over the prompts.
    private static double[] ReadRandom(Observation o)
    {
        ImmutableArray<double> change = o.Displacement.ActivationChange;
        var random = new Random(RandomSeed);
        double[] result = new double[o.Traits.Count], direction = new double[change.Length];
        for (int k = 0; k < result.Length; k++)
        {
            Normal.Direction(random, direction);
            result[k] = TensorPrimitives.Dot<double>(change.AsSpan(), direction);
        }

        return result;
    }
}
