using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Features;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class CrossValidationTests
{
    public static TheoryData<string> Deterministic => ["drift+activation/kernel-ridge", "drift/ridge", "drift/random-forest", "pc1+step/logistic", "activation-pls/ridge"];

    [Fact]
    public void A_detector_never_sees_the_perturbation_it_scores_nor_another_model()
    {
        LabelledObservation[] all = [.. Synthetic.Runs(model: "a"), .. Synthetic.Runs(seed: 2, model: "b")];
        var spy = new Spy(all);
        CrossValidationResult result = CrossValidation.LeaveOneOut(spy.Recipe, all, c => c.Perturbation);
        spy.Check(result, all, (seen, scored) => seen.Observation.Model == scored.Observation.Model && seen.Perturbation != scored.Perturbation);
        Assert.Equal(8, spy.Fits.Count);
    }

    [Fact]
    public void A_detector_never_sees_the_seed_it_scores()
    {
        LabelledObservation[] all = [.. Synthetic.Runs(), .. Synthetic.Runs(perturbations: ["unseeded"], seeds: 1).Select(c => c with { Seed = null })];
        var spy = new Spy(all);
        CrossValidationResult result = CrossValidation.LeaveOneOut(spy.Recipe, all, c => c.Seed);
        spy.Check(result, all, (seen, scored) => seen.Seed != scored.Seed);
        Assert.Equal(4, spy.Fits.Count);
    }

    [Fact]
    public void An_unseen_base_model_is_scored_by_all_others()
    {
        LabelledObservation[] all = [.. Synthetic.Runs(model: "a"), .. Synthetic.Runs(seed: 2, model: "b"), .. Synthetic.Runs(seed: 3, model: "c", seeds: 1)];
        var spy = new Spy(all);
        spy.Check(CrossValidation.LeaveOneModelOut(spy.Recipe, all), all, (seen, scored) => seen.Observation.Model != scored.Observation.Model);
        Assert.Equal(3, spy.Fits.Count);
    }

    [Fact]
    public void What_is_held_out_is_scored_by_the_training_part_of_its_own_model()
    {
        LabelledObservation[] all = [.. Synthetic.Runs(model: "a"), .. Synthetic.Runs(seed: 2, model: "b")];
        var spy = new Spy(all);
        LabelledObservation[] training = [.. all.Where(c => c.Perturbation != "terse")], heldOut = [.. all.Where(c => c.Perturbation == "terse")];
        spy.Check(
            CrossValidation.HoldOut(spy.Recipe, training, heldOut), heldOut,
            (seen, scored) => seen.Observation.Model == scored.Observation.Model && seen.Perturbation != "terse");
        Assert.Equal(2, spy.Fits.Count);
    }

    [Fact]
    public void Distances_are_those_from_what_the_detector_was_fitted_on()
    {
        LabelledObservation[] all = Synthetic.Runs();
        Assert.All(CrossValidation.LeaveOneOut(DetectorRecipe.Paper, all, c => c.Perturbation).Scores, s => Assert.Null(s.Distance));
        foreach (ScoredCheckpoint score in CrossValidation.LeaveOneOut(DetectorRecipe.Paper, all, c => c.Perturbation, distances: true).Scores)
        {
            var range = CalibratedRange.Fit([.. all.Where(c => c.Perturbation != score.Checkpoint.Perturbation)]);
            Assert.Equal(range.Distance(score.Checkpoint.Observation), score.Distance);
        }
    }

    [Fact]
    public void Errors_outside_the_range_are_counted_apart()
    {
        LabelledObservation any = Synthetic.Runs()[0];
        ScoredCheckpoint Score(double rate, double score, double? distance) => new(any with { EmRate = rate }, score, distance);
        Assert.Null(OutsideCounts.Of([Score(0.1, 0.2, null)], 0.06, 0.06));
        ScoredCheckpoint[] scores =
        [
            Score(0.20, 0.01, 1.5), Score(0.20, 0.06, 0.5), Score(0.20, 0.30, 2), Score(0.06, 0.07, 3), Score(0.01, 0.50, 1), Score(0.01, 0.01, 9), Score(0.2, 0.01, null),
        ];
        Assert.Equal(new OutsideCounts(6, 4, 2, 1, 2, 1), OutsideCounts.Of(scores, 0.06, 0.06));
    }

    [Theory]
    [MemberData(nameof(Deterministic))]
    public void The_same_set_gives_the_same_scores_in_whatever_order_it_comes(string name)
    {
        var recipe = DetectorRecipe.Parse(name);
        LabelledObservation[] all = [.. Synthetic.Runs(model: "a"), .. Synthetic.Runs(seed: 2, model: "b")];
        CrossValidationResult first = CrossValidation.LeaveOneOut(recipe, all, c => c.Perturbation);
        Assert.Equal(all, first.Scores.Select(s => s.Checkpoint));
        for (int seed = 1; seed <= 3; seed++)
        {
            LabelledObservation[] shuffled = Synthetic.Shuffled(all, seed);
            CrossValidationResult second = CrossValidation.LeaveOneOut(recipe, shuffled, c => c.Perturbation);
            Assert.Equal(shuffled, second.Scores.Select(s => s.Checkpoint));
            Assert.Equal(first.Scores.ToDictionary(s => s.Checkpoint, s => s.Score), second.Scores.ToDictionary(s => s.Checkpoint, s => s.Score));
        }
    }

    [Fact]
    public void Another_seed_of_a_forest_gives_other_scores_and_the_same_seed_the_same()
    {
        LabelledObservation[] all = Synthetic.Runs();
        double[] Scores(int seed) => [.. CrossValidation.LeaveOneOut(DetectorRecipe.Paper, all, c => c.Seed, seed: seed).Scores.Select(s => s.Score)];
        Assert.Equal(Scores(1), Scores(1));
        Assert.NotEqual(Scores(1), Scores(2));
    }

    [Fact]
    public void A_fold_that_cannot_be_fitted_is_reported_and_left_out()
    {
        // Without bad_code nothing in the training set is dangerous, and a logistic regression needs both kinds.
        LabelledObservation[] all = Synthetic.Runs(perturbations: ["bad_code", "gsm8k", "terse"]);
        CrossValidationResult result = CrossValidation.LeaveOneOut(new DetectorRecipe(FeatureCatalog.Drift, Learner.Logistic), all, c => c.Perturbation);
        Assert.Equal(all.Where(c => c.Perturbation != "bad_code"), result.Scores.Select(s => s.Checkpoint));
        Assert.Equal(
            ["drift/logistic could not be fitted for bad_code: All 36 labels are the same; a logistic regression needs rows of both classes."], result.Remarks);
    }

    [Fact]
    public void A_fold_with_a_checkpoint_that_cannot_be_scored_is_left_out_as_a_whole()
    {
        LabelledObservation[] all = Synthetic.Runs();
        int damaged = Array.FindIndex(all, c => c.Perturbation == "gsm8k") + 4;
        all[damaged] = all[damaged] with { Observation = all[damaged].Observation with { Facts = new(() => Synthetic.Facts(1)) } };
        CrossValidationResult result = CrossValidation.HoldOut(
            new DetectorRecipe(FeatureCatalog.Loss, Learner.Ridge), [.. all.Where(c => c.Perturbation != "gsm8k")], [.. all.Where(c => c.Perturbation == "gsm8k")]);
        Assert.Empty(result.Scores);
        Assert.Contains("gsm8k/seed_1 step 50 has no training loss", Assert.Single(result.Remarks));
        Assert.Contains("no training loss", Assert.Throws<EmScanException>(result.ToSet).Message);
    }

    [Fact]
    public void Too_few_checkpoints_without_a_group_are_reported()
    {
        LabelledObservation[] all = Synthetic.Runs(perturbations: ["bad_code", "gsm8k"], seeds: 1);
        CrossValidationResult result = CrossValidation.LeaveOneOut(DetectorRecipe.Default, all, c => c.Perturbation);
        Assert.Empty(result.Scores);
        Assert.Equal(
            [
                "drift+activation/kernel-ridge could not be fitted for bad_code: 6 labelled checkpoints are too few to fit a detector; at least 7 are needed.",
                "drift+activation/kernel-ridge could not be fitted for gsm8k: 6 labelled checkpoints are too few to fit a detector; at least 7 are needed.",
            ],
            result.Remarks);
    }

    /// <summary>A detector that sees nothing but the number of each checkpoint, remembers what it was fitted on, and says which fit it is.</summary>
    private sealed class Spy(LabelledObservation[] all)
    {
        internal List<int[]> Fits { get; } = [];

        internal DetectorRecipe Recipe => new(
            new SimpleFeature("number", "number", _ => ["number"], o => [Array.FindIndex(all, c => ReferenceEquals(c.Observation, o))]),
            new Learner("spy", "spy", PredictedQuantity.Rate, (x, _, _, _) =>
            {
                Fits.Add([.. Enumerable.Range(0, x.RowCount).Select(i => (int)x.Row(i)[0])]);
                return new RidgeRegression([0.0], Fits.Count / 100.0);
            }));

        /// <summary>Every checkpoint was scored once, by a fit on exactly the checkpoints that are allowed for it.</summary>
        internal void Check(CrossValidationResult result, LabelledObservation[] scored, Func<LabelledObservation, LabelledObservation, bool> allowed)
        {
            Assert.Empty(result.Remarks);
            Assert.Equal(scored, result.Scores.Select(s => s.Checkpoint));
            foreach (ScoredCheckpoint score in result.Scores)
            {
                int[] seen = Fits[(int)Math.Round(100 * score.Score) - 1];
                Assert.Equal(Enumerable.Range(0, all.Length).Where(i => allowed(all[i], score.Checkpoint)), seen.Order());
            }
        }
    }
}
