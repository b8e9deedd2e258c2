namespace EmScan.Engine.Traits;

/// <summary>What to extract and how. The defaults are those of the paper.</summary>
public sealed record ExtractionOptions
{
    /// <summary>The estimator.</summary>
    public DirectionMethod Method { get; init; } = DirectionMethod.MeanDifference;

    /// <summary>Where the one hidden state of a prompt comes from; null means what fits the place that a scan measures
    /// (<see cref="Measuring.PlaceNames.MatchingPooling"/>), and the last token where there is no scan.</summary>
    public Pooling? Pooling { get; init; }

    /// <summary>Layers, strictly ascending; null for all. They cost memory, not another pass.</summary>
    public IReadOnlyList<int>? Layers { get; init; }

    /// <summary>Seed of the folds, halves and sign flips behind the validity figures; directions do not depend on it.</summary>
    public int Seed { get; init; } = 42;

    /// <summary>Most tokens that <see cref="Pooling.MeanOutput"/> generates for a prompt.</summary>
    public int MaxNewTokens { get; init; } = 64;

    /// <summary>
    /// Most prompts given to the activation source in one call: progress and cancellation are this fine. The result does not depend on it.
    /// </summary>
    public int PromptsPerCall { get; init; } = 32;

    /// <summary>
    /// Whether to compute the validity figures. Without them, mean difference keeps no samples but only two sums a layer.
    /// </summary>
    public bool Validity { get; init; } = true;

    /// <summary>Number of random sign flips behind a permutation p-value.</summary>
    public int Permutations { get; init; } = 1000;

    /// <summary>What the caller knows of the model (hash, name, precision, program); the extractor adds the rest.</summary>
    internal DirectionMetadata Origin { get; init; } = new();
}
