namespace EmScan.Engine.Analyses.Screening;

/// <summary>A data set.</summary>
/// <param name="Name">Its name in reports; distinct.</param>
/// <param name="Path">JSON Lines, one conversation a line.</param>
internal sealed record ScreenSet(string Name, string Path);

/// <summary>What <see cref="ScreenAnalysis"/> is asked.</summary>
internal sealed record ScreenRequest
{
    /// <summary>The data sets, at least one.</summary>
    public required IReadOnlyList<ScreenSet> Sets { get; init; }

    /// <summary>What examples are scored along.</summary>
    public required ScoreAxis Axis { get; init; }

    /// <summary>Names of sets that are known to be bad, for the AUROC; may be none.</summary>
    public IReadOnlyList<string> Bad { get; init; } = [];

    /// <summary>Most tokens of the base's own answer to a prompt, at least 1.</summary>
    public int AnswerTokens { get; init; } = 64;

    /// <summary>Random directions that the axis is compared with.</summary>
    public int Controls { get; init; } = 20;

    /// <summary>Seed of the random directions, and of permutations where there are too many for all.</summary>
    public int Seed { get; init; } = 42;
}
