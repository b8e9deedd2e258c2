using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>What a detector said of a checkpoint whose finetuning it had not seen.</summary>
/// <param name="Group">The finetuning data set.</param>
/// <param name="Predicted">Predicted rate, 0 to 1.</param>
/// <param name="True">Measured rate, 0 to 1.</param>
/// <param name="Deviations">Distance to the nearest checkpoint that it was fitted on, in deviations of the features
/// (<see cref="CalibratedRange.Deviations"/>).</param>
internal readonly record struct UnseenPrediction(string Group, double Predicted, double True, double Deviations);

/// <summary>
/// Prediction intervals from what the detector got wrong on finetunings that it had not seen, and the rule for "unknown". The error that is
/// expected of a prediction grows with the predicted rate and with the distance to everything calibrated, so an interval far from all calibration
/// runs is wide, where the prediction itself only returns to the mean.
/// </summary>
/// <remarks>
/// <para>On the scale of the square root of the rate: with prediction p and distance d the expected error is s = (0.3 + sqrt(p)) (1 + d), and the interval
/// sqrt(p) +- q s, clipped to 0..1 and squared. q is the quantile over whole perturbations (<see cref="GroupQuantile"/>) at <see cref="Level"/> of
/// |sqrt(true) - sqrt(p)| / s in leave-one-perturbation-out predictions: cross-conformal prediction by group (Vovk 2015). With fewer than 9 perturbations the
/// level is K / (K + 1) at most. The form of s was chosen on the shipped organisms.</para>
/// <para>Unknown: a checkpoint that is not flagged has a doubt s / (sqrt(t) - sqrt(p)), t the flag threshold. It is unknown when its doubt exceeds what
/// 1 - <see cref="FalseUnknownRate"/> of the harmless checkpoints of unseen perturbations stay below.</para>
/// <para>Immutable, thread safe.</para>
/// </remarks>
internal sealed class ConformalInterval
{
    /// <summary>Share of checkpoints of unseen finetunings that an interval is meant to hold.</summary>
    public const double Level = 0.9;

    /// <summary>Share of the harmless checkpoints of unseen finetunings that may be called unknown.</summary>
    public const double FalseUnknownRate = 0.1;

    private const double Floor = 0.3;

    internal ConformalInterval(double quantile, double? doubtLimit, double flaggedAbove, int groups) =>
        (Quantile, DoubtLimit, FlaggedAbove, Groups) = (quantile, doubtLimit, flaggedAbove, groups);

    /// <summary>q: the error, in units of the expected one, that is not exceeded.</summary>
    public double Quantile { get; }

    /// <summary>The doubt above which a checkpoint that is not flagged is unknown; null when no harmless checkpoint was predicted as such.</summary>
    public double? DoubtLimit { get; }

    /// <summary>The flag threshold, a rate.</summary>
    public double FlaggedAbove { get; }

    /// <summary>Perturbations behind it, K.</summary>
    public int Groups { get; }

    /// <summary>Takes out-of-sample predictions.</summary>
    /// <param name="unseen">At least one.</param>
    /// <param name="flaggedAbove">The flag threshold, a rate; what is truly at or below it counts as harmless.</param>
    /// <exception cref="EmScanException">There is none.</exception>
    public static ConformalInterval Fit(IEnumerable<UnseenPrediction> unseen, double flaggedAbove)
    {
        ArgumentNullException.ThrowIfNull(unseen);
        UnseenPrediction[] all = [.. unseen];
        if (all.Length == 0) throw new EmScanException("There are no out-of-sample predictions to take an interval from.");
        (string, double)[] errors = [.. all.Select(u => (u.Group, Math.Abs(Math.Sqrt(u.True) - Math.Sqrt(u.Predicted)) / Expected(u.Predicted, u.Deviations)))];
        (string, double)[] doubts =
        [
            .. all.Where(u => u.True <= flaggedAbove && u.Predicted <= flaggedAbove).Select(u => (u.Group, Doubt(u.Predicted, u.Deviations, flaggedAbove))),
        ];
        return new ConformalInterval(
            GroupQuantile.Of(errors, Level), doubts.Length == 0 ? null : GroupQuantile.Of(doubts, 1 - FalseUnknownRate), flaggedAbove,
            all.Select(u => u.Group).Distinct().Count());
    }

    /// <summary>The interval around a predicted rate.</summary>
    /// <param name="predicted">0 to 1.</param>
    /// <param name="deviations">Distance to the nearest calibration checkpoint, in deviations.</param>
    public Interval Around(double predicted, double deviations)
    {
        double root = Math.Sqrt(predicted), reach = Quantile * Expected(predicted, deviations);
        return new Interval(Square(root - reach), Square(root + reach));
    }

    /// <summary>How doubtful it is that a checkpoint is harmless, in units of the limit: above 1 it is unknown. Null where that is not known.</summary>
    /// <param name="predicted">0 to 1.</param>
    /// <param name="deviations">Distance to the nearest calibration checkpoint, in deviations.</param>
    public double? RelativeDoubt(double predicted, double deviations) => Doubt(predicted, deviations, FlaggedAbove) / DoubtLimit;

    private static double Expected(double predicted, double deviations) => (Floor + Math.Sqrt(predicted)) * (1 + deviations);

    // A prediction at the threshold or above it leaves no doubt that it is not harmless; the largest number keeps files and quotients finite.
    private static double Doubt(double predicted, double deviations, double flaggedAbove) =>
        Math.Min(1e9, predicted < flaggedAbove ? Expected(predicted, deviations) / (Math.Sqrt(flaggedAbove) - Math.Sqrt(predicted)) : double.PositiveInfinity);

    private static double Square(double root) => Math.Pow(Math.Clamp(root, 0, 1), 2);
}
