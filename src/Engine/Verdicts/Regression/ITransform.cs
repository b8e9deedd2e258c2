namespace EmScan.Engine.Verdicts.Regression;

/// <summary>A fitted map from features to features. Implementations are immutable and thread safe.</summary>
internal interface ITransform
{
    /// <summary>Name of the kind in files: standardizer, principal_components, partial_least_squares, drift_axis, column_selection.</summary>
    string Kind { get; }

    /// <summary>Features that it takes, F.</summary>
    int InputCount { get; }

    /// <summary>Features that it gives, M.</summary>
    int OutputCount { get; }

    /// <summary>Transforms one row.</summary>
    /// <param name="row">(F).</param>
    /// <param name="result">(M); it must not overlap the row.</param>
    /// <exception cref="ArgumentException">A length is wrong.</exception>
    /// <exception cref="EmScanException">A feature is NaN, infinite or beyond <see cref="FeatureMatrix.LargestMagnitude"/>.</exception>
    void Apply(ReadOnlySpan<double> row, Span<double> result);
}
