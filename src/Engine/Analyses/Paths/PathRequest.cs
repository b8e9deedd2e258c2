using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Paths;

/// <summary>An adapter, and texts like those it was finetuned on but not among them.</summary>
/// <param name="Adapter">The adapter.</param>
/// <param name="HeldOut">Held-out conversations of its finetuning; may be none.</param>
internal sealed record PathAdapter(AdapterSource Adapter, IReadOnlyList<ScoredConversation> HeldOut)
{
    /// <summary>Tokens whose probability says whether the domain of its finetuning shows; may be none.</summary>
    public IReadOnlyList<int> DomainTokens { get; init; } = [];
}

/// <summary>What <see cref="PathAnalysis"/> and <see cref="PlaneAnalysis"/> are asked.</summary>
internal sealed record PathRequest
{
    /// <summary>Plain texts as tokens, BOS first.</summary>
    public required IReadOnlyList<int[]> Texts { get; init; }

    /// <summary>Conversations; may be none.</summary>
    public IReadOnlyList<ScoredConversation> Chats { get; init; } = [];

    /// <summary>Good and bad answers to the same prompts; may be none.</summary>
    public IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> Pairs { get; init; } = [];

    /// <summary>Loadings of the drift axis, (K), or null.</summary>
    public double[]? Axis { get; init; }

    /// <summary>A curve that is searched between two adapters, or null for none.</summary>
    public BendRequest? Bend { get; init; }
}

/// <summary>What a curve between two adapters bends along.</summary>
/// <param name="Through">A third adapter, or null for the plane of both and the base.</param>
/// <param name="Name">What to call it.</param>
internal sealed record BendRequest(AdapterSource? Through, string Name);
