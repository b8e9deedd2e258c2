using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Diff;

/// <summary>What <see cref="DiffAnalysis"/> is asked.</summary>
internal sealed record DiffRequest
{
    /// <summary>The adapters, each looked at alone; at least one.</summary>
    public required IReadOnlyList<AdapterSource> Adapters { get; init; }

    /// <summary>Plain texts as tokens, BOS first; at least one.</summary>
    public required IReadOnlyList<int[]> Texts { get; init; }

    /// <summary>Conversations; may be none.</summary>
    public IReadOnlyList<ScoredConversation> Chats { get; init; } = [];

    /// <summary>Positions from here on are far from the start.</summary>
    public int Far { get; init; } = 64;

    /// <summary>A sparse autoencoder whose latents are looked at, at its own layer; or null.</summary>
    public SparseAutoencoder? Autoencoder { get; init; }

    /// <summary>Loadings of the drift axis, (K), or null.</summary>
    public double[]? Axis { get; init; }

    /// <summary>For each adapter the tokens whose probability says whether the domain of its finetuning shows; each may be none.</summary>
    public IReadOnlyList<IReadOnlyList<int>> DomainTokens { get; init; } = [];
}
