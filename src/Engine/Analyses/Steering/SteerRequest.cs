using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Steering;

/// <summary>What <see cref="SteerAnalysis"/> is asked.</summary>
internal sealed record SteerRequest
{
    /// <summary>Adapters whose mean activation change is steered with; may be none.</summary>
    public required IReadOnlyList<AdapterSource> Adapters { get; init; }

    /// <summary>Plain texts as tokens, BOS first.</summary>
    public required IReadOnlyList<int[]> Texts { get; init; }

    /// <summary>Conversations; may be none.</summary>
    public IReadOnlyList<ScoredConversation> Chats { get; init; } = [];

    /// <summary>Good and bad answers to the same prompts; may be none.</summary>
    public IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> Pairs { get; init; } = [];

    /// <summary>Random directions that the others are compared with.</summary>
    public int RandomDirections { get; init; } = 20;

    /// <summary>Seed of the random directions.</summary>
    public int Seed { get; init; } = 42;
}
