namespace EmScan.Engine.Verdicts.Regression;

/// <summary>What bounds the growth of a tree.</summary>
/// <param name="MaxDepth">Most splits above a leaf.</param>
/// <param name="MinLeafSamples">Fewest distinct rows of positive weight in a leaf.</param>
/// <param name="MaxFeatures">Features drawn for a split, from 1 to F.</param>
internal readonly record struct TreeLimits(int MaxDepth, int MinLeafSamples, int MaxFeatures)
{
    /// <summary>A deeper tree could not be saved sensibly, and its growth would exhaust the stack.</summary>
    public const int DeepestTree = 64;

    public static TreeLimits Of(int maxDepth, int minLeafSamples, double maxFeatures, int featureCount)
    {
        if (maxDepth is < 1 or > DeepestTree)
            throw new ArgumentException($"{nameof(maxDepth)} is {maxDepth}; it must be from 1 to {DeepestTree}.", nameof(maxDepth));
        Guard.AtLeastOne(minLeafSamples, nameof(minLeafSamples));
        Guard.Share(maxFeatures, nameof(maxFeatures));
        return new TreeLimits(maxDepth, minLeafSamples, Math.Max(1, (int)(maxFeatures * featureCount)));
    }
}
