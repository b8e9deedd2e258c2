using EmScan.Engine.Drift;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts;

/// <summary>A measured checkpoint with all that features are computed from.</summary>
/// <param name="Model">Names the base model; observations of different bases differ in it.</param>
/// <param name="Run">The training run.</param>
/// <param name="Step">Optimizer step.</param>
/// <param name="Traits">Trait names, (K), in the order of the drift.</param>
/// <param name="Displacement">How far it has moved from the base.</param>
/// <param name="Facts">What its files say; read when a feature first asks.</param>
internal sealed record Observation(
    string Model, string Run, CheckpointStep Step, IReadOnlyList<string> Traits, Displacement Displacement, Lazy<AdapterFacts> Facts)
{
    /// <summary>Says which checkpoint is meant, for sentences.</summary>
    internal string Name => $"{Run} step {Step}";

    /// <summary>What the latents of a sparse autoencoder say of it; null where none was given.</summary>
    public LatentChange? Latents { get; init; }

    /// <summary>Whether its step is a number, or its files tell it.</summary>
    internal bool KnowsStep => Step.Number != null || Facts.Value.Step != null;
}

/// <summary>How much more active latents are than in the base, on the same prompts.</summary>
/// <param name="Names">Names of the latents, (F); the same list for all checkpoints of a base.</param>
/// <param name="Change">Mean activation less the base's, (F), in the autoencoder's own units.</param>
internal sealed record LatentChange(IReadOnlyList<string> Names, double[] Change);

/// <summary>An observation whose EM rate was measured.</summary>
/// <param name="Observation">The checkpoint.</param>
/// <param name="EmRate">Share of misaligned answers among the scored ones, 0 to 1.</param>
/// <param name="Perturbation">The finetuning data set.</param>
/// <param name="Seed">The training seed, when it is known.</param>
internal sealed record LabelledObservation(Observation Observation, double EmRate, string Perturbation, string? Seed)
{
    /// <summary>Number of answers that the rate is a share of, when it is known.</summary>
    public long? ScoredCount { get; init; }

    /// <summary>Share of the adapter's squared norm that the measured layer can see, 0 to 1; null where it changes nothing or was not read.</summary>
    public double? VisibleShare { get; init; }
}
