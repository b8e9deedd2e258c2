using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>What a study compares, and how.</summary>
internal sealed record StudyOptions
{
    /// <summary>Detectors to compare, the headline first; the paper's table when null, with latents where they were measured.</summary>
    public IReadOnlyList<DetectorRecipe>? Recipes { get; init; }

    /// <summary>Danger threshold, an EM rate.</summary>
    public double DangerousAbove { get; init; } = DangerThreshold.Default;

    /// <summary>Seed of learners and bootstrap.</summary>
    public int Seed { get; init; } = 42;

    /// <summary>Perturbations or runs to fit on; when null, groups are left out in turn.</summary>
    public NamePatterns? Training { get; init; }

    /// <summary>Perturbations or runs to score; all that are not trained on when null.</summary>
    public NamePatterns? HeldOut { get; init; }
}

/// <summary>One detector in one protocol.</summary>
/// <param name="Recipe">The detector.</param>
/// <param name="Scores">Its out-of-sample scores.</param>
/// <param name="Report">Its figures; null when it could not be fitted.</param>
/// <param name="AgainstFirst">The headline's figures minus its figures, on the same draws; null for the headline, or where either left
/// checkpoints out.</param>
/// <param name="Remarks">Why folds or all of it are missing.</param>
internal sealed record StudyRow(
    DetectorRecipe Recipe, IReadOnlyList<ScoredCheckpoint> Scores, EvaluationReport? Report, MetricComparison? AgainstFirst, IReadOnlyList<string> Remarks);

/// <summary>All detectors in one protocol, and the headline in detail.</summary>
/// <param name="Name">For example "leave one perturbation out".</param>
/// <param name="Rows">One for each detector, the headline first.</param>
/// <param name="ByModel">The headline by base model.</param>
/// <param name="ByPerturbation">The headline by perturbation.</param>
/// <param name="BySeed">The headline by training seed.</param>
/// <param name="AtThresholds">The headline at other danger thresholds; empty where it predicts a probability.</param>
/// <param name="EarlyWarning">First flag of the headline against first danger, by run.</param>
/// <param name="Coverage">How many true rates the headline's intervals hold; null where it gave none.</param>
/// <param name="Outside">How many checkpoints, and errors, of the headline are outside what it was fitted on; null where that is not known.</param>
internal sealed record StudyProtocol(
    string Name, IReadOnlyList<StudyRow> Rows, IReadOnlyList<(string? Key, EvaluationReport Report)> ByModel,
    IReadOnlyList<(string? Key, EvaluationReport Report)> ByPerturbation, IReadOnlyList<(string? Key, EvaluationReport Report)> BySeed,
    IReadOnlyList<EvaluationReport> AtThresholds, EarlyWarning? EarlyWarning, IntervalCoverage? Coverage, OutsideCounts? Outside)
{
    /// <summary>The headline over checkpoints whose label is certain; null when no label says on how many answers it was measured.</summary>
    public CertainLabels? Certain { get; init; }

    /// <summary>How many true rates the headline's intervals hold by perturbation; empty where it gave none.</summary>
    public IReadOnlyList<(string? Key, IntervalCoverage Coverage)> CoverageByPerturbation { get; init; } = [];

    /// <summary>How often the headline says "unknown"; null where it gives no intervals.</summary>
    public UnknownCounts? Unknown { get; init; }

    /// <summary>The forecast of the largest rate to come, at each false-alarm rate; empty where it was not made.</summary>
    public IReadOnlyList<ForecastStudy> Forecasts { get; init; } = [];
}

/// <summary>Compares detectors on labelled runs of one or more base models: the paper's table, on whatever was labelled.</summary>
/// <param name="Protocols">What was left out, and how everyone did.</param>
/// <param name="Axes">The drift axis of each base model's final checkpoints, with its controls.</param>
/// <param name="Checkpoints">All labelled checkpoints.</param>
internal sealed record DetectorStudy(IReadOnlyList<StudyProtocol> Protocols, IReadOnlyList<AxisStudy> Axes, IReadOnlyList<LabelledObservation> Checkpoints)
{
    /// <summary>The headline on states of several places side by side; empty when only one was measured.</summary>
    public IReadOnlyList<PlaceFigures> Places { get; init; } = [];

    /// <summary>Runs a study.</summary>
    /// <param name="scans">Labelled checkpoints, one entry per base model.</param>
    /// <param name="options">What is compared.</param>
    /// <param name="progress">Told the name of the detector that is being fitted.</param>
    /// <exception cref="EmScanException">The labels cannot carry a study; the sentence says why.</exception>
    public static DetectorStudy Run(IReadOnlyList<LabelledSet> scans, StudyOptions options, IProgress<string>? progress = null)
    {
        ArgumentNullException.ThrowIfNull(scans);
        ArgumentNullException.ThrowIfNull(options);
        LabelledObservation[] all = [.. scans.SelectMany(s => s.Checkpoints)];
        if (all.Length == 0) throw new EmScanException("There are no labelled checkpoints to evaluate.");
        if (scans.Select(s => s.Checkpoints[0].Observation.Model).Distinct().Count() != scans.Count)
            throw new EmScanException("Two base models have the same name, so their runs could not be told apart.");
        var study = new Work(options, options.Recipes ?? DetectorRecipe.TableFor(all[0].Observation), progress);
        var protocols = new List<StudyProtocol>();
        if (options.Training is { } training)
        {
            IReadOnlyList<LabelledObservation> fit = training.Select(all);
            IReadOnlyList<LabelledObservation> rest = [.. all.Where(c => !training.Matches(c))];
            if (rest.Count == 0) throw new EmScanException("Every labelled checkpoint is trained on, so none is left to evaluate.");
            IReadOnlyList<LabelledObservation> heldOut = options.HeldOut?.Select(rest) ?? rest;
            protocols.Add(study.Protocol($"fitted on {training}", recipe => CrossValidation.HoldOut(recipe, fit, heldOut, options.DangerousAbove, options.Seed, recipe == study.Headline)));
        }
        else
        {
            if (options.HeldOut != null) throw new EmScanException("What is held out needs to be told what is trained on.");
            Leave("leave one perturbation out", c => c.Perturbation);
            if (protocols.Count > 0) protocols[0] = protocols[0] with { Forecasts = ForecastStudy.Run(all, options.DangerousAbove, options.Seed) };
            Leave("leave one seed out", c => c.Seed);
            if (scans.Count > 1)
                protocols.Add(study.Protocol("leave one base model out", recipe => CrossValidation.LeaveOneModelOut(recipe, all, options.DangerousAbove, options.Seed, recipe == study.Headline)));
        }

        if (protocols.Count == 0)
            throw new EmScanException($"All labelled runs are of one perturbation ({all[0].Perturbation}) and one seed; nothing can be left out.");
        return new DetectorStudy(protocols, [.. scans.Select(s => AxisStudy.Of(s, options.Seed)).OfType<AxisStudy>()], all);

        void Leave(string name, Func<LabelledObservation, string?> group)
        {
            if (all.Select(group).Distinct().Count() < 2) return;
            protocols.Add(study.Protocol(name, recipe => CrossValidation.LeaveOneOut(recipe, all, group, options.DangerousAbove, options.Seed, recipe == study.Headline),
                scores => UnseenIntervals.Of(scores, options.DangerousAbove) is { } unseen ? (unseen.Around, unseen.RelativeDoubt) : null));
        }
    }

    /// <summary>Scores labelled checkpoints with a calibration as it is, with its intervals.</summary>
    /// <param name="calibration">The calibration.</param>
    /// <param name="scans">Labelled checkpoints, one entry per base model; other models than the calibration's are allowed, and scored as an
    /// unseen base.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    /// <exception cref="EmScanException">The traits differ, or there is nothing to score.</exception>
    public static DetectorStudy Of(Calibration calibration, IReadOnlyList<LabelledSet> scans, int seed = 42)
    {
        ArgumentNullException.ThrowIfNull(calibration);
        ArgumentNullException.ThrowIfNull(scans);
        LabelledObservation[] all = [.. scans.SelectMany(s => s.Checkpoints)];
        if (all.Length == 0) throw new EmScanException("There are no labelled checkpoints to evaluate.");
        if (!all[0].Observation.Traits.SequenceEqual(calibration.Base.Traits)) throw new EmScanException($"The calibration {calibration.Base.Mismatch(scans[0].Base)}.");
        var recipe = new DetectorRecipe(calibration.Detector.Features, calibration.Detector.Learner);
        var options = new StudyOptions { Recipes = [recipe], DangerousAbove = calibration.DangerousAbove, Seed = seed };
        StudyProtocol protocol = new Work(options, options.Recipes, null).Protocol(
            "as calibrated", _ => new CrossValidationResult([.. all.Select(c => new ScoredCheckpoint(c, calibration.Detector.Score(c.Observation), calibration.Range.Distance(c.Observation)) { Deviations = calibration.Range.Deviations(c.Observation) })], []),
            _ => (s => calibration.Around(s.Checkpoint.Observation, s.Score), s => calibration.Interval?.RelativeDoubt(s.Score, s.Deviations!.Value)));
        return new DetectorStudy([protocol], [.. scans.Select(s => AxisStudy.Of(s, seed)).OfType<AxisStudy>()], all);
    }

    private sealed class Work(StudyOptions options, IReadOnlyList<DetectorRecipe> recipes, IProgress<string>? progress)
    {
        internal DetectorRecipe Headline => recipes[0];

        private readonly BootstrapOptions _bootstrap = new(Seed: options.Seed);

        internal StudyProtocol Protocol(
            string name, Func<DetectorRecipe, CrossValidationResult> score,
            Func<IReadOnlyList<ScoredCheckpoint>, (Func<ScoredCheckpoint, Interval?> Around, Func<ScoredCheckpoint, double?> Doubt)?>? intervals = null)
        {
            (Func<ScoredCheckpoint, Interval?> Around, Func<ScoredCheckpoint, double?> Doubt)? interval = null;
            var rows = new List<StudyRow>();
            EvaluationSet? headline = null;
            double headlineFlag = 0;
            foreach (DetectorRecipe recipe in recipes)
            {
                progress?.Report($"{name}: {recipe.Name}");
                CrossValidationResult result = score(recipe);
                double flag = recipe.Learner.FlaggedAbove(options.DangerousAbove);
                if (result.Scores.Count == 0)
                {
                    if (rows.Count == 0) throw new EmScanException(result.Remarks.Count > 0 ? result.Remarks[0] : $"{recipe.Name} scored nothing.");
                    rows.Add(new StudyRow(recipe, [], null, null, result.Remarks));
                    continue;
                }

                if (headline == null && recipe.Learner.Predicts != PredictedQuantity.Probability) interval = intervals?.Invoke(result.Scores);
                var set = new EvaluationSet(result.Scores.Select(s => s.ToEvaluated(headline == null ? interval?.Around(s) : null)));
                bool comparable = headline != null && headline.Checkpoints.Select(Key).SequenceEqual(set.Checkpoints.Select(Key));
                rows.Add(new StudyRow(
                    recipe, result.Scores, EvaluationReport.Compute(set, options.DangerousAbove, flag, _bootstrap),
                    comparable ? MetricComparison.Compute(headline!, set, options.DangerousAbove, headlineFlag, flag, _bootstrap) : null, result.Remarks));
                if (headline == null) (headline, headlineFlag) = (set, flag);
            }

            bool predictsRate = recipes[0].Learner.Predicts != PredictedQuantity.Probability;
            return new StudyProtocol(
                name, rows, By(c => c.Model), By(c => c.Perturbation), By(c => c.Seed),
                predictsRate ? EvaluationReport.AtThresholds(headline!, bootstrap: _bootstrap) : [],
                EarlyWarning.Compute(headline!, options.DangerousAbove, headlineFlag), interval == null ? null : IntervalCoverage.Compute(headline!, _bootstrap),
                OutsideCounts.Of(rows[0].Scores, options.DangerousAbove, headlineFlag))
            {
                CoverageByPerturbation = interval == null ? [] :
                [
                    .. headline!.Checkpoints.GroupBy(c => c.Perturbation).OrderBy(g => g.Key ?? "", Adapters.NaturalOrder.Instance)
                        .Select(g => (g.Key, IntervalCoverage.Compute(new EvaluationSet(g), _bootstrap))),
                ],
                Unknown = interval is { } i ? UnknownCounts.Of(rows[0].Scores, i.Doubt, options.DangerousAbove, headlineFlag) : null,
                Certain = CertainLabels.Of(rows[0].Scores, options.DangerousAbove, headlineFlag, _bootstrap),
            };

            IReadOnlyList<(string? Key, EvaluationReport Report)> By(Func<EvaluatedCheckpoint, string?> key) =>
                EvaluationReport.By(headline!, key, options.DangerousAbove, headlineFlag, _bootstrap);

            static (string?, string, CheckpointStep) Key(EvaluatedCheckpoint c) => (c.Model, c.Run, c.Step);
        }
    }
}
