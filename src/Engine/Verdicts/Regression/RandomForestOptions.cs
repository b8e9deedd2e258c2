namespace EmScan.Engine.Verdicts.Regression;

/// <summary>How a forest is grown. The defaults are those of the paper.</summary>
internal sealed record RandomForestOptions
{
    /// <summary>Number of trees.</summary>
    public int Trees { get; init; } = 100;

    /// <summary>Most splits above a leaf, from 1 to 64.</summary>
    public int MaxDepth { get; init; } = 5;

    /// <summary>Fewest distinct rows in a leaf.</summary>
    public int MinLeafSamples { get; init; } = 5;

    /// <summary>Grow each tree on N rows drawn with replacement; otherwise on all rows.</summary>
    public bool Bootstrap { get; init; } = true;

    /// <summary>Share of the features drawn anew for each split, above 0; at least one is drawn. 1 looks at all.</summary>
    public double MaxFeatures { get; init; } = 1;

    /// <summary>Seed of all draws.</summary>
    public int Seed { get; init; } = 42;

    /// <summary>Most threads to grow trees on; the trees do not depend on it.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}
