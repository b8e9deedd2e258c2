using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Features;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts.Features;

public sealed class FeatureTests
{
    private static readonly double[] Drift = [0.03, -0.04, 0.12];
    private static readonly double[] Change = [0.2, -0.1, 0.05, 0.4, 0];
    private static readonly Observation Seen =
        Synthetic.Checkpoint("p", "1", CheckpointStep.At(40), Drift, 0.1, change: Change, facts: Synthetic.Facts(2, 40, 1.25)).Observation;

    [Fact]
    public void Features_are_what_their_names_say()
    {
        string[] drifts = ["drift_honesty", "drift_harmlessness", "drift_confidence"];
        double norm = Math.Sqrt(0.04 + 0.01 + 0.0025 + 0.16);
        Check("drift", drifts, Drift);
        Check("drift+activation", [.. drifts, "activation_norm"], [.. Drift, norm]);
        Check("pc1", drifts, Drift);
        Check("pc1-signed", drifts, Drift);
        Check("pc1+step", [.. drifts, "step"], [.. Drift, 40]);
        Check("drift-norm", ["drift_norm"], [0.13]);
        Check("activation-norm", ["activation_norm"], [norm]);
        Check("activation-pca", ["dh_0", "dh_1", "dh_2", "dh_3", "dh_4"], Change);
        Check("activation-pls", ["dh_0", "dh_1", "dh_2", "dh_3", "dh_4"], Change);
        Check("trait:confidence", ["drift_confidence"], [0.12]);
        Check("lora-norm", ["lora_norm"], [2]);
        Check("lora-norms", ["blk.0.attn_q", "blk.1.attn_v"], [1.2, 1.6]);
        Check("loss", ["loss"], [1.25]);

        static void Check(string name, string[] columns, double[] values)
        {
            FeatureSource source = FeatureCatalog.Get(name);
            Assert.Equal(name, source.Name);
            Assert.Equal(columns, source.Columns(Seen));
            Assert.Equal(values, source.Read(Seen), Tolerance.Of(1e-15));
        }
    }

    [Fact]
    public void Random_directions_are_unit_vectors_nearly_at_right_angles_and_always_the_same()
    {
        const int D = 300;
        double[][] columns = [.. Enumerable.Range(0, D).Select(d => Read([.. Enumerable.Range(0, D).Select(i => i == d ? 1.0 : 0)]))];
        double[][] directions = [.. Enumerable.Range(0, 3).Select(k => columns.Select(c => c[k]).ToArray())];
        for (int k = 0; k < 3; k++)
        {
            Assert.Equal(1, directions[k].Sum(v => v * v), 1e-12);
            for (int j = 0; j < k; j++) Assert.InRange(directions[k].Zip(directions[j], (a, b) => a * b).Sum(), -0.2, 0.2);
        }

        var random = new Random(1);
        double[] change = [.. Enumerable.Range(0, D).Select(_ => TinyModel.Gaussian(random))];
        Assert.Equal([.. directions.Select(v => v.Zip(change, (a, b) => a * b).Sum())], Read(change), Tolerance.Of(1e-11));
        Assert.Equal(Read(change), Read(change));

        static double[] Read(double[] change) =>
            FeatureCatalog.RandomDirections.Read(Synthetic.Checkpoint("p", "1", CheckpointStep.Final, Drift, 0, change: change).Observation);
    }

    [Fact]
    public void PC1_is_that_of_the_last_checkpoints_of_the_training_runs()
    {
        LabelledObservation[] training = Synthetic.Runs(perturbations: ["bad_code", "gsm8k", "terse"]);
        double[] loadings = Loadings(training);
        Assert.Equal(PrincipalDirection([.. training.Where(c => c.Observation.Step.Number == 60).Select(c => c.Observation.Displacement.PerTrait.ToArray())]), loadings, Tolerance.Of(1e-5));

        // Earlier checkpoints have no say, and "final" comes after every number.
        LabelledObservation[] bent = [.. training.Select(c => c.Observation.Step.Number == 60
            ? c
            : Synthetic.Checkpoint(c.Perturbation, c.Seed, c.Observation.Step, [.. c.Observation.Displacement.PerTrait.Reverse()], c.EmRate))];
        Assert.Equal(loadings, Loadings(bent));
        LabelledObservation[] renamed = [.. training.Select(c => c.Observation.Step.Number == 60
            ? Synthetic.Checkpoint(c.Perturbation, c.Seed, CheckpointStep.Final, [.. c.Observation.Displacement.PerTrait], c.EmRate)
            : c)];
        Assert.Equal(loadings, Loadings(renamed));

        static double[] Loadings(LabelledObservation[] training)
        {
            Detector detector = new DetectorRecipe(FeatureCatalog.AxisSigned, Learner.RandomForest).Fit(training);
            return ((DriftAxisTransform)Assert.IsType<Pipeline>(detector.Regressor).Transforms[0]).Loadings.ToArray();
        }
    }

    [Fact]
    public void A_detector_on_the_axis_sees_its_position_on_it()
    {
        LabelledObservation[] training = Synthetic.Runs();
        Detector detector = new DetectorRecipe(FeatureCatalog.AxisAndStep, Learner.Ridge).Fit(training);
        double[] loadings = FeatureCatalog.FinalAxis(training).Loadings.ToArray();
        var ridge = (RidgeRegression)((Pipeline)detector.Regressor).Regressor;
        foreach (LabelledObservation c in training)
        {
            double position = 100 * Math.Abs(c.Observation.Displacement.PerTrait.Zip(loadings, (x, w) => x * w).Sum());
            double step = c.Observation.Step.Number!.Value;
            double expected = ridge.Intercept + (ridge.Coefficients[0] * position) + (ridge.Coefficients[1] * step) + (ridge.Coefficients[2] * position / step);
            Assert.Equal(Math.Clamp(expected, 0, 1), detector.Score(c.Observation), 1e-12);
        }
    }

    [Fact]
    public void The_step_of_a_final_adapter_is_taken_from_its_trainer_state()
    {
        Observation final = Synthetic.Checkpoint("p", "1", CheckpointStep.Final, Drift, 0, facts: Synthetic.Facts(1, step: 130)).Observation;
        Assert.Equal(130, FeatureCatalog.AxisAndStep.Read(final)[^1]);
    }

    [Fact]
    public void What_a_checkpoint_does_not_have_gets_a_sentence_that_names_it()
    {
        Observation bare = Synthetic.Checkpoint("p", "1", CheckpointStep.Final, Drift, 0, facts: Synthetic.Facts(1)).Observation;
        Assert.Equal(
            "p/seed_1 step final has no training loss: there is no trainer_state.json with a log beside it.",
            Assert.Throws<EmScanException>(() => FeatureCatalog.Loss.Read(bare)).Message);
        Assert.Equal(
            "p/seed_1 step final: the step of the final adapter is not known (no trainer_state.json), and a step-aware detector needs it.",
            Assert.Throws<EmScanException>(() => FeatureCatalog.AxisAndStep.Read(bare)).Message);
        Assert.Equal(
            "There is no trait 'kindness'; there are honesty, harmlessness, confidence.",
            Assert.Throws<EmScanException>(() => FeatureCatalog.Trait("kindness").Read(bare)).Message);
    }

    [Fact]
    public void A_checkpoint_with_other_columns_than_were_fitted_is_refused_by_name()
    {
        Detector detector = new DetectorRecipe(FeatureCatalog.LoraNorms, Learner.Ridge).Fit(Synthetic.Runs());
        AdapterFacts other = new(new Dictionary<string, double> { ["blk.7.ffn_up"] = 1 }, 1, 10, 1);
        Observation strange = Synthetic.Checkpoint("p", "1", CheckpointStep.At(10), Drift, 0, facts: other).Observation;
        Assert.Equal(
            "p/seed_1 step 10 has other features of the kind 'lora-norms' (blk.7.ffn_up) than the detector was fitted on (blk.0.attn_q, blk.1.attn_v).",
            Assert.Throws<EmScanException>(() => detector.Score(strange)).Message);
    }

    [Fact]
    public void Every_name_of_the_catalog_and_of_the_table_parses_to_itself()
    {
        Assert.All(FeatureCatalog.All, source => Assert.Same(source, FeatureCatalog.Get(source.Name)));
        Assert.All(Learner.All, learner => Assert.Same(learner, Learner.Get(learner.Name)));
        IReadOnlyList<DetectorRecipe> table = DetectorRecipe.Table(["a", "harmlessness"]);
        Assert.All(table, recipe => Assert.Equal(recipe.Name, DetectorRecipe.Parse(recipe.Name).Name));
        Assert.Equal(table.Count, table.Select(r => r.Name).Distinct().Count());
        Assert.Same(DetectorRecipe.Default, table[0]);
        Assert.Contains(table, recipe => recipe.Name == "trait:harmlessness/ridge");
        Assert.Contains(DetectorRecipe.Table(["a", "b"]), recipe => recipe.Name == "trait:a/ridge");
        Assert.Equal("trait:a/b/ridge", DetectorRecipe.Parse("trait:a/b/ridge").Name);
    }

    [Theory]
    [InlineData("drift", "'drift' is not of the form FEATURES/REGRESSOR, such as drift/random-forest.")]
    [InlineData("/ridge", "'/ridge' is not of the form FEATURES/REGRESSOR, such as drift/random-forest.")]
    [InlineData("drift/", "'drift/' is not of the form FEATURES/REGRESSOR, such as drift/random-forest.")]
    [InlineData("magic/ridge", "There are no features called 'magic'; there are drift+activation, drift+activation+step, drift, pc1, ")]
    [InlineData("trait:/ridge", "There are no features called 'trait:'; there are drift+activation, ")]
    [InlineData("drift/magic", "There is no regressor called 'magic'; there are kernel-ridge, random-forest, ")]
    public void Names_that_are_none_get_a_sentence(string name, string message) =>
        Assert.StartsWith(message, Assert.Throws<EmScanException>(() => DetectorRecipe.Parse(name)).Message);

    [Fact]
    public void Every_detector_of_the_table_can_be_fitted_and_gives_scores_from_0_to_1()
    {
        LabelledObservation[] training = Synthetic.Runs();
        foreach (DetectorRecipe recipe in DetectorRecipe.Table(Synthetic.Traits))
        {
            Detector detector = recipe.Fit(training);
            Assert.All(training, c => Assert.InRange(detector.Score(c.Observation), 0, 1));
        }
    }

    [Fact]
    public void Latents_are_the_256_that_vary_most_where_the_detector_learns_and_not_where_it_is_scored()
    {
        const int All = 300, Kept = 256;
        var random = new Random(31);
        double[] size = [.. Enumerable.Range(0, All).Select(_ => 0.1 + random.NextDouble())];
        size[77] = 0;
        string[] names = [.. Enumerable.Range(0, All).Select(f => $"latent_{f}")];
        LabelledObservation[] checkpoints = [.. Synthetic.Runs().Select(c => With(c, [.. size.Select(s => s * TinyModel.Gaussian(random))]))];

        // Where it is scored, the 77th, which says nothing in training, is all that varies.
        checkpoints = [.. checkpoints.Select(c => c.Perturbation == "terse" ? With(c, [.. c.Observation.Latents!.Change.Select((x, f) => f == 77 ? 1e6 * TinyModel.Gaussian(random) : x)]) : c)];
        DetectorRecipe recipe = DetectorRecipe.Parse("sae/ridge");
        ScoredCheckpoint[] scored = [.. CrossValidation.LeaveOneOut(recipe, checkpoints, c => c.Perturbation).Scores.Where(s => s.Checkpoint.Perturbation == "terse")];
        Assert.Equal(18, scored.Length);

        double[][] training = [.. checkpoints.Where(c => c.Perturbation != "terse").Select(c => c.Observation.Latents!.Change)];
        double[] rates = [.. checkpoints.Where(c => c.Perturbation != "terse").Select(c => c.EmRate)];
        int[] chosen = [.. Enumerable.Range(0, All).OrderByDescending(f => training.Sum(row => Math.Pow(row[f] - training.Average(r => r[f]), 2))).Take(Kept)];
        Assert.DoesNotContain(77, chosen);
        RidgeRegression ridge = RidgeRegression.Fit(FeatureMatrix.FromRows([.. training.Select(row => chosen.Select(f => row[f]).ToArray())]), rates);
        foreach (ScoredCheckpoint score in scored)
            Assert.Equal(Math.Clamp(ridge.Predict(chosen.Select(f => score.Checkpoint.Observation.Latents!.Change[f]).ToArray()), 0, 1), score.Score, 1e-9);

        LabelledObservation With(LabelledObservation c, double[] change) => c with { Observation = c.Observation with { Latents = new LatentChange(names, change) } };
    }

    [Fact]
    public void The_table_has_latents_where_they_were_measured_and_they_are_all_taken_where_there_are_few()
    {
        Assert.DoesNotContain(DetectorRecipe.TableFor(Seen), recipe => recipe.Features.IsOfLatents);
        Observation with = Seen with { Latents = new LatentChange(["latent_0", "latent_1"], [0.5, -1]) };
        IReadOnlyList<DetectorRecipe> table = DetectorRecipe.TableFor(with);
        Assert.Equal([.. DetectorRecipe.Table(Seen.Traits).Select(r => r.Name), "sae/ridge"], table.Select(r => r.Name));
        Assert.Equal([0.5, -1], FeatureCatalog.Latents.Read(with));
        var raw = FeatureMatrix.FromRows([[0.5, -1], [1, 2], [4, 0]]);
        Assert.Equal([0, 1], Assert.IsType<ColumnSelection>(Assert.Single(FeatureCatalog.Latents.Fit([], raw, [0, 0, 1]))).Columns.ToArray());
        Assert.Equal(
            "The features 'sae' are latents of a sparse autoencoder, and none was given when p/seed_1 step 40 was measured.",
            Assert.Throws<EmScanException>(() => FeatureCatalog.Latents.Read(Seen)).Message);
    }

    /// <summary>By repeated multiplication with the covariance, harmlessness made positive.</summary>
    private static double[] PrincipalDirection(double[][] rows)
    {
        int width = rows[0].Length;
        double[] mean = [.. Enumerable.Range(0, width).Select(k => rows.Average(r => r[k]))];
        double[] v = [1, 0.5, 0.25];
        for (int round = 0; round < 2000; round++)
        {
            double[] next = new double[width];
            foreach (double[] row in rows)
            {
                double along = Enumerable.Range(0, width).Sum(k => (row[k] - mean[k]) * v[k]);
                for (int k = 0; k < width; k++) next[k] += (row[k] - mean[k]) * along;
            }

            double norm = Math.Sqrt(next.Sum(x => x * x));
            v = [.. next.Select(x => x / norm)];
        }

        return v[1] > 0 ? v : [.. v.Select(x => -x)];
    }
}
