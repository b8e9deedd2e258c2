using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>
/// Partial least squares for one target: as a transform the scores on M directions of largest covariance with the target, as a regressor
/// the prediction from them. scikit-learn's PLSRegression(scale=False).
/// </summary>
/// <remarks>
/// NIPALS on centred x and y: w = x'y / |x'y|, t = x w, p = x't / t't, q = y't / t't, then x and y less what t explains, M times. Scores of
/// a new row come from the rotations W (P'W)^-1. The largest entry of each w is positive. Source: Wegelin, A Survey of Partial Least
/// Squares Methods (2000), as scikit-learn's documentation cites it.
/// </remarks>
internal sealed class PartialLeastSquares : ITransform, IRegressor
{
    internal const string KindName = "partial_least_squares";

    /// <summary>A covariance below this share of |x| |y| is rounding: nothing of the target is left.</summary>
    private const double SmallestCovariance = 1e-13;

    private readonly ComponentBasis _basis;
    private readonly double[] _loadings; // (M)

    internal PartialLeastSquares(ComponentBasis basis, double targetMean, double[] loadings)
    {
        _basis = basis;
        TargetMean = targetMean;
        _loadings = loadings;
    }

    /// <inheritdoc cref="IRegressor.Kind"/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int InputCount => _basis.Mean.Length;

    /// <inheritdoc/>
    public int OutputCount => _basis.Rows.Length;

    /// <inheritdoc/>
    public int FeatureCount => InputCount;

    /// <summary>Mean of the target: the prediction for the mean row.</summary>
    public double TargetMean { get; }

    /// <summary>q, (M): what a unit of each score adds to the prediction.</summary>
    public ReadOnlySpan<double> Loadings => _loadings;

    internal ComponentBasis Basis => _basis;

    /// <summary>Finds the directions.</summary>
    /// <param name="x">(N, F); F may exceed N.</param>
    /// <param name="y">(N) targets.</param>
    /// <param name="components">M, at most min(N - 1, F).</param>
    /// <exception cref="ArgumentException">The lengths differ, or M is below 1.</exception>
    /// <exception cref="EmScanException">
    /// There are too few rows, the targets are not finite or all the same, or fewer than M directions explain all that can be explained.
    /// </exception>
    public static PartialLeastSquares Fit(FeatureMatrix x, ReadOnlySpan<double> y, int components)
    {
        Guard.Targets(x, y);
        Guard.Components(x, components);
        double[][] columns = x.CentredColumns(out double[] means);
        double targetMean = TensorPrimitives.Sum(y) / y.Length;
        var target = new double[y.Length];
        TensorPrimitives.Subtract(y, targetMean, target);
        double squaresOfX = columns.Sum(column => TensorPrimitives.SumOfSquares<double>(column));
        double size = Math.Sqrt(squaresOfX * TensorPrimitives.SumOfSquares<double>(target));

        var rotations = new double[components][];
        var xLoadings = new double[components][];
        var loadings = new double[components];
        for (int m = 0; m < components; m++)
        {
            double[] weights = TimesColumns(columns, target);
            double covariance = TensorPrimitives.Norm<double>(weights);
            if (!(covariance > SmallestCovariance * size))
            {
                throw new EmScanException(
                    $"{components} components were asked for, but {m} explain all of the target that the features can explain.");
            }

            TensorPrimitives.Divide(weights, covariance, weights);
            ComponentBasis.Orient(weights);
            var scores = new double[y.Length];
            for (int f = 0; f < columns.Length; f++) TensorPrimitives.MultiplyAdd(columns[f], weights[f], scores, scores);
            double squares = TensorPrimitives.SumOfSquares<double>(scores);

            xLoadings[m] = TimesColumns(columns, scores);
            TensorPrimitives.Divide(xLoadings[m], squares, xLoadings[m]);
            loadings[m] = TensorPrimitives.Dot<double>(target, scores) / squares;
            for (int f = 0; f < columns.Length; f++) TensorPrimitives.MultiplyAdd(scores, -xLoadings[m][f], columns[f], columns[f]);
            TensorPrimitives.MultiplyAdd(scores, -loadings[m], target, target);

            // Column m of W (P'W)^-1, P'W being upper triangular with ones on the diagonal.
            rotations[m] = weights;
            double[] products = [.. Enumerable.Range(0, m).Select(k => TensorPrimitives.Dot<double>(xLoadings[k], weights))];
            for (int k = 0; k < m; k++) TensorPrimitives.MultiplyAdd(rotations[k], -products[k], weights, weights);
        }

        return new PartialLeastSquares(new ComponentBasis(means, rotations), targetMean, loadings);
    }

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> row, Span<double> result) => _basis.Project(row, result);

    /// <inheritdoc/>
    public double Predict(ReadOnlySpan<double> row)
    {
        var scores = new double[OutputCount];
        _basis.Project(row, scores);
        return TargetMean + TensorPrimitives.Dot<double>(scores, _loadings);
    }

    private static double[] TimesColumns(double[][] columns, double[] vector) =>
        [.. columns.Select(column => TensorPrimitives.Dot<double>(column, vector))];
}
