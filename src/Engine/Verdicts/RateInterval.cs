using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>
/// Prediction intervals from what the detector got wrong on perturbations that it had not seen: the errors of the calibration checkpoints
/// whose out-of-sample prediction was nearest to this one, on the scale of the square root of the rate.
/// </summary>
/// <remarks>
/// A split-conformal interval (Vovk et al. 2005; Lei et al. 2018, doi 10.1080/01621459.2017.1307116), made local because errors near 0% and
/// near 40% have nothing in common. Its coverage holds for perturbations like those of the calibration set and is measured by
/// <c>emscan evaluate</c>. Immutable, thread safe.
/// </remarks>
internal sealed class RateInterval
{
    /// <summary>Share of checkpoints that the interval is meant to hold.</summary>
    public const double Level = 0.9;

    /// <summary>(1 - Level) / 2, which comes out too small by rounding when it is computed.</summary>
    private const double Tail = 0.05;

    /// <summary>Fewer errors than this say nothing of their tails.</summary>
    private const int FewestNeighbours = 30;

    private readonly (double Predicted, double True)[] _pairs; // by prediction

    /// <summary>Takes out-of-sample predictions.</summary>
    /// <param name="pairs">Predicted and true EM rates, 0 to 1.</param>
    /// <exception cref="EmScanException">There is none.</exception>
    public RateInterval(IEnumerable<(double Predicted, double True)> pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);

        // A millionth is far below what any rate is measured to, and keeps files short.
        _pairs = [.. pairs.Select(pair => (Math.Round(pair.Predicted, 6), Math.Round(pair.True, 6))).OrderBy(pair => pair.Item1).ThenBy(pair => pair.Item2)];
        if (_pairs.Length == 0) throw new EmScanException("There are no out-of-sample predictions to take an interval from.");
    }

    /// <summary>The predictions, ascending, with the true rates.</summary>
    public IReadOnlyList<(double Predicted, double True)> Pairs => _pairs;

    /// <summary>The interval around a prediction; it may lie on one side of it where the detector errs to one side.</summary>
    public Interval Around(double predicted)
    {
        // Everything as near as the farthest that is needed: predictions of exactly 0 are common, and a choice among them would be arbitrary.
        int needed = Math.Min(_pairs.Length, Math.Max(FewestNeighbours, _pairs.Length / 4));
        double radius = _pairs.Select(pair => Math.Abs(pair.Predicted - predicted)).Order().ElementAt(needed - 1);
        double[] errors =
        [
            .. _pairs.Where(pair => Math.Abs(pair.Predicted - predicted) <= radius)
                .Select(pair => Math.Sqrt(pair.True) - Math.Sqrt(pair.Predicted)).Order(),
        ];

        // The finite-sample quantiles of conformal prediction: the k-th smallest and largest of n, k = floor((n + 1) (1 - level) / 2).
        int cut = Math.Max(1, (int)Math.Floor((errors.Length + 1) * Tail));
        double root = Math.Sqrt(predicted);
        return new Interval(Square(root + errors[cut - 1]), Square(root + errors[^cut]));
    }

    private static double Square(double root) => Math.Pow(Math.Clamp(root, 0, 1), 2);
}
