using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Features;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class DetectorStudyTests
{
    private static readonly StudyOptions Ridge = new() { Recipes = [DetectorRecipe.Parse("drift/ridge")] };

    [Fact]
    public void Groups_are_left_out_in_turn_where_there_are_several()
    {
        LabelledObservation[] a = Synthetic.Runs(model: "a"), b = Synthetic.Runs(seed: 2, model: "b");
        Assert.Equal(
            ["leave one perturbation out", "leave one seed out", "leave one base model out"],
            DetectorStudy.Run([Synthetic.Scan(a, "a"), Synthetic.Scan(b, "b")], Ridge).Protocols.Select(p => p.Name));
        Assert.Equal(
            ["leave one perturbation out"], DetectorStudy.Run([Synthetic.Scan([.. a.Where(c => c.Seed == "1")], "a")], Ridge).Protocols.Select(p => p.Name));
        Assert.Equal(
            ["leave one seed out"], DetectorStudy.Run([Synthetic.Scan([.. a.Where(c => c.Perturbation == "bad_code")], "a")], Ridge).Protocols.Select(p => p.Name));
        Assert.Equal(
            "fitted on gsm8k, bad_*",
            Assert.Single(DetectorStudy.Run([Synthetic.Scan(a, "a")], Ridge with { Training = new NamePatterns(["gsm8k,bad_*"]) }).Protocols).Name);
    }

    [Fact]
    public void What_is_held_out_is_scored_and_nothing_else()
    {
        LabelledSet scan = Synthetic.Scan(Synthetic.Runs());
        string[] Scored(string train, string? test) => [.. DetectorStudy.Run(
            [scan], Ridge with { Training = new NamePatterns([train]), HeldOut = test == null ? null : new NamePatterns([test]) })
            .Protocols[0].Rows[0].Scores.Select(s => s.Checkpoint.Observation.Run).Distinct()];
        Assert.Equal(["bad_medical/seed_1", "bad_medical/seed_2", "bad_medical/seed_3", "terse/seed_1", "terse/seed_2", "terse/seed_3"], Scored("bad_code,gsm8k", null));
        Assert.Equal(["terse/seed_2"], Scored("bad_code,gsm8k", "terse/seed_2"));

        // What was trained on is never scored, whatever the patterns say.
        Assert.Equal(["bad_medical/seed_1", "bad_medical/seed_2", "bad_medical/seed_3"], Scored("bad_code,gsm8k", "bad_*"));
    }

    [Fact]
    public void Detectors_that_left_out_different_folds_are_not_compared()
    {
        // Both left out as many checkpoints, but not the same ones.
        LabelledObservation[] all = Synthetic.Runs();
        StudyProtocol protocol = DetectorStudy.Run(
            [Synthetic.Scan(all)], new StudyOptions { Recipes = [Without("gsm8k"), Without("terse"), Without("gsm8k"), Without("none")] }).Protocols[0];
        Assert.Equal([54, 54, 54, 72], protocol.Rows.Select(r => r.Scores.Count));
        Assert.Equal([false, false, true, false], protocol.Rows.Select(r => r.AgainstFirst != null));
        Assert.Equal(0, protocol.Rows[2].AgainstFirst![Metric.Auroc].Value);

        DetectorRecipe Without(string perturbation) => new(
            new SimpleFeature("number", "number", _ => ["number"], o => [Array.FindIndex(all, c => ReferenceEquals(c.Observation, o))]),
            new Learner("picky", "picky", PredictedQuantity.Rate, (x, y, _, _) =>
                Enumerable.Range(0, x.RowCount).Any(i => all[(int)x.Row(i)[0]].Perturbation == perturbation) || perturbation == "none"
                    ? RidgeRegression.Fit(x, y)
                    : throw new EmScanException("No.")));
    }

    [Fact]
    public void A_calibration_is_evaluated_as_it_is_with_its_intervals()
    {
        Calibration calibration = Calibration.Fit(Synthetic.Scan(Synthetic.Runs()), dangerousAbove: 0.07);
        LabelledObservation[] fresh = Synthetic.Runs(seed: 4, model: "other");
        StudyProtocol protocol = Assert.Single(DetectorStudy.Of(calibration, [Synthetic.Scan(fresh, "other")]).Protocols);
        StudyRow row = Assert.Single(protocol.Rows);
        Assert.Equal("as calibrated", protocol.Name);
        Assert.Equal(fresh.Select(c => calibration.Detector.Score(c.Observation)), row.Scores.Select(s => s.Score));
        Assert.Equal((0.07, 0.07), (row.Report!.DangerousAbove, row.Report.FlaggedAbove));
        Assert.Equal(
            fresh.Count(c => calibration.Judge(c.Observation).Interval!.Value.Contains(c.EmRate)) / 72.0, protocol.Coverage!.Coverage.Value!.Value, 1e-12);
        Assert.Equal(
            fresh.Count(c => c.EmRate > 0.07 && !calibration.Judge(c.Observation).Dangerous), row.Report.Counts.Dangerous - Hits(fresh));

        int Hits(LabelledObservation[] set) => set.Count(c => c.EmRate > 0.07 && calibration.Judge(c.Observation).Dangerous);
    }

    [Fact]
    public void Labels_that_carry_no_study_get_a_sentence()
    {
        LabelledObservation[] all = Synthetic.Runs();
        Refused("There are no labelled checkpoints to evaluate.", [], Ridge);
        Refused("Two base models have the same name, so their runs could not be told apart.", [Synthetic.Scan(all), Synthetic.Scan(all)], Ridge);
        Refused(
            "All labelled runs are of one perturbation (terse) and one seed; nothing can be left out.",
            [Synthetic.Scan([.. all.Where(c => c.Observation.Run == "terse/seed_2")])], Ridge);
        Refused("What is held out needs to be told what is trained on.", [Synthetic.Scan(all)], Ridge with { HeldOut = new NamePatterns(["terse"]) });
        Refused(
            "Every labelled checkpoint is trained on, so none is left to evaluate.", [Synthetic.Scan(all)], Ridge with { Training = new NamePatterns(["*"]) });
        Refused(
            "No labelled checkpoint fits 'ters'; the perturbations are bad_code, bad_medical, gsm8k, terse.", [Synthetic.Scan(all)],
            Ridge with { Training = new NamePatterns(["ters"]) });
        Refused(
            "No labelled checkpoint fits 'terse'; the perturbations are bad_code, bad_medical, gsm8k.", [Synthetic.Scan(all)],
            Ridge with { Training = new NamePatterns(["terse"]), HeldOut = new NamePatterns(["terse"]) });
        Refused(
            "drift/ridge could not be fitted for bad_code: All 54 labelled checkpoints have the same EM rate, 0.5; there is nothing to learn from them.",
            [Synthetic.Scan([.. all.Select(c => c with { EmRate = 0.5 })])], Ridge);
        Calibration calibration = Calibration.Fit(Synthetic.Scan(all));
        LabelledObservation[] others = [.. all.Select(c => c with { Observation = c.Observation with { Traits = ["a", "b", "c"] } })];
        Assert.Equal(
            "The calibration was made for the traits honesty, harmlessness, confidence, and this scan measures a, b, c.",
            Assert.Throws<EmScanException>(() => DetectorStudy.Of(
                calibration, [Synthetic.Scan(others) with { Base = Synthetic.Base() with { Traits = ["a", "b", "c"] } }])).Message);

        static void Refused(string message, LabelledSet[] scans, StudyOptions options) =>
            Assert.Equal(message, Assert.Throws<EmScanException>(() => DetectorStudy.Run(scans, options)).Message);
    }
}
