using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Layers;

/// <summary>What <see cref="LayersAnalysis"/> is asked.</summary>
internal sealed record LayersRequest
{
    /// <summary>The adapters; at least one.</summary>
    internal required IReadOnlyList<AdapterSource> Adapters { get; init; }

    /// <summary>Runs of which every checkpoint is measured, drifts alone, for a map by layer and step; may be none.</summary>
    internal IReadOnlyList<LayerTrajectory> Trajectories { get; init; } = [];

    /// <summary>Conversations whose log-likelihood says what is left of capability; may be none.</summary>
    internal IReadOnlyList<ScoredConversation> Chats { get; init; } = [];

    /// <summary>Good and bad answers to the same prompts; may be none.</summary>
    internal IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> Pairs { get; init; } = [];

    /// <summary>Pieces that the blocks are cut into; bands begin and end between pieces.</summary>
    internal int Pieces { get; init; } = 8;

    /// <summary>Sizes of random weight changes, as multiples of the adapter's own; none for no noise.</summary>
    internal IReadOnlyList<double> NoiseSizes { get; init; } = [];

    /// <summary>Shapes of them; none to choose by the model's width: both, or of the adapter's rank alone where full matrices would be large.</summary>
    internal IReadOnlyList<WeightNoiseKind> NoiseKinds { get; init; } = [];

    /// <summary>Draws of each kind, size and place.</summary>
    internal int Draws { get; init; } = 20;

    /// <summary>Of everything random.</summary>
    internal int Seed { get; init; } = 42;
}
