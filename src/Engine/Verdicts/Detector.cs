using EmScan.Engine.Verdicts.Features;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Verdicts;

/// <summary>A fitted detector: from a checkpoint to a predicted EM rate, or to a probability of danger. Immutable, thread safe.</summary>
internal sealed class Detector
{
    /// <summary>Joins the parts.</summary>
    /// <param name="features">What it sees.</param>
    /// <param name="learner">How it was fitted.</param>
    /// <param name="columns">Names of the raw columns that it was fitted on, (F).</param>
    /// <param name="regressor">From raw columns to the learner's output.</param>
    /// <exception cref="ArgumentException">The regressor takes another number of columns.</exception>
    public Detector(FeatureSource features, Learner learner, IReadOnlyList<string> columns, IRegressor regressor)
    {
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(learner);
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(regressor);
        if (regressor.FeatureCount != columns.Count)
            throw new ArgumentException($"The regressor takes {regressor.FeatureCount} columns, but there are {columns.Count}.", nameof(regressor));
        (Features, Learner, Columns, Regressor) = (features, learner, columns, regressor);
    }

    /// <summary>What it sees.</summary>
    public FeatureSource Features { get; }

    /// <summary>How it was fitted.</summary>
    public Learner Learner { get; }

    /// <summary>Names of the raw columns, (F).</summary>
    public IReadOnlyList<string> Columns { get; }

    /// <summary>From raw columns to the learner's output.</summary>
    public IRegressor Regressor { get; }

    /// <summary>Raw columns of a checkpoint, (F).</summary>
    /// <exception cref="EmScanException">It has other columns than the detector was fitted on.</exception>
    public double[] Read(Observation observation) => Read(Features, Columns, observation);

    /// <summary>Predicted EM rate (or probability of danger), 0 to 1.</summary>
    /// <exception cref="EmScanException">It has other columns than the detector was fitted on.</exception>
    public double Score(Observation observation) => Learner.Score(Regressor.Predict(Read(observation)));

    internal static double[] Read(FeatureSource features, IReadOnlyList<string> columns, Observation observation)
    {
        ArgumentNullException.ThrowIfNull(observation);
        IReadOnlyList<string> own = features.Columns(observation);
        if (!own.SequenceEqual(columns))
        {
            throw new EmScanException(
                $"{observation.Name} has other features of the kind '{features.Name}' ({Text(own)}) than the detector was fitted on ({Text(columns)}).");
        }

        return features.Read(observation);
    }

    private static string Text(IReadOnlyList<string> columns) =>
        columns.Count <= 12 ? string.Join(", ", columns) : $"{columns.Count} columns from {columns[0]} to {columns[^1]}";
}
