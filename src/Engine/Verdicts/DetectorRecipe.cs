using EmScan.Engine.Adapters;
using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Features;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Verdicts;

/// <summary>Features and a learner: all that is needed to make a detector of labelled checkpoints.</summary>
/// <param name="Features">What it sees.</param>
/// <param name="Learner">How it learns.</param>
internal sealed record DetectorRecipe(FeatureSource Features, Learner Learner)
{
    /// <summary>Fewer labelled checkpoints than this make no detector.</summary>
    public const int FewestCheckpoints = 7;

    /// <summary>What <c>emscan calibrate</c> fits when nothing else is asked for; chosen on the organisms (bench/Accuracy).</summary>
    public static DetectorRecipe Default { get; } = new(FeatureCatalog.DriftAndActivation, Learner.KernelRidge);

    /// <summary>The paper's headline: a random forest on the drifts.</summary>
    public static DetectorRecipe Paper { get; } = new(FeatureCatalog.Drift, Learner.RandomForest);

    /// <summary>"features/regressor", for example "drift/random-forest".</summary>
    public string Name => $"{Features.Name}/{Learner.Name}";

    /// <summary>Reads "features/regressor"; see <see cref="FeatureCatalog"/> and <see cref="Learner.All"/>.</summary>
    /// <exception cref="EmScanException">It has another form, or one of the names is unknown.</exception>
    public static DetectorRecipe Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        int slash = name.LastIndexOf('/');
        if (slash <= 0 || slash == name.Length - 1) throw new EmScanException($"'{name}' is not of the form FEATURES/REGRESSOR, such as {Paper.Name}.");
        return new DetectorRecipe(FeatureCatalog.Get(name[..slash]), Learner.Get(name[(slash + 1)..]));
    }

    /// <summary>The paper's baseline of latents of a sparse autoencoder; not in the table, because it needs one.</summary>
    public static DetectorRecipe LatentBaseline { get; } = new(FeatureCatalog.Latents, Learner.Ridge);

    /// <summary>The table for checkpoints like this one: with latents where they were measured.</summary>
    public static IReadOnlyList<DetectorRecipe> TableFor(Observation observation)
    {
        ArgumentNullException.ThrowIfNull(observation);
        return observation.Latents == null ? Table(observation.Traits) : [.. Table(observation.Traits), LatentBaseline];
    }

    /// <summary>The paper's table and our own detectors, the default first. The persona direction is the drift along one trait.</summary>
    /// <param name="traits">Trait names; the persona is harmlessness where there is such a trait, else the first.</param>
    public static IReadOnlyList<DetectorRecipe> Table(IReadOnlyList<string> traits)
    {
        ArgumentNullException.ThrowIfNull(traits);
        string persona = traits.Contains(Drift.DriftAxis.OrientingTrait) ? Drift.DriftAxis.OrientingTrait : traits[0];
        return
        [
            Default,
            new(FeatureCatalog.Drift, Learner.KernelRidge),
            Paper,
            new(FeatureCatalog.Drift, Learner.GradientBoosting),
            new(FeatureCatalog.Drift, Learner.Ridge),
            new(FeatureCatalog.Drift, Learner.ScaledRidge),
            new(FeatureCatalog.AxisMagnitude, Learner.RandomForest),
            new(FeatureCatalog.AxisSigned, Learner.RandomForest),
            new(FeatureCatalog.AxisAndStep, Learner.Logistic),
            new(FeatureCatalog.DriftNorm, Learner.RandomForest),
            new(FeatureCatalog.Trait(persona), Learner.Ridge),
            new(FeatureCatalog.ActivationNorm, Learner.RandomForest),
            new(FeatureCatalog.ActivationPca, Learner.Ridge),
            new(FeatureCatalog.ActivationPls, Learner.Ridge),
            new(FeatureCatalog.RandomDirections, Learner.RandomForest),
            new(FeatureCatalog.LoraNorm, Learner.RandomForest),
            new(FeatureCatalog.LoraNorms, Learner.Ridge),
            new(FeatureCatalog.Loss, Learner.RandomForest),
        ];
    }

    /// <summary>Fits a detector.</summary>
    /// <param name="training">Labelled checkpoints, at least <see cref="FewestCheckpoints"/>, of one or several base models.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="seed">Seed of whatever the learner draws.</param>
    /// <exception cref="EmScanException">There are too few checkpoints, the labels are all the same or on one side of the threshold where the
    /// learner needs both, or a feature is missing.</exception>
    public Detector Fit(IReadOnlyList<LabelledObservation> training, double dangerousAbove = DangerThreshold.Default, int seed = 42)
    {
        ArgumentNullException.ThrowIfNull(training);
        return FitOrdered(InOrder(training), [], dangerousAbove, seed);
    }

    /// <summary>Fits a detector for one base to its labelled checkpoints and to those of others, brought into its units (<see cref="OwnUnits"/>).
    /// Kernel ridge gives the others less weight (<see cref="KernelRidgeRegression.FitRelated"/>), every other learner the same.</summary>
    /// <param name="own">Labelled checkpoints of the base, at least one.</param>
    /// <param name="borrowed">Labelled checkpoints of others; with none, this is a fit to the first.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="seed">Seed of whatever the learner draws.</param>
    /// <exception cref="EmScanException">As of the fit to one base, of all checkpoints together.</exception>
    public Detector Fit(
        IReadOnlyList<LabelledObservation> own, IReadOnlyList<LabelledObservation> borrowed, double dangerousAbove = DangerThreshold.Default, int seed = 42) =>
        FitOrdered(InOrder(own), InOrder(OwnUnits.Of(borrowed, own)), dangerousAbove, seed);

    /// <summary>Checkpoints in an order of their own: what a forest draws, and how sums are rounded, must not depend on the order that they came in.</summary>
    internal static LabelledObservation[] InOrder(IEnumerable<LabelledObservation> training) =>
    [
        .. training.OrderBy(t => t.Observation.Model, NaturalOrder.Instance).ThenBy(t => t.Observation.Run, NaturalOrder.Instance)
            .ThenBy(t => t.Observation.Step),
    ];

    private Detector FitOrdered(LabelledObservation[] own, LabelledObservation[] borrowed, double dangerousAbove, int seed)
    {
        LabelledObservation[] training = [.. own, .. borrowed];
        RequireLearnable(training);
        string[] others = [.. borrowed.Select(b => b.Observation.Model).Distinct()];
        int[] bases = [.. own.Select(_ => 0), .. borrowed.Select(b => Array.IndexOf(others, b.Observation.Model) + 1)];
        double[] rates = [.. training.Select(t => t.EmRate)];
        IReadOnlyList<string> columns = Features.Columns(training[0].Observation);
        FeatureMatrix raw = Matrix(training, columns);
        IReadOnlyList<ITransform> transforms = Features.Fit(training, raw, rates);
        FeatureMatrix features = transforms.Aggregate(raw, (matrix, transform) => matrix.Apply(transform));
        IRegressor regressor = Learner.FitAcross(features, rates, bases, dangerousAbove, seed);
        return new Detector(Features, Learner, columns, transforms.Count == 0 ? regressor : new Pipeline(transforms, regressor));
    }

    /// <exception cref="EmScanException">There are too few checkpoints, or their labels are all the same.</exception>
    internal static void RequireLearnable(IReadOnlyList<LabelledObservation> training)
    {
        if (training.Count < FewestCheckpoints)
            throw new EmScanException($"{training.Count} labelled checkpoints are too few to fit a detector; at least {FewestCheckpoints} are needed.");
        if (training.All(t => t.EmRate == training[0].EmRate))
        {
            throw new EmScanException(FormattableString.Invariant(
                $"All {training.Count} labelled checkpoints have the same EM rate, {training[0].EmRate}; there is nothing to learn from them."));
        }
    }

    /// <summary>The raw columns of checkpoints, (N, F).</summary>
    internal FeatureMatrix Matrix(IReadOnlyList<LabelledObservation> checkpoints, IReadOnlyList<string> columns) =>
        FeatureMatrix.FromRows([.. checkpoints.Select(c => Detector.Read(Features, columns, c.Observation))]);
}
