using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>
/// The targets' mean plus a rate times the sum of trees, each grown on what the ones before it leave: scikit-learn's
/// GradientBoostingRegressor with squared loss and Friedman's criterion.
/// </summary>
/// <remarks>Splits and ties as in <see cref="RandomForestRegressor"/>. Source: Friedman, Greedy Function Approximation (2001) and
/// Stochastic Gradient Boosting (2002).</remarks>
internal sealed class GradientBoostingRegressor : IRegressor
{
    internal const string KindName = "gradient_boosting";

    private readonly RegressionTree[] _trees;

    internal GradientBoostingRegressor(int featureCount, double initial, double rate, RegressionTree[] trees)
    {
        FeatureCount = featureCount;
        Initial = initial;
        Rate = rate;
        _trees = trees;
    }

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int FeatureCount { get; }

    /// <summary>What the sum of trees starts from: the mean of the targets.</summary>
    public double Initial { get; }

    /// <summary>Factor of the trees' values.</summary>
    public double Rate { get; }

    /// <summary>The trees, at least one, in the order of growth.</summary>
    public IReadOnlyList<RegressionTree> Trees => _trees;

    /// <summary>Grows the trees one after another.</summary>
    /// <param name="x">(N, F).</param>
    /// <param name="y">(N) targets.</param>
    /// <param name="options">How; null for the paper's.</param>
    /// <exception cref="ArgumentException">The lengths differ, or an option is out of range.</exception>
    /// <exception cref="EmScanException">
    /// Targets are not finite or all the same; or the rows are too few or too alike for one split.
    /// </exception>
    public static GradientBoostingRegressor Fit(FeatureMatrix x, ReadOnlySpan<double> y, GradientBoostingOptions? options = null)
    {
        options ??= new GradientBoostingOptions();
        Guard.Targets(x, y);
        Guard.AtLeastOne(options.Trees, nameof(options.Trees));
        Guard.Share(options.Rate, nameof(options.Rate));
        Guard.Share(options.Subsample, nameof(options.Subsample));
        var grower = new TreeGrower(
            new SortedFeatures(x), TreeLimits.Of(options.MaxDepth, options.MinLeafSamples, options.MaxFeatures, x.FeatureCount));
        var random = new Random(options.Seed);
        var trees = new RegressionTree[options.Trees];
        double initial = TensorPrimitives.Sum(y) / y.Length;
        var residuals = new double[y.Length];
        var predictions = new double[y.Length];
        Array.Fill(predictions, initial);
        int taken = Math.Max(1, (int)(options.Subsample * y.Length));
        for (int t = 0; t < trees.Length; t++)
        {
            TensorPrimitives.Subtract(y, predictions, residuals);
            trees[t] = grower.Grow(residuals, Draw(y.Length, taken, random), random);
            for (int i = 0; i < predictions.Length; i++) predictions[i] += options.Rate * trees[t].Predict(x.Row(i));
        }

        if (trees.All(tree => tree.NodeCount == 1))
        {
            throw new EmScanException(
                $"No tree found a split: {x.RowCount} rows are too few, or too alike, for {options.MinLeafSamples} rows a leaf.");
        }

        return new GradientBoostingRegressor(x.FeatureCount, initial, options.Rate, trees);
    }

    /// <inheritdoc/>
    public double Predict(ReadOnlySpan<double> row)
    {
        Guard.Row(row, FeatureCount);
        double prediction = Initial;
        foreach (RegressionTree tree in _trees) prediction += Rate * tree.Predict(row);
        return prediction;
    }

    /// <summary>Weights of 1 for the rows that are taken, each set of them equally likely, and 0 for the others.</summary>
    private static double[] Draw(int rows, int taken, Random random)
    {
        var weights = new double[rows];
        Array.Fill(weights, 1, 0, taken);
        if (taken < rows) random.Shuffle(weights);
        return weights;
    }
}
