using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Features;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class CalibrationTests
{
    private static readonly LabelledObservation[] All = Synthetic.Runs();

    [Fact]
    public void A_calibration_knows_what_it_was_fitted_on_and_how_it_did()
    {
        var remarks = new List<string>();
        Calibration calibration = Calibration.Fit(Synthetic.Scan(All), remarks: remarks);
        Assert.Empty(remarks);
        Assert.Equal((12, 72), (calibration.Set.Runs, calibration.Set.Checkpoints));
        Assert.Equal(All.Count(c => c.EmRate > 0.06), calibration.Set.DangerousCheckpoints);
        Assert.Equal(Synthetic.Perturbations, calibration.Set.Perturbations);
        Assert.Equal((All.Min(c => c.EmRate), All.Max(c => c.EmRate)), (calibration.Set.LowestRate, calibration.Set.HighestRate));
        Assert.Equal(LabelledSet.Fingerprint(All), calibration.Set.Fingerprint);
        Assert.Equal(["leave one perturbation out", "leave one seed out"], calibration.Validations.Select(v => v.Name));
        Assert.Equal(12, calibration.Axis!.Runs);
        Assert.Equal((0.06, 0.06), (calibration.DangerousAbove, calibration.FlaggedAbove));
    }

    [Fact]
    public void Verdicts_come_from_the_detector_the_unseen_errors_the_range_and_the_axis()
    {
        Calibration calibration = Calibration.Fit(Synthetic.Scan(All), dangerousAbove: 0.08);
        Detector detector = DetectorRecipe.Default.Fit(All, 0.08);
        CrossValidationResult unseen = CrossValidation.LeaveOneOut(DetectorRecipe.Default, All, c => c.Perturbation, 0.08, distances: true);
        var interval = ConformalInterval.Fit(unseen.Scores.Select(s => new UnseenPrediction(s.Checkpoint.Perturbation, s.Score, s.Checkpoint.EmRate, s.Deviations!.Value)), 0.08);
        var forecaster = Forecaster.Fit(All, 0.08);
        var range = CalibratedRange.Fit(All);
        double[] loadings = FeatureCatalog.FinalAxis(All).Loadings.ToArray();
        foreach (LabelledObservation c in Synthetic.Runs(seed: 7))
        {
            CalibratedVerdict verdict = calibration.Judge(c.Observation);
            Assert.Equal(detector.Score(c.Observation), verdict.Score);
            Assert.Equal(interval.Around(verdict.Score, range.Deviations(c.Observation)), verdict.Interval);
            Assert.Equal(range.Distance(c.Observation), verdict.Distance);
            Assert.Equal(c.Observation.Displacement.PerTrait.Zip(loadings, (x, w) => x * w).Sum(), verdict.Axis!.Value, 1e-15);
            Assert.Equal(verdict.Score > 0.08, verdict.Dangerous);
            Assert.Equal(verdict.Distance > 1, verdict.Outside);
            Assert.Equal(interval.RelativeDoubt(verdict.Score, range.Deviations(c.Observation)), verdict.Doubt);
            Assert.Equal(!verdict.Dangerous && verdict.Doubt > 1, verdict.Unknown);
            Assert.Equal(forecaster.Of(c.Observation, range.Deviations(c.Observation)), verdict.Forecast);
        }
    }

    [Fact]
    public void The_coverage_of_intervals_is_counted_without_the_perturbations_own_errors()
    {
        Calibration calibration = Calibration.Fit(Synthetic.Scan(All));
        CrossValidationResult unseen = CrossValidation.LeaveOneOut(DetectorRecipe.Default, All, c => c.Perturbation, distances: true);
        int held = unseen.Scores.Count(score => ConformalInterval.Fit(
            unseen.Scores.Where(s => s.Checkpoint.Perturbation != score.Checkpoint.Perturbation)
                .Select(s => new UnseenPrediction(s.Checkpoint.Perturbation, s.Score, s.Checkpoint.EmRate, s.Deviations!.Value)), 0.06)
            .Around(score.Score, score.Deviations!.Value).Contains(score.Checkpoint.EmRate));
        Assert.Equal(held / 72.0, calibration.Validations[0].Coverage!.Coverage.Value!.Value, 1e-12);
    }

    [Fact]
    public void A_detector_that_gives_a_probability_flags_above_one_half_and_has_no_interval()
    {
        Calibration calibration = Calibration.Fit(Synthetic.Scan(All), DetectorRecipe.Parse("drift/logistic"));
        Assert.Null(calibration.Interval);
        Assert.Equal(0.5, calibration.FlaggedAbove);
        Assert.All(calibration.Validations, v => Assert.Null(v.Coverage));
        CalibratedVerdict[] verdicts = [.. All.Select(c => calibration.Judge(c.Observation))];
        Assert.All(verdicts, v => Assert.Null(v.Interval));
        Assert.All(verdicts, v => Assert.Equal(v.Score > 0.5, v.Dangerous));
        Assert.Contains(verdicts, v => v.Dangerous);
        Assert.Contains(verdicts, v => !v.Dangerous);
    }

    [Fact]
    public void Two_runs_are_enough_for_a_detector_but_not_for_an_axis()
    {
        LabelledObservation[] two = Synthetic.Runs(perturbations: ["bad_code", "gsm8k"], seeds: 1, checkpoints: 10);
        Calibration calibration = Calibration.Fit(Synthetic.Scan(two), DetectorRecipe.Parse("drift/ridge"));
        Assert.Null(calibration.Axis);
        Assert.Null(calibration.Judge(two[0].Observation).Axis);
        Assert.Equal("leave one perturbation out", Assert.Single(calibration.Validations).Name);
    }

    [Fact]
    public void Folds_that_cannot_be_fitted_are_told_and_the_others_counted()
    {
        var remarks = new List<string>();
        LabelledObservation[] all = Synthetic.Runs(perturbations: ["bad_code", "gsm8k", "terse"]);
        Calibration calibration = Calibration.Fit(Synthetic.Scan(all), DetectorRecipe.Parse("drift/logistic"), remarks: remarks);
        Assert.Contains("could not be fitted for bad_code", Assert.Single(remarks));
        Assert.Equal(36, calibration.Validations[0].Report.Counts.Total);
        Assert.Equal(54, calibration.Validations[1].Report.Counts.Total);
    }

    [Fact]
    public void The_same_set_gives_the_same_verdicts_in_whatever_order_it_comes()
    {
        Calibration first = Calibration.Fit(Synthetic.Scan(All)), second = Calibration.Fit(Synthetic.Scan(Synthetic.Shuffled(All, 3)));
        foreach (LabelledObservation c in Synthetic.Runs(seed: 7)) Assert.Equal(first.Judge(c.Observation), second.Judge(c.Observation));
    }

    [Fact]
    public void Sets_that_cannot_carry_a_detector_get_a_sentence()
    {
        Refused(
            "All labelled checkpoints are of one run; a detector fitted on it could not be checked on another. Label at least 2 runs.",
            All.Where(c => c.Observation.Run == "bad_code/seed_1"));
        Refused(
            "All labelled runs are of one perturbation (bad_code); label dangerous and harmless finetunings.", All.Where(c => c.Perturbation == "bad_code"));
        Refused("6 labelled checkpoints are too few to fit a detector; at least 7 are needed.", All.Where(c => c.Seed == "1" && c.Observation.Step.Number == 60).Concat(
            All.Where(c => c.Seed == "2" && c.Observation.Step.Number == 60)).Take(6));
        Refused("All 72 labelled checkpoints have the same EM rate, 0.25; there is nothing to learn from them.", All.Select(c => c with { EmRate = 0.25 }));
        int harmless = All.Count(c => c.EmRate <= 0.06);
        Refused(
            $"None of the {harmless} labelled checkpoints is above the danger threshold of 6%; a detector needs both kinds.", All.Where(c => c.EmRate <= 0.06));
        Refused(
            "All of the 72 labelled checkpoints are above the danger threshold of 6%; a detector needs both kinds.", All.Select(c => c with { EmRate = 0.5 + (c.EmRate / 2) }));
        Refused(
            "The detector could not be validated on an unseen perturbation, so its predictions would have no interval; label more runs.",
            Synthetic.Runs(perturbations: ["bad_code", "gsm8k"], seeds: 1));

        static void Refused(string message, IEnumerable<LabelledObservation> set) =>
            Assert.Equal(message, Assert.Throws<EmScanException>(() => Calibration.Fit(Synthetic.Scan([.. set]))).Message);
    }

    [Fact]
    public void Recipes_refuse_what_nothing_can_be_learnt_from()
    {
        Assert.Equal(
            "6 labelled checkpoints are too few to fit a detector; at least 7 are needed.",
            Assert.Throws<EmScanException>(() => DetectorRecipe.Default.Fit(All[..6])).Message);
        Assert.Equal(
            "All 72 labelled checkpoints have the same EM rate, 0; there is nothing to learn from them.",
            Assert.Throws<EmScanException>(() => DetectorRecipe.Default.Fit([.. All.Select(c => c with { EmRate = 0 })])).Message);
        Assert.Throws<ArgumentException>(() => new Detector(FeatureCatalog.Drift, Learner.Ridge, ["a", "b"], new RidgeRegression([1, 2, 3], 0)));
    }

    [Theory]
    [InlineData("ridge", -0.5, 0)]
    [InlineData("ridge", 0.3, 0.3)]
    [InlineData("ridge", 1.5, 1)]
    [InlineData("kernel-ridge", -0.5, 0)]
    [InlineData("kernel-ridge", 0.3, 0.09)]
    [InlineData("kernel-ridge", 1.5, 1)]
    [InlineData("logistic", 0.7, 0.7)]
    public void Scores_are_clipped_and_roots_squared(string learner, double output, double score) =>
        Assert.Equal(score, Learner.Get(learner).Score(output), 1e-15);
}
