namespace EmScan.Engine.Verdicts.Regression;

/// <summary>Transforms one after another, then a regressor. A pipeline as the regressor is taken apart: pipelines do not nest.</summary>
internal sealed class Pipeline : IRegressor
{
    internal const string KindName = "pipeline";

    private readonly ITransform[] _transforms;

    /// <summary>Joins fitted parts.</summary>
    /// <exception cref="ArgumentException">A part takes another number of features than the part before it gives.</exception>
    public Pipeline(IReadOnlyList<ITransform> transforms, IRegressor regressor)
    {
        ArgumentNullException.ThrowIfNull(transforms);
        ArgumentNullException.ThrowIfNull(regressor);
        _transforms = regressor is Pipeline inner ? [.. transforms, .. inner._transforms] : [.. transforms];
        Regressor = regressor is Pipeline outer ? outer.Regressor : regressor;
        FeatureCount = _transforms.Length > 0 ? _transforms[0].InputCount : Regressor.FeatureCount;
        int features = FeatureCount;
        foreach (ITransform transform in _transforms)
        {
            if (transform.InputCount != features)
                throw new ArgumentException(Mismatch(transform.Kind, transform.InputCount, features), nameof(transforms));
            features = transform.OutputCount;
        }

        if (Regressor.FeatureCount != features)
            throw new ArgumentException(Mismatch(Regressor.Kind, Regressor.FeatureCount, features), nameof(regressor));
    }

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int FeatureCount { get; }

    /// <summary>The transforms, in their order; there may be none.</summary>
    public IReadOnlyList<ITransform> Transforms => _transforms;

    /// <summary>What predicts from the transformed features; not a pipeline.</summary>
    public IRegressor Regressor { get; }

    /// <inheritdoc/>
    public double Predict(ReadOnlySpan<double> row)
    {
        foreach (ITransform transform in _transforms)
        {
            var result = new double[transform.OutputCount];
            transform.Apply(row, result);
            row = result;
        }

        return Regressor.Predict(row);
    }

    private static string Mismatch(string kind, int takes, int gets) => $"The {kind} takes {takes} features, but gets {gets}.";
}
