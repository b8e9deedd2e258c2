using EmScan.Engine.Adapters;
using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Features;

namespace EmScan.Engine.Verdicts;

/// <summary>How well a detector did on groups that it had not seen.</summary>
/// <param name="Name">"leave one perturbation out" or "leave one seed out".</param>
/// <param name="Report">The figures, with intervals over runs.</param>
/// <param name="Coverage">Share of true rates inside the intervals, and their width; null where the detector gives none.</param>
internal sealed record Validation(string Name, EvaluationReport Report, IntervalCoverage? Coverage);

/// <summary>Facts about the checkpoints that a detector was fitted on.</summary>
/// <param name="Fingerprint">Digest over names, labels and drifts.</param>
/// <param name="Runs">Number of runs.</param>
/// <param name="Checkpoints">Number of checkpoints.</param>
/// <param name="DangerousCheckpoints">Number of them above the threshold.</param>
/// <param name="Perturbations">Finetuning data sets, in natural order.</param>
/// <param name="LowestRate">Lowest EM rate.</param>
/// <param name="HighestRate">Highest EM rate.</param>
internal sealed record CalibrationSet(
    string Fingerprint, int Runs, int Checkpoints, int DangerousCheckpoints, IReadOnlyList<string> Perturbations, double LowestRate, double HighestRate)
{
    /// <summary>
    /// The share of their squared norm that nine tenths of the checkpoints showed to the measured layer, 0 to 1 (<see cref="AdapterSurvey.VisibleShare"/>):
    /// of adapters that show as little, the verdicts are tested. Null where it is not known.
    /// </summary>
    public double? VisibleShare { get; init; }
}

/// <summary>
/// A detector for one base model, with what is needed to trust it: what it was fitted on, its intervals, its range, how it did on
/// perturbations and seeds that it had not seen. Immutable, thread safe.
/// </summary>
internal sealed class Calibration
{
    private const int FewestRuns = 2;

    /// <summary>Where <c>emscan calibrate</c> takes hidden states when nothing else is asked for (docs/studies).</summary>
    public static MeasuredPlace DefaultPlace => MeasuredPlace.MeanAnswer;

    internal Calibration(
        CalibratedBase basis, CalibrationSet set, double dangerousAbove, int seed, Detector detector, ConformalInterval? interval, CalibratedRange range,
        DriftAxis? axis, IReadOnlyList<Validation> validations, string? weakness)
    {
        Weakness = weakness;
        (Base, Set, DangerousAbove, Seed, Detector, Interval, Range, Axis, Validations) = (basis, set, dangerousAbove, seed, detector, interval, range, axis, validations);
    }

    /// <summary>What it was measured on.</summary>
    public CalibratedBase Base { get; }

    /// <summary>What it was fitted on.</summary>
    public CalibrationSet Set { get; }

    /// <summary>Danger threshold, an EM rate.</summary>
    public double DangerousAbove { get; }

    /// <summary>Seed of whatever the learner drew.</summary>
    public int Seed { get; }

    /// <summary>The detector.</summary>
    public Detector Detector { get; }

    /// <summary>Intervals around predicted rates, and when a checkpoint is unknown; null where the detector predicts a probability.</summary>
    public ConformalInterval? Interval { get; }

    /// <summary>The intervals of a file that was written before 0.3; null elsewhere.</summary>
    internal RateInterval? EarlierInterval { get; init; }

    /// <summary>The largest rate to come in a run; null where it could not be fitted.</summary>
    public Forecaster? Forecaster { get; init; }

    /// <summary>The labelled checkpoints of its own base that it was fitted on; of those in a file, drift, activation norm and step are known. Empty
    /// where a file does not hold them.</summary>
    internal IReadOnlyList<LabelledObservation> Checkpoints { get; init; } = [];

    /// <summary>Labelled checkpoints of other bases that it was fitted on besides; each names its base by the beginning of the model's digest.</summary>
    internal IReadOnlyList<LabelledObservation> Borrowed { get; init; } = [];

    /// <summary>Why no labels can be added to it, as a clause that follows "the calibration"; null when they can.</summary>
    internal string? WhyFixed { get; init; }

    /// <summary>How far the calibration reaches.</summary>
    public CalibratedRange Range { get; }

    /// <summary>The drift axis of the calibration runs; null with fewer than three.</summary>
    public DriftAxis? Axis { get; }

    /// <summary>Figures on unseen groups; empty only in a file that another program wrote.</summary>
    public IReadOnlyList<Validation> Validations { get; }

    /// <summary>
    /// Why nothing should rest on it, as a clause that follows "the calibration": on perturbations or seeds that it had not seen its detector was no
    /// better than chance (the 95% interval of the AUROC holds 0.5), or it was never tried on any. Null when it was better on all that was tried.
    /// </summary>
    public string? Weakness { get; }

    /// <summary>Above which score a checkpoint is flagged.</summary>
    public double FlaggedAbove => Detector.Learner.FlaggedAbove(DangerousAbove);

    /// <summary>Fits and validates a detector.</summary>
    /// <param name="scan">Labelled checkpoints of one base model: at least 7 of at least 2 perturbations, on both sides of the threshold.</param>
    /// <param name="recipe">What is fitted; <see cref="DetectorRecipe.Default"/> when null.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="seed">Seed of whatever the learner and the bootstrap draw.</param>
    /// <param name="remarks">Receives one sentence for each fold of the validation that could not be fitted.</param>
    /// <exception cref="EmScanException">The set cannot carry a detector; the sentence says why.</exception>
    public static Calibration Fit(
        LabelledSet scan, DetectorRecipe? recipe = null, double dangerousAbove = DangerThreshold.Default, int seed = 42, ICollection<string>? remarks = null)
    {
        ArgumentNullException.ThrowIfNull(scan);
        Check(scan.Checkpoints, dangerousAbove, alone: true);
        recipe ??= DetectorRecipe.Default;
        CalibratedBase basis = recipe.Features.IsOfLatents ? scan.Base : scan.Base with { Autoencoder = null };
        return Fit(basis, scan.Checkpoints, [], recipe, dangerousAbove, seed, UsualShare(scan.Checkpoints), remarks);
    }

    /// <summary>The same detector fitted anew, with a few labelled checkpoints more: of the base that it was made for, or of another one. For another one
    /// the new calibration is that base's, fitted to its checkpoints, and with less weight to those of the earlier base
    /// (<see cref="DetectorRecipe.Fit(IReadOnlyList{LabelledObservation}, IReadOnlyList{LabelledObservation}, double, int)"/>); figures, intervals and
    /// range are then of the new base alone. A checkpoint that was labelled before takes its new label.</summary>
    /// <param name="more">The checkpoints, measured at the same place with the same kind of directions.</param>
    /// <param name="remarks">Receives one sentence for each fold of the validation that could not be fitted.</param>
    /// <exception cref="EmScanException">It does not hold what it was fitted on, the two were measured in different ways, or the new base's
    /// checkpoints are too much alike to tell anything; the sentence says which.</exception>
    public Calibration Extend(LabelledSet more, ICollection<string>? remarks = null)
    {
        ArgumentNullException.ThrowIfNull(more);
        if (WhyNotExtendedTo(more.Base) is { } why) throw new EmScanException($"No labels can be added to the calibration: it {why}.");
        bool same = Base.Mismatch(more.Base) == null;
        CalibratedBase basis = same ? Base : more.Base;
        var known = new Dictionary<(string, string, Formats.CheckpointStep), LabelledObservation>();
        foreach (LabelledObservation c in Checkpoints.Select(c => Of(Base, c)).Concat(Borrowed).Concat(more.Checkpoints.Select(c => Of(basis, c))))
            known[(c.Observation.Model, c.Observation.Run, c.Observation.Step)] = c;
        ILookup<bool, LabelledObservation> isOwn = known.Values.ToLookup(c => c.Observation.Model == basis.Identity);
        LabelledObservation[] own = [.. isOwn[true]], borrowed = [.. isOwn[false]];
        Check(own, DangerousAbove, alone: borrowed.Length == 0);
        double? share = UsualShare(more.Checkpoints);
        if (same && Set.VisibleShare is { } earlier) share = Math.Min(earlier, share ?? earlier);
        return Fit(basis, own, borrowed, new DetectorRecipe(Detector.Features, Detector.Learner), DangerousAbove, Seed, share, remarks);

        static LabelledObservation Of(CalibratedBase basis, LabelledObservation c) => c with { Observation = c.Observation with { Model = basis.Identity } };
    }

    /// <summary>Why labels of a base cannot be added, as a clause that follows "the calibration"; null when they can.</summary>
    internal string? WhyNotExtendedTo(CalibratedBase measured) => WhyFixed ?? Base.MeasuredOtherwise(measured)
        ?? (Base.Identity == measured.Identity ? Base.Mismatch(measured) : null);

    /// <summary>The clause for <see cref="WhyFixed"/>; null for features that a calibration stores.</summary>
    internal static string? WhyFixedFor(FeatureSource features) => features.IsOfDrift ? null
        : $"sees more of a checkpoint ({features.Title}) than the drifts, activation norm and step that a calibration stores";

    private static Calibration Fit(
        CalibratedBase basis, IReadOnlyList<LabelledObservation> labelled, LabelledObservation[] borrowed, DetectorRecipe recipe, double dangerousAbove,
        int seed, double? visibleShare, ICollection<string>? remarks)
    {
        LabelledObservation[] own = DetectorRecipe.InOrder(labelled);
        Detector detector = recipe.Fit(own, borrowed, dangerousAbove, seed);
        bool givesRate = recipe.Learner.Predicts != PredictedQuantity.Probability;
        var validations = new List<Validation>();
        ConformalInterval? interval = null;
        UnseenIntervals? unseen = null;
        double flaggedAbove = recipe.Learner.FlaggedAbove(dangerousAbove);
        foreach ((string name, Func<LabelledObservation, string?> group) in Groups)
        {
            if (own.Select(group).Distinct().Count() < 2) continue;
            CrossValidationResult result = CrossValidation.LeaveOneOut(recipe, own, group, dangerousAbove, seed, distances: true, borrowed);
            foreach (string remark in result.Remarks) remarks?.Add(remark);
            if (result.Scores.Count == 0) continue;

            // The intervals come from the first, unseen perturbations; each error's own pair is left out when their coverage is counted.
            if (givesRate && interval == null && result.Scores.All(s => s.Deviations.HasValue))
            {
                interval = ConformalInterval.Fit(result.Scores.Select(s => s.ToUnseen()), flaggedAbove);
                unseen = UnseenIntervals.Of(result.Scores, flaggedAbove);
            }

            var set = new EvaluationSet(result.Scores.Select(s => s.ToEvaluated(unseen?.Around(s))));
            validations.Add(new Validation(
                name, EvaluationReport.Compute(set, dangerousAbove, flaggedAbove, new BootstrapOptions(Seed: seed)),
                unseen != null ? IntervalCoverage.Compute(set) : null));
        }

        if (givesRate && interval == null)
            throw new EmScanException("The detector could not be validated on an unseen perturbation, so its predictions would have no interval; label more runs.");
        return new Calibration(
            basis, Describe(own, dangerousAbove) with { VisibleShare = visibleShare }, dangerousAbove, seed, detector, interval, CalibratedRange.Fit(own),
            FeatureCatalog.LastOfRuns(own).Count() >= DriftAxis.FewestRuns ? FeatureCatalog.FinalAxis(own) : null, validations,
            WeaknessOf(validations.Select(v => (v.Name, v.Report[Metric.Auroc].Value, v.Report[Metric.Auroc].Interval?.Low, v.Report[Metric.Auroc].Interval?.High))))
        {
            // What is to come in a run is told by whole runs; the steps of another base are no guide to this one's.
            Forecaster = givesRate && borrowed.Length == 0 ? ToForecaster(own, dangerousAbove, seed, remarks) : null,
            Checkpoints = own,
            Borrowed = borrowed,
            WhyFixed = WhyFixedFor(recipe.Features),
        };
    }

    /// <summary>Judges a checkpoint.</summary>
    /// <exception cref="EmScanException">It lacks a feature that the detector sees.</exception>
    public CalibratedVerdict Judge(Observation observation)
    {
        ArgumentNullException.ThrowIfNull(observation);
        double score = Detector.Score(observation), distance = Range.Distance(observation);
        double? axis = Axis?.Project(observation.Displacement.PerTrait.AsSpan());

        // Each number of a calibration file is finite, but what is computed from absurd ones need not be, and NaN would pass as harmless.
        if (!double.IsFinite(score) || !double.IsFinite(distance) || axis is { } position && !double.IsFinite(position))
            throw NoNumber(observation);
        double deviations = Range.Deviations(observation);
        var verdict = new CalibratedVerdict(score, Interval?.Around(score, deviations) ?? EarlierInterval?.Around(score), FlaggedAbove, distance, axis)
        {
            Doubt = Interval?.RelativeDoubt(score, deviations),
            Forecast = Forecaster is { } forecaster && observation.KnowsStep ? forecaster.Of(observation, deviations) : null,
        };
        double[] more = [verdict.Interval?.Width ?? 0, verdict.Doubt ?? 0, verdict.Forecast?.Rate ?? 0, verdict.Forecast?.Interval.Width ?? 0];
        return more.All(double.IsFinite) ? verdict : throw NoNumber(observation);
    }

    private static EmScanException NoNumber(Observation observation) =>
        new($"The calibration gives no number for {observation.Name}; it is damaged, or the checkpoint's drift is absurd.");

    /// <summary>The interval around the rate that was predicted for a checkpoint; null where the detector predicts a probability.</summary>
    internal Interval? Around(Observation observation, double score) =>
        Interval?.Around(score, Range.Deviations(observation)) ?? EarlierInterval?.Around(score);

    private static IReadOnlyList<(string Name, Func<LabelledObservation, string?> Group)> Groups { get; } =
        [("leave one perturbation out", c => c.Perturbation), ("leave one seed out", c => c.Seed)];

    // A forecast needs steps and what came later; verdicts do not, and are not refused for the lack of it.
    private static Forecaster? ToForecaster(IReadOnlyList<LabelledObservation> all, double dangerousAbove, int seed, ICollection<string>? remarks)
    {
        try
        {
            return Forecaster.Fit(all, dangerousAbove, seed);
        }
        catch (EmScanException e)
        {
            remarks?.Add($"There is no forecast: {e.Message}");
            return null;
        }
    }

    private static void Check(IReadOnlyList<LabelledObservation> all, double dangerousAbove, bool alone)
    {
        int runs = all.Select(c => c.Observation.Run).Distinct().Count();
        if (runs < FewestRuns)
            throw new EmScanException($"All labelled checkpoints are of one run; a detector fitted on it could not be checked on another. Label at least {FewestRuns} runs.");
        if (all.Select(c => c.Perturbation).Distinct().Count() < 2)
            throw new EmScanException($"All labelled runs are of one perturbation ({all[0].Perturbation}); label dangerous and harmless finetunings.");
        if (alone) DetectorRecipe.RequireLearnable(all);
        int dangerous = all.Count(c => c.EmRate > dangerousAbove);
        if (dangerous == 0 || dangerous == all.Count)
        {
            throw new EmScanException(FormattableString.Invariant(
                $"{(dangerous == 0 ? "None" : "All")} of the {all.Count} labelled checkpoints {(dangerous == 0 ? "is" : "are")} above the danger threshold of {100 * dangerousAbove:0.##}%; a detector needs both kinds."));
        }
    }

    /// <summary>The clause for <see cref="Weakness"/>, from the AUROC of the validations.</summary>
    internal static string? WeaknessOf(IEnumerable<(string Name, double? Auroc, double? Low, double? High)> validations)
    {
        (string Name, double? Auroc, double? Low, double? High)[] all = [.. validations];
        return all.Length == 0 ? "was never tried on runs that it had not seen"
            : all.Select(v => WeaknessOf(v.Name, v.Auroc, v.Low, v.High)).FirstOrDefault(weakness => weakness != null);
    }

    private static string? WeaknessOf(string validation, double? auroc, double? low, double? high)
    {
        if (auroc is not { } value) return $"could not be told from chance ({validation}: no AUROC)";
        if ((low ?? value) > 0.5) return null;
        string interval = low is { } l && high is { } h ? FormattableString.Invariant($" [{l:0.00}, {h:0.00}]") : "";
        return FormattableString.Invariant($"is no better than chance on what it had not seen ({validation}: AUROC {value:0.00}{interval})");
    }

    private static double? UsualShare(IReadOnlyList<LabelledObservation> all)
    {
        double[] shares = [.. all.Select(c => c.VisibleShare).OfType<double>()];
        return shares.Length == 0 ? null : Quantile.Of(shares, 0.1);
    }

    private static CalibrationSet Describe(LabelledObservation[] all, double dangerousAbove) => new(
        LabelledSet.Fingerprint(all), all.Select(c => c.Observation.Run).Distinct().Count(), all.Length, all.Count(c => c.EmRate > dangerousAbove),
        [.. all.Select(c => c.Perturbation).Distinct().Order(Adapters.NaturalOrder.Instance)], all.Min(c => c.EmRate), all.Max(c => c.EmRate));
}
