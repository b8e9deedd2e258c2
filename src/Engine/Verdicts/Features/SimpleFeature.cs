using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Verdicts.Features;

/// <summary>Fits transforms on the raw columns of a training set.</summary>
/// <param name="training">The training checkpoints.</param>
/// <param name="raw">Their raw columns, (N, F).</param>
/// <param name="rates">Their EM rates, (N).</param>
internal delegate IReadOnlyList<ITransform> TransformFit(IReadOnlyList<LabelledObservation> training, FeatureMatrix raw, ReadOnlySpan<double> rates);

/// <summary>A feature source made of functions.</summary>
/// <param name="name">Name on the command line and in files.</param>
/// <param name="title">What it is, for a table.</param>
/// <param name="columns">Names of the raw columns, (F).</param>
/// <param name="read">The raw columns, (F).</param>
/// <param name="fit">Transforms fitted on the training set; none when null.</param>
/// <param name="ofDrift">Whether it reads nothing but drifts, activation norm and step.</param>
/// <param name="ofLatents">Whether it reads the latents of a sparse autoencoder.</param>
internal sealed class SimpleFeature(
    string name, string title, Func<Observation, IReadOnlyList<string>> columns, Func<Observation, double[]> read, TransformFit? fit = null,
    bool ofDrift = false, bool ofLatents = false) : FeatureSource
{
    /// <inheritdoc/>
    public override bool IsOfDrift => ofDrift;

    /// <inheritdoc/>
    public override bool IsOfLatents => ofLatents;

    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override string Title => title;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Columns(Observation observation) => columns(observation);

    /// <inheritdoc/>
    public override double[] Read(Observation observation) => read(observation);

    /// <inheritdoc/>
    public override IReadOnlyList<ITransform> Fit(IReadOnlyList<LabelledObservation> training, FeatureMatrix raw, ReadOnlySpan<double> rates) =>
        fit?.Invoke(training, raw, rates) ?? [];
}
