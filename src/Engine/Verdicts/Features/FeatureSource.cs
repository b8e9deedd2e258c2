using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Verdicts.Features;

/// <summary>
/// Turns a checkpoint into the numbers that a regressor sees: raw columns read from one observation, and, where a feature has to be fitted
/// (PC1, PCA, PLS, which latents vary), transforms fitted on the training checkpoints only.
/// </summary>
/// <remarks>A new feature is a new instance; <see cref="FeatureCatalog"/> lists those that go by a name. Implementations are immutable and
/// thread safe.</remarks>
internal abstract class FeatureSource
{
    /// <summary>Name on the command line and in files, for example "drift".</summary>
    public abstract string Name { get; }

    /// <summary>What it is, for a table: "7 drifts".</summary>
    public abstract string Title { get; }

    /// <summary>Whether it reads nothing but drifts, activation norm and step: what a calibration stores of every checkpoint, so that labels can be
    /// added to it later.</summary>
    public virtual bool IsOfDrift => false;

    /// <summary>Whether it reads the latents of a sparse autoencoder, which are measured only where one is given.</summary>
    public virtual bool IsOfLatents => false;

    /// <summary>Names of the raw columns, (F), for checkpoints like this one.</summary>
    /// <exception cref="EmScanException">The observation has no such features.</exception>
    public abstract IReadOnlyList<string> Columns(Observation observation);

    /// <summary>The raw columns, (F).</summary>
    /// <exception cref="EmScanException">The observation does not have them; the sentence names it.</exception>
    public abstract double[] Read(Observation observation);

    /// <summary>Transforms to apply before the regressor, fitted on the training set; none by default.</summary>
    /// <param name="training">The training checkpoints.</param>
    /// <param name="raw">Their raw columns, (N, F).</param>
    /// <param name="rates">Their EM rates, (N).</param>
    /// <exception cref="EmScanException">The training set is too small or degenerate for it.</exception>
    public virtual IReadOnlyList<ITransform> Fit(IReadOnlyList<LabelledObservation> training, FeatureMatrix raw, ReadOnlySpan<double> rates) => [];
}
