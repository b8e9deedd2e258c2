using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Verdicts;

/// <summary>Labels added to a calibration that exists: of its own base and of another one.</summary>
public sealed class CalibrationExtensionTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("drift+activation/kernel-ridge", 0)]
    [InlineData("drift+activation/kernel-ridge", 0.05)]
    [InlineData("pc1/ridge", 0)]
    [InlineData("trait:harmlessness/scaled-ridge", 0)]
    public void With_more_of_its_own_base_it_is_the_calibration_of_all_checkpoints(string recipe, double wrong)
    {
        // One in four was labelled wrongly at first, and is labelled again.
        LabelledObservation[] all = Synthetic.Runs();
        var detector = DetectorRecipe.Parse(recipe);
        Calibration earlier = Reread(Calibration.Fit(Synthetic.Scan([.. all[..54].Select((c, i) => i % 4 == 0 ? c with { EmRate = c.EmRate + wrong } : c)]), detector, 0.07, seed: 3));
        Calibration extended = earlier.Extend(Synthetic.Scan([.. all[54..], .. all[..54].Where((_, i) => i % 4 == 0)]));
        var whole = Calibration.Fit(Synthetic.Scan(all), detector, 0.07, seed: 3);
        Assert.Equal((whole.Set.Checkpoints, whole.Set.Runs, whole.Set.DangerousCheckpoints), (extended.Set.Checkpoints, extended.Set.Runs, extended.Set.DangerousCheckpoints));
        Assert.Equal((whole.DangerousAbove, whole.Seed), (extended.DangerousAbove, extended.Seed));
        Assert.Equal(whole.Validations.Select(v => v.Report.Counts), extended.Validations.Select(v => v.Report.Counts));

        // Drifts are stored to seven digits, distances are rounded to a thousandth of a deviation.
        foreach (LabelledObservation c in Synthetic.Runs(seed: 9))
        {
            CalibratedVerdict expected = whole.Judge(c.Observation), actual = extended.Judge(c.Observation);
            Assert.Equal(expected.Score, actual.Score, 1e-5);
            Assert.Equal(expected.Axis!.Value, actual.Axis!.Value, 1e-6);
            Assert.Equal(expected.Distance, actual.Distance, 5e-3);
            Assert.Equal(expected.Forecast!.Rate, actual.Forecast!.Rate, 1e-5);
        }
    }

    [Fact]
    public void With_another_base_it_is_that_bases_and_the_earlier_checkpoints_are_borrowed()
    {
        LabelledObservation[] few = Few();
        Calibration extended = Reread(Reread(Calibration.Fit(Synthetic.Scan(Synthetic.Runs()))).Extend(Other(few)));
        Assert.Equal(Other(few).Base.ModelSha256, extended.Base.ModelSha256);
        Assert.Equal((few.Length, 4), (extended.Set.Checkpoints, extended.Set.Runs));
        Assert.Equal((few.Length, 72), (extended.Checkpoints.Count, extended.Borrowed.Count));
        Assert.All(extended.Borrowed, c => Assert.Equal(Synthetic.Base().Identity, c.Observation.Model));
        Assert.Null(extended.Forecaster);

        // The range is that of the new base alone.
        var range = CalibratedRange.Fit(few);
        foreach (LabelledObservation c in few) Assert.Equal(range.Distance(c.Observation), extended.Judge(c.Observation).Distance, 5e-3);

        // A third base borrows of both; the first one takes its own back.
        Calibration third = extended.Extend(Other(Few("third"), "third"));
        Assert.Equal((few.Length, 72 + few.Length), (third.Checkpoints.Count, third.Borrowed.Count));
        Calibration back = third.Extend(Synthetic.Scan([Synthetic.Runs()[0]]));
        Assert.Equal((72, 2 * few.Length), (back.Checkpoints.Count, back.Borrowed.Count));
    }

    [Fact]
    public void What_is_borrowed_of_a_perturbation_is_not_seen_when_it_is_left_out()
    {
        LabelledObservation[] few = Few(), old = Synthetic.Runs();
        CrossValidationResult result = CrossValidation.LeaveOneOut(DetectorRecipe.Default, few, c => c.Perturbation, borrowed: old);
        Assert.Equal(few.Length, result.Scores.Count);
        foreach (ScoredCheckpoint score in result.Scores)
        {
            string left = score.Checkpoint.Perturbation;
            Detector detector = DetectorRecipe.Default.Fit([.. few.Where(c => c.Perturbation != left)], [.. old.Where(c => c.Perturbation != left)]);
            Assert.Equal(detector.Score(score.Checkpoint.Observation), score.Score);
        }
    }

    [Fact]
    public void A_few_labels_of_a_base_that_drifts_otherwise_bring_the_errors_down()
    {
        // Twice the drift for the same rate: the earlier detector cries wolf.
        LabelledObservation[] old = Synthetic.Runs(), fresh = Few(seeds: 3, checkpoints: 6), few = Few();
        LabelledObservation[] unseen = [.. fresh.Where(c => few.All(f => f.Observation.Run != c.Observation.Run))];
        double before = Error(DetectorRecipe.Default.Fit(old)), after = Error(DetectorRecipe.Default.Fit(few, old));
        Assert.True(after < 0.5 * before, $"{before} {after}");

        double Error(Detector detector) => unseen.Average(c => Math.Abs(Math.Sqrt(detector.Score(c.Observation)) - Math.Sqrt(c.EmRate)));
    }

    [Fact]
    public void What_cannot_be_added_is_said()
    {
        Calibration calibration = Calibration.Fit(Synthetic.Scan(Synthetic.Runs()));
        LabelledSet other = Other(Few());
        Refused(calibration, other with { Base = other.Base with { Traits = ["a", "b", "c"] } }, "it was made for the traits honesty, harmlessness, confidence, and this scan measures a, b, c");
        Refused(calibration, other with { Base = other.Base with { Place = MeasuredPlace.MeanAnswer } }, "ask for place last_prompt_token");
        Refused(calibration, other with { Base = calibration.Base with { Layer = 2 } }, "was made at layer 3, and this scan measures layer 2");
        Refused(calibration, Other([.. Few().Where(c => c.EmRate < 0.06)]), "None of the 7 labelled checkpoints is above the danger threshold of 6%");
        Refused(calibration, Other([.. Few().Where(c => c.Perturbation == "bad_code")]), "one run");
        Refused(Calibration.Fit(Synthetic.Scan(Synthetic.Runs()), DetectorRecipe.Parse("lora-norm/ridge")), other, "it sees more of a checkpoint (LoRA norm) than the drifts");

        // A file of before the checkpoints were stored judges as it did, and takes no more.
        string path = _folder["old.json"];
        CalibrationFile.Write(path, calibration);
        JsonObject root = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        root["version"] = 1;
        root.Remove("labelled");
        File.WriteAllText(path, root.ToJsonString());
        Calibration old = CalibrationFile.Read(path);
        Assert.Equal(calibration.Judge(Few()[0].Observation), old.Judge(Few()[0].Observation));
        Refused(old, other, "was written by an earlier emscan, which did not store the checkpoints that it was fitted on");

        static void Refused(Calibration calibration, LabelledSet more, string why) =>
            Assert.Contains(why, Assert.Throws<EmScanException>(() => calibration.Extend(more)).Message);
    }

    private Calibration Reread(Calibration calibration)
    {
        string path = _folder["calibration.json"];
        CalibrationFile.Write(path, calibration);
        return CalibrationFile.Read(path);
    }

    private static LabelledSet Other(LabelledObservation[] checkpoints, string model = "other") =>
        Synthetic.Scan(checkpoints, model) with { Base = Synthetic.Base(model) with { ModelSha256 = $"{model} model", Projections = [model.Length, -0.1, model[0] / 100.0] } };

    // Runs of a base whose traits move twice as far.
    private static LabelledObservation[] Few(string model = "other", int seeds = 1, int checkpoints = 3) =>
    [
        .. Synthetic.Runs(model: model, seeds: seeds, checkpoints: checkpoints).Select(c => c with
        {
            Observation = c.Observation with { Displacement = Synthetic.Drift([.. c.Observation.Displacement.PerTrait.Select(x => 2 * x)], [.. c.Observation.Displacement.ActivationChange.Select(x => 2 * x)]) },
        }),
    ];
}
