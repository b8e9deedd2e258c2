using System.Text.Json;
using System.Text.Json.Nodes;
using EmScan.Engine.Analyses.Onset;
using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Formats;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Analyses;

public sealed class OnsetTests
{
    private static readonly JsonElement Series = RunReference.Root.GetProperty("series");
    private static readonly JsonElement Bootstrap = RunReference.Root.GetProperty("bootstrap");

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, RunReference.Root.GetProperty("series").GetArrayLength())];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Shapes_are_those_of_scipy(int index)
    {
        JsonElement expected = Series[index].GetProperty("shape"), change = expected.GetProperty("change_point"), logistic = expected.GetProperty("logistic"), hinge = expected.GetProperty("hinge");
        SeriesShape found = SeriesShape.Of(Series[index].Vector("steps"), Series[index].Vector("values"))!;
        Assert.Equal(change.GetProperty("index").GetInt32(), found.Change.Index);
        Assert.Equal(change.Number("step"), found.Change.Step);
        Assert.Equal(change.Number("sse"), found.Change.SquaredError, 1e-12);
        Assert.Equal(change.Number("before"), found.Change.Before, 1e-12);
        Assert.Equal(change.Number("after"), found.Change.After, 1e-12);
        Assert.Equal(hinge.Number("onset"), found.Hinge.Onset, 1e-9);
        Assert.Equal(hinge.Number("slope"), found.Hinge.Slope, 1e-10);
        Assert.Equal(hinge.Number("sse"), found.Hinge.SquaredError, 1e-12);
        Assert.Equal(expected.Number("linear_sse"), found.LinearSquaredError, 1e-12);
        Assert.Equal(expected.Number("crossing_10"), found.Crossing10!.Value, 1e-10);
        Assert.Equal(expected.Number("crossing_50"), found.Crossing50!.Value, 1e-10);

        // At a minimum the error is flat: parameters agree to the root of what errors agree to. Between points that a step separates any
        // midpoint and a small width fit alike, so that there the error alone is compared; neither search may end above the other.
        Assert.Equal(logistic.Number("sse"), found.Logistic.SquaredError, 1e-9 * (1 + logistic.Number("sse")));
        Assert.Equal(logistic.Number("r2"), found.LogisticRSquared, 1e-7);
        if (Series[index].GetProperty("name").GetString() == "logistic")
        {
            Assert.Equal(logistic.Number("midpoint"), found.Logistic.Midpoint, 1e-4);
            Assert.Equal(logistic.Number("width"), found.Logistic.Width, 1e-4);
            Assert.Equal(logistic.Number("plateau"), found.Logistic.Plateau, 1e-5);
            Assert.Equal(found.Logistic.Midpoint - (found.Logistic.Width * Math.Log(9)), found.Logistic.Onset10, 1e-12);
        }

        double[] bic = expected.Vector("bic");
        for (int i = 0; i < 4; i++) Assert.Equal(bic[i], found.Bic[i], 1e-5);
        Assert.Equal(SeriesShape.Shapes[Array.IndexOf(bic, bic.Min())], found.Shape);
        Assert.Equal(Series[index].GetProperty("name").GetString(), found.Shape);
    }

    [Fact]
    public void Too_few_points_and_no_change_have_no_shape()
    {
        Assert.Null(SeriesShape.Of([0, 10, 20, 30], [0, 1, 2, 3]));
        Assert.Null(SeriesShape.Of([0, 10, 20, 30, 40], [0, 0, 0, 0, 0]));
        Assert.Null(SeriesShape.Crossing([0, 10], [1, 0.5], 0.5));
        Assert.Equal(0, PiecewiseLinear.FirstReach([0, 10], [1, 0.5], 0.5));
        Assert.Null(PiecewiseLinear.FirstReach([0, 10], [0, 0.4], 0.5));
    }

    [Fact]
    public void Intervals_over_prompts_and_runs_are_those_of_numpy()
    {
        JsonObject data = Study(seed: 5).Data;
        Compare(Bootstrap.GetProperty("over_prompts"), (JsonObject)data["runs"]![0]!["bootstrap_95"]!, "midpoint", "crossing_50");
        Compare(Bootstrap.GetProperty("over_runs"), (JsonObject)data["perturbations"]![0]!["bootstrap_runs_95"]!, "midpoint", "crossing_50", "lead_crossing_50", "lead_midpoint");
        Assert.Equal(data.ToJsonString(), Study(seed: 5).Data.ToJsonString());
        Assert.NotEqual(data.ToJsonString(), Study(seed: 6).Data.ToJsonString());

        // A quantile of 1000 draws against the mean of six: four standard errors.
        static void Compare(JsonElement expected, JsonObject found, params string[] keys)
        {
            double[][] mean = expected.Rows("mean"), sd = expected.Rows("sd");
            for (int q = 0; q < keys.Length; q++)
            {
                for (int end = 0; end < 2; end++)
                    Assert.Equal(mean[q][end], found[keys[q]]![end]!.GetValue<double>(), 4 * sd[q][end] * Math.Sqrt(1 + (1 / 6.0)) + 1e-6);
            }
        }
    }

    [Fact]
    public void An_onset_is_claimed_of_several_runs_above_the_harmless_ones_and_of_nothing_else()
    {
        JsonObject claimed = (JsonObject)Study().Data["perturbations"]![0]!;
        Assert.NotNull(claimed["onset"]);
        Assert.Null(claimed["why_no_onset"]);

        // A harmless run that drifts further.
        DriftRun far = Far("harmless", 2);
        Findings above = Study(new NamePatterns(["harmless"]), far);
        Assert.All(above.Data["perturbations"]!.AsArray(), p => Assert.Null(p!["onset"]));
        Assert.Contains("stays within the 2", above.Data["perturbations"]![0]!["why_no_onset"]!.GetValue<string>());
        Assert.Contains("No onset is claimed", above.Conclusion);

        // One that drifts less: the step at which the mean leaves its level, between two points.
        JsonNode between = Study(new NamePatterns(["harmless"]), Far("harmless", 0.3)).Data["perturbations"]![0]!;
        double[] steps = Bootstrap.Vector("steps"), mean = [.. steps.Select((_, s) => Bootstrap.Rows("series").Average(run => run[s]))];
        Assert.Equal(PiecewiseLinear.FirstReach(steps, mean, 0.3)!.Value, between["onset"]!["above_benign_at"]!.GetValue<double>(), 1e-9);

        // One run of it.
        Findings alone = OnsetStudy.Conclude(new OnsetRequest { Scans = [Scan([Runs()[0]])], Draws = 50 });
        Assert.Null(alone.Data["perturbations"]![0]!["onset"]);
        Assert.Contains("no onset is claimed", alone.Conclusion);
    }

    [Fact]
    public void Leads_are_null_where_the_rate_never_exceeds_the_threshold()
    {
        JsonNode run = Study(threshold: 0.9).Data["runs"]![0]!;
        Assert.Null(run["em_crossing_50"]);
        Assert.Null(run["lead_crossing_50"]);
        Assert.Null(run["em_first_above_0.9"]);
        Assert.NotNull(run["lead_change_point"]);
        JsonNode dangerous = Study().Data["runs"]![0]!;
        Assert.Equal(30, dangerous["em_first_above_0.06"]!.GetValue<double>());
        Assert.Equal(
            dangerous["em_crossing_50"]!.GetValue<double>() - dangerous["crossing_50"]!.GetValue<double>(), dangerous["lead_crossing_50"]!.GetValue<double>(), 1e-12);
    }

    [Fact]
    public void Scans_that_measured_differently_are_refused()
    {
        DriftScan one = Scan(Runs());
        Refused(one with { Header = one.Header with { Traits = ["a", "b", "d"] } }, "traits a, b, c", "a, b, d");
        Refused(one with { Header = one.Header with { Layer = 5 } }, "layer 3", "layer 5");
        Refused(one with { Place = "response_mean" }, "last_prompt_token", "response_mean");

        void Refused(DriftScan other, params string[] fragments)
        {
            string sentence = Assert.Throws<EmScanException>(() => OnsetStudy.Conclude(new OnsetRequest { Scans = [one, other with { Model = "other", Source = "elsewhere" }] })).Message;
            foreach (string fragment in fragments.Append("elsewhere")) Assert.Contains(fragment, sentence);
        }
    }

    private static Findings Study(NamePatterns? benign = null, DriftRun? more = null, double threshold = 0.06, int seed = 42)
    {
        DriftScan scan = Scan(more == null ? Runs() : [.. Runs(), more]);
        string file = Path.GetTempFileName();
        try
        {
            double[] steps = Bootstrap.Vector("steps");
            File.WriteAllLines(file, Bootstrap.Rows("rates").SelectMany((run, r) => run.Select((rate, s) => FormattableString.Invariant($"bad,{r},{steps[s]},{rate:R}")))
                .Prepend("perturbation,seed,step,em_rate"));
            return OnsetStudy.Conclude(new OnsetRequest
            {
                Scans = [scan],
                Labels = [RunLabels.Of(Engine.Verdicts.Labels.LabelFile.Read(file), scan, null)],
                Benign = benign,
                DangerousAbove = threshold,
                Seed = seed,
            });
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static DriftRun[] Runs()
    {
        double[] steps = Bootstrap.Vector("steps");
        int traits = Bootstrap.GetProperty("traits").GetInt32();
        return
        [
            .. Bootstrap.GetProperty("prompts").EnumerateArray().Select((run, r) => new DriftRun("model", $"bad/seed_{r}", "bad", $"{r}", [.. run.EnumerateArray().Select((row, s) =>
            {
                double[] prompts = row.Vector();
                double[] mean = [.. Enumerable.Range(0, traits).Select(k => prompts.Where((_, i) => i % traits == k).Average())];
                return new DriftOfStep(CheckpointStep.At((long)steps[s]), mean, prompts);
            })])),
        ];
    }

    private static DriftRun Far(string name, double end)
    {
        double[] steps = Bootstrap.Vector("steps");
        return new DriftRun("model", $"{name}/seed_0", name, "0", [.. steps.Select(s => new DriftOfStep(CheckpointStep.At((long)s), [end * s / steps[^1], 0, 0]))]);
    }

    private static DriftScan Scan(IReadOnlyList<DriftRun> runs) => new("model", "here", SampleHeader.Of("a", "b", "c"), "last_prompt_token", runs, []);
}
