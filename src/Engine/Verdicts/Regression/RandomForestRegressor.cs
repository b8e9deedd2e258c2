using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>The mean of trees grown on bootstrap samples: scikit-learn's RandomForestRegressor with squared error.</summary>
/// <remarks>A split is the one that reduces the variance most, its threshold the midpoint between two neighbours; of equal splits the one
/// on the feature that was drawn first, then at the lowest threshold. A row drawn several times has several times the weight, but counts
/// once towards the smallest leaf, as in scikit-learn. Each tree draws from its own generator, seeded from the forest's seed, so that the
/// forest is the same for any number of threads.</remarks>
internal sealed class RandomForestRegressor : IRegressor
{
    internal const string KindName = "random_forest";

    private readonly RegressionTree[] _trees;

    internal RandomForestRegressor(int featureCount, RegressionTree[] trees)
    {
        FeatureCount = featureCount;
        _trees = trees;
    }

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int FeatureCount { get; }

    /// <summary>The trees, at least one.</summary>
    public IReadOnlyList<RegressionTree> Trees => _trees;

    /// <summary>Grows a forest.</summary>
    /// <param name="x">(N, F).</param>
    /// <param name="y">(N) targets.</param>
    /// <param name="options">How; null for the paper's.</param>
    /// <param name="weights">
    /// (N) weights of the rows, none negative, or empty for equal ones. Rows are drawn without regard to them.
    /// </param>
    /// <exception cref="ArgumentException">The lengths differ, or an option is out of range.</exception>
    /// <exception cref="EmScanException">
    /// A weight is negative or not a number; targets are not finite or all the same; or the rows are too few or too alike for one split.
    /// </exception>
    public static RandomForestRegressor Fit(
        FeatureMatrix x, ReadOnlySpan<double> y, RandomForestOptions? options = null, ReadOnlySpan<double> weights = default)
    {
        options ??= new RandomForestOptions();
        Guard.Targets(x, y);
        Guard.AtLeastOne(options.Trees, nameof(options.Trees));
        Guard.AtLeastOne(options.Threads, nameof(options.Threads));
        TreeLimits limits = TreeLimits.Of(options.MaxDepth, options.MinLeafSamples, options.MaxFeatures, x.FeatureCount);
        double[] targets = y.ToArray(), rowWeights = RowWeights(weights, x.RowCount);
        var features = new SortedFeatures(x);
        var master = new Random(options.Seed);
        int[] seeds = [.. Enumerable.Range(0, options.Trees).Select(_ => master.Next())];
        var trees = new RegressionTree[options.Trees];
        Parallel.For(
            0,
            trees.Length,
            new ParallelOptions { MaxDegreeOfParallelism = options.Threads },
            () => new TreeGrower(features, limits),
            (t, _, grower) =>
            {
                var random = new Random(seeds[t]);
                double[] drawn = options.Bootstrap ? Draw(rowWeights, random) : rowWeights;
                trees[t] = grower.Grow(targets, drawn, random);
                return grower;
            },
            _ => { });
        if (trees.All(tree => tree.NodeCount == 1))
        {
            throw new EmScanException(
                $"No tree found a split: {x.RowCount} rows are too few, or too alike, for {options.MinLeafSamples} rows a leaf.");
        }

        return new RandomForestRegressor(x.FeatureCount, trees);
    }

    /// <inheritdoc/>
    public double Predict(ReadOnlySpan<double> row)
    {
        Guard.Row(row, FeatureCount);
        double sum = 0;
        foreach (RegressionTree tree in _trees) sum += tree.Predict(row);
        return sum / _trees.Length;
    }

    /// <summary>The weights with a largest one of 1, so that products of them neither overflow nor vanish.</summary>
    private static double[] RowWeights(ReadOnlySpan<double> weights, int rows)
    {
        var result = new double[rows];
        if (weights.IsEmpty)
        {
            Array.Fill(result, 1);
            return result;
        }

        if (weights.Length != rows) throw new ArgumentException($"There are {weights.Length} weights for {rows} rows.", nameof(weights));
        for (int i = 0; i < rows; i++)
        {
            if (!(weights[i] >= 0) || !FeatureMatrix.IsUsable(weights[i]))
                throw new EmScanException($"The weight of row {i} (counted from 0) is {weights[i]}; it must be a number from 0 to 1e38.");
        }

        double largest = TensorPrimitives.Max(weights);
        if (largest == 0) throw new EmScanException("All weights are zero.");
        TensorPrimitives.Divide(weights, largest, result);
        return result;
    }

    /// <summary>The weights of N rows drawn with replacement, all equally likely; at least one of positive weight is among them.</summary>
    private static double[] Draw(double[] weights, Random random)
    {
        var drawn = new double[weights.Length];
        do
        {
            for (int i = 0; i < drawn.Length; i++)
            {
                int row = random.Next(drawn.Length);
                drawn[row] += weights[row];
            }
        }
        while (!drawn.AsSpan().ContainsAnyExcept(0.0));

        return drawn;
    }
}
