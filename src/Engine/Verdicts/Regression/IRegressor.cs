namespace EmScan.Engine.Verdicts.Regression;

/// <summary>A fitted function from F features to a number. Implementations are immutable and thread safe.</summary>
internal interface IRegressor
{
    /// <summary>Name of the kind in files: ridge, logistic, random_forest, gradient_boosting, partial_least_squares, pipeline.</summary>
    string Kind { get; }

    /// <summary>F.</summary>
    int FeatureCount { get; }

    /// <summary>The value for one row; not clipped to any range.</summary>
    /// <param name="row">(F).</param>
    /// <exception cref="ArgumentException">The length is not F.</exception>
    /// <exception cref="EmScanException">A feature is NaN, infinite or beyond <see cref="FeatureMatrix.LargestMagnitude"/>.</exception>
    double Predict(ReadOnlySpan<double> row);
}
