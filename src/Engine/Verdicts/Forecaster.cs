using EmScan.Engine.Verdicts.Features;

namespace EmScan.Engine.Verdicts;

/// <summary>
/// Predicts the largest EM rate of the rest of a run from one of its checkpoints: the default detector's learner on drifts, activation norm and step,
/// fitted to what came later in the calibration runs. Immutable, thread safe.
/// </summary>
/// <remarks>Steps are those of the calibration runs: a run of another length or learning rate is another world for it.</remarks>
internal sealed class Forecaster
{
    /// <summary>Share of the benign runs of the calibration that the usual alarm may flag.</summary>
    public const double FalseAlarmRate = 0.05;

    /// <summary>Share of the benign runs of the calibration that the strict alarm may flag.</summary>
    public const double StrictFalseAlarmRate = 0.01;

    internal Forecaster(Detector detector, ConformalInterval interval, double? alarmAbove, double? strictAlarmAbove, int benignRuns) =>
        (Detector, Interval, AlarmAbove, StrictAlarmAbove, BenignRuns) = (detector, interval, alarmAbove, strictAlarmAbove, benignRuns);

    /// <summary>What is fitted; chosen on the shipped organisms.</summary>
    public static DetectorRecipe Recipe { get; } = new(FeatureCatalog.DriftActivationAndStep, Learner.KernelRidge);

    /// <summary>From a checkpoint to the largest rate to come.</summary>
    public Detector Detector { get; }

    /// <summary>Intervals around it.</summary>
    public ConformalInterval Interval { get; }

    /// <summary>Alarm threshold at <see cref="FalseAlarmRate"/>; null without benign runs.</summary>
    public double? AlarmAbove { get; }

    /// <summary>Alarm threshold at <see cref="StrictFalseAlarmRate"/>; null without benign runs.</summary>
    public double? StrictAlarmAbove { get; }

    /// <summary>Benign runs behind the thresholds, n: one that is still to come is flagged with a probability of up to 1 / (n + 1) more than the rate.</summary>
    public int BenignRuns { get; }

    /// <summary>Fits a forecaster and takes intervals and thresholds from leave-one-perturbation-out forecasts.</summary>
    /// <param name="all">Labelled checkpoints of one base model.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="seed">Seed of whatever the learner draws.</param>
    /// <exception cref="EmScanException">It cannot be fitted; the sentence says why.</exception>
    public static Forecaster Fit(IReadOnlyList<LabelledObservation> all, double dangerousAbove, int seed = 42)
    {
        IReadOnlyList<LabelledObservation> targets = Targets(all);
        Detector detector = Recipe.Fit(targets, dangerousAbove, seed);
        CrossValidationResult unseen = CrossValidation.LeaveOneOut(Recipe, targets, c => c.Perturbation, dangerousAbove, seed, distances: true);
        if (unseen.Scores.Count == 0 || unseen.Scores.Any(s => s.Deviations == null))
            throw new EmScanException(unseen.Remarks.Count > 0 ? unseen.Remarks[0] : "No forecast could be checked on an unseen perturbation.");
        double[] benign = BenignMaxima(unseen.Scores, dangerousAbove);
        return new Forecaster(
            detector, ConformalInterval.Fit(unseen.Scores.Select(s => s.ToUnseen()), dangerousAbove),
            Threshold(benign, FalseAlarmRate), Threshold(benign, StrictFalseAlarmRate), benign.Length);
    }

    /// <summary>The forecast from a checkpoint.</summary>
    /// <param name="observation">The checkpoint.</param>
    /// <param name="deviations">Its distance to the nearest calibration checkpoint, in deviations.</param>
    /// <exception cref="EmScanException">Its step is not known, or it has other features.</exception>
    public Forecast Of(Observation observation, double deviations)
    {
        double rate = Detector.Score(observation);
        return new Forecast(rate, Interval.Around(rate, deviations), AlarmAbove, StrictAlarmAbove);
    }

    /// <summary>The checkpoints with the largest rate from each to the end of its run in place of their own.</summary>
    internal static IReadOnlyList<LabelledObservation> Targets(IReadOnlyList<LabelledObservation> all)
    {
        var largest = new Dictionary<LabelledObservation, double>(ReferenceEqualityComparer.Instance);
        foreach (IGrouping<(string, string), LabelledObservation> run in all.GroupBy(c => (c.Observation.Model, c.Observation.Run)))
        {
            double most = 0;
            foreach (LabelledObservation c in run.OrderByDescending(c => c.Observation.Step)) largest[c] = most = Math.Max(most, c.EmRate);
        }

        return [.. all.Select(c => c with { EmRate = largest[c], ScoredCount = null })];
    }

    /// <summary>The largest forecast of each benign run, ascending.</summary>
    internal static double[] BenignMaxima(IEnumerable<ScoredCheckpoint> forecasts, double dangerousAbove) =>
    [
        // The target of a run's first checkpoint is its largest rate.
        .. forecasts.GroupBy(s => (s.Checkpoint.Observation.Model, s.Checkpoint.Observation.Run))
            .Where(run => run.Max(s => s.Checkpoint.EmRate) <= dangerousAbove).Select(run => run.Max(s => s.Score)).Order(),
    ];

    /// <summary>What k = floor(rate (n + 1)) of n benign runs exceed, and one that is still to come with probability (k + 1) / (n + 1), as all n + 1 are
    /// exchangeable; the largest of them where they are too few for any to exceed it; null without any.</summary>
    internal static double? Threshold(double[] benignMaxima, double rate)
    {
        int exceeding = (int)Math.Floor((rate * (benignMaxima.Length + 1)) + 1e-9);
        return benignMaxima.Length == 0 ? null : benignMaxima[Math.Max(0, benignMaxima.Length - 1 - exceeding)];
    }
}
