using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Verdicts;

/// <summary>What a detector's regressor predicts, and thereby how its output becomes a score.</summary>
internal enum PredictedQuantity
{
    /// <summary>The EM rate; the score is it, clipped to 0..1.</summary>
    Rate,

    /// <summary>The square root of the EM rate, on which the sampling noise of a measured rate is the same everywhere; the score is the
    /// square of it, clipped to 0..1.</summary>
    RootOfRate,

    /// <summary>The probability that the checkpoint is dangerous; flagged above one half.</summary>
    Probability,
}

/// <summary>A way to fit a regressor to EM rates. Immutable, thread safe.</summary>
/// <param name="Name">Name on the command line and in files.</param>
/// <param name="Title">What it is, for a table.</param>
/// <param name="Predicts">What it predicts.</param>
/// <param name="Fit">Fits it: features (N, F), EM rates (N), danger threshold, seed.</param>
internal sealed record Learner(string Name, string Title, PredictedQuantity Predicts, Func<FeatureMatrix, double[], double, int, IRegressor> Fit)
{
    /// <summary>How much the rates of other bases tell of a base's own, from 0 to 1: the less, the more checkpoints of its own there are. Chosen on the
    /// shipped organisms (docs/studies/2026-11-28-shipped.md).</summary>
    /// <param name="own">Labelled checkpoints of the base itself.</param>
    internal static double Relation(int own) => 0.8 * 32 / (own + 32);

    /// <summary>Fits it to rows of several bases, for the first of them: features (N, F), EM rates (N), base of each row (N), 0 the first. Null where
    /// the learner knows no difference between bases.</summary>
    private Func<FeatureMatrix, double[], int[], IRegressor>? FitBases { get; init; }

    /// <summary>Fits it to the checkpoints of a base and to those of others, which tell less.</summary>
    /// <param name="x">(N, F).</param>
    /// <param name="rates">EM rates, (N).</param>
    /// <param name="bases">The base of each row, (N); 0 is the one that is predicted.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="seed">Seed of whatever is drawn.</param>
    internal IRegressor FitAcross(FeatureMatrix x, double[] rates, int[] bases, double dangerousAbove, int seed) =>
        FitBases != null && bases.Any(b => b != 0) ? FitBases(x, rates, bases) : Fit(x, rates, dangerousAbove, seed);

    /// <summary>100 trees of depth 5, at least 5 checkpoints a leaf: the paper's headline.</summary>
    public static Learner RandomForest { get; } = new(
        "random-forest", "random forest", PredictedQuantity.Rate, (x, y, _, seed) => RandomForestRegressor.Fit(x, y, new RandomForestOptions { Seed = seed }));

    /// <summary>100 trees of depth 3, rate 0.1: the paper's.</summary>
    public static Learner GradientBoosting { get; } = new(
        "gradient-boosting", "gradient boosting", PredictedQuantity.Rate,
        (x, y, _, seed) => GradientBoostingRegressor.Fit(x, y, new GradientBoostingOptions { Seed = seed }));

    /// <summary>Ridge with alpha 1 on the features as they are: the paper's.</summary>
    public static Learner Ridge { get; } = new("ridge", "ridge", PredictedQuantity.Rate, (x, y, _, _) => RidgeRegression.Fit(x, y));

    /// <summary>Ridge with alpha 1 on standardised features.</summary>
    public static Learner ScaledRidge { get; } = new(
        "scaled-ridge", "ridge, scaled", PredictedQuantity.Rate, (x, y, _, _) => Scaled(x, z => RidgeRegression.Fit(z, y)));

    /// <summary>Gaussian kernel ridge on standardised features and the root of the rate: length scale 3, alpha 0.2.</summary>
    public static Learner KernelRidge { get; } = new(
        "kernel-ridge", "kernel ridge", PredictedQuantity.RootOfRate,
        (x, y, _, _) => Scaled(x, z => KernelRidgeRegression.Fit(z, [.. y.Select(Math.Sqrt)])))
    {
        FitBases = (x, y, bases) => Scaled(x, z => KernelRidgeRegression.FitRelated(z, [.. y.Select(Math.Sqrt)], bases, Relation(bases.Count(b => b == 0)))),
    };

    /// <summary>Logistic regression on standardised features, for "is it dangerous": the paper's step-aware alarm.</summary>
    public static Learner Logistic { get; } = new(
        "logistic", "logistic", PredictedQuantity.Probability, (x, y, threshold, _) => Scaled(x, z => LogisticRegression.Fit(z, [.. y.Select(rate => rate > threshold)])));

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Learner> All { get; } = [KernelRidge, RandomForest, GradientBoosting, Ridge, ScaledRidge, Logistic];

    /// <summary>Finds a learner by its name.</summary>
    /// <exception cref="EmScanException">There is none; the sentence lists them.</exception>
    public static Learner Get(string name) => All.FirstOrDefault(learner => learner.Name == name)
        ?? throw new EmScanException($"There is no regressor called '{name}'; there are {string.Join(", ", All.Select(l => l.Name))}.");

    /// <summary>Above which score a checkpoint is flagged.</summary>
    /// <param name="dangerousAbove">Danger threshold, an EM rate; <see cref="DangerThreshold.Default"/> in the paper.</param>
    public double FlaggedAbove(double dangerousAbove) => Predicts == PredictedQuantity.Probability ? 0.5 : dangerousAbove;

    /// <summary>The score for a regressor's output: an EM rate or a probability, 0 to 1.</summary>
    public double Score(double output)
    {
        double clipped = Math.Clamp(output, 0, 1);
        return Predicts == PredictedQuantity.RootOfRate ? clipped * clipped : clipped;
    }

    private static Pipeline Scaled(FeatureMatrix x, Func<FeatureMatrix, IRegressor> fit)
    {
        var scaler = Standardizer.Fit(x);
        return new Pipeline([scaler], fit(x.Apply(scaler)));
    }
}
