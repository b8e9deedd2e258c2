using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>What <see cref="WeightStudy"/> and <see cref="WeightsAnalysis"/> are asked.</summary>
internal sealed record WeightsRequest
{
    /// <summary>The adapters; at least one. The first one's run is compared with the others at the same step, and with its own other steps; the first one is transplanted.</summary>
    internal required IReadOnlyList<AdapterSource> Adapters { get; init; }

    /// <summary>Whether every pair is compared.</summary>
    internal bool AllPairs { get; init; }

    /// <summary>Good and bad answers to the same prompts, for transplants; may be none.</summary>
    internal IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> Pairs { get; init; } = [];

    /// <summary>Permutations, random masks and random matrices.</summary>
    internal int Draws { get; init; } = 20;

    /// <summary>Of everything random.</summary>
    internal int Seed { get; init; } = 42;
}
