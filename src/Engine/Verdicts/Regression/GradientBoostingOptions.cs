namespace EmScan.Engine.Verdicts.Regression;

/// <summary>How a sum of trees is grown. The defaults are those of the paper and of scikit-learn.</summary>
internal sealed record GradientBoostingOptions
{
    /// <summary>Number of trees.</summary>
    public int Trees { get; init; } = 100;

    /// <summary>Most splits above a leaf, from 1 to 64.</summary>
    public int MaxDepth { get; init; } = 3;

    /// <summary>Fewest rows in a leaf.</summary>
    public int MinLeafSamples { get; init; } = 1;

    /// <summary>Share of a tree's values that is added, above 0 and at most 1.</summary>
    public double Rate { get; init; } = 0.1;

    /// <summary>Share of the rows drawn without replacement for each tree, above 0; at least one is drawn. 1 takes all.</summary>
    public double Subsample { get; init; } = 1;

    /// <summary>Share of the features drawn anew for each split, above 0; at least one is drawn. 1 looks at all.</summary>
    public double MaxFeatures { get; init; } = 1;

    /// <summary>Seed of all draws.</summary>
    public int Seed { get; init; } = 42;
}
