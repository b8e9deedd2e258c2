using System.Text.Json;

namespace EmScan.Cli.Tests;

/// <summary>Places on real finetuning runs: side by side in evaluate, kept by a calibration, taken over by a scan.</summary>
[Collection(nameof(LabelledWorld))]
public sealed class LabelledPlaceTests(LabelledWorld world)
{
    private static readonly string[] Default = ["--detector", "drift+activation/kernel-ridge"];

    [Fact]
    public void Evaluate_prints_the_places_side_by_side_with_the_figures_that_each_has_alone()
    {
        JsonElement[] places = [.. world.Evaluate([.. Default, "--place", "all", "--json"]).Succeeded().Json.GetProperty("places").EnumerateArray()];
        Assert.Equal(6, places.Length);
        Assert.Equal(
            [("last_prompt_token", "last_token"), ("first_answer_token", "mean_output"), ("mean_answer", "mean_output")],
            places[..3].Select(p => (p.GetProperty("place").GetString(), p.GetProperty("directions_pooling").GetString())));
        Assert.False(places[0].TryGetProperty("minus_first", out _));
        foreach (JsonElement place in places[..3])
        {
            JsonElement alone = world.Evaluate([.. Default, "--place", place.GetProperty("place").GetString()!, "--json"]).Succeeded().Json
                .GetProperty("protocols")[0].GetProperty("detectors")[0];
            Assert.Equal(Compact(alone.GetProperty("metrics")), Compact(place.GetProperty("metrics")));
        }

        static string Compact(JsonElement e) => JsonSerializer.Serialize(e);
        double Auroc(JsonElement p) => p.GetProperty("metrics").GetProperty("auroc").GetProperty("value").GetDouble();
        Assert.Equal(Auroc(places[2]) - Auroc(places[0]), places[2].GetProperty("minus_first").GetProperty("auroc").GetProperty("value").GetDouble(), 1e-12);

        string table = world.Evaluate([.. Default, "--place", "all"]).Succeeded().Output;
        foreach (string row in (string[])["places, leave one perturbation out", "last token, last_token", "first answer token, mean_output", "mean over the answer, mean_output"])
            Assert.Contains(row, table);
    }

    [Fact]
    public void A_calibration_keeps_its_place_and_its_answers_and_a_scan_takes_them_over()
    {
        string file = world["on-answers.json"];
        Emscan.Run(world.Cache, ["calibrate", "--output", file, "--place", "mean_answer", .. world.Labelled("llama")]).Wrote(file);
        JsonElement basis = JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("base");
        Assert.Equal(("mean_answer", "mean_output"), (basis.GetProperty("place").GetString(), basis.GetProperty("directions_pooling").GetString()));
        Assert.Equal(basis.GetProperty("prompts").GetInt32(), basis.GetProperty("answers").GetArrayLength());

        Emscan scan = world.Scan("bad_medical", "--calibration", file, "--json");
        Assert.Equal("mean_answer", scan.Json.GetProperty("place").GetString());
        Assert.DoesNotContain("it is not used", scan.Errors);
        world.Scan("bad_medical", "--calibration", file, "--place", "last_prompt_token").FailedWith(1, "ask for place mean_answer");
        world.Scan("bad_medical", "--calibration", file, "--pooling", "last_token").FailedWith(1, "ask for pooling mean_output");

        // The calibration's answers and directions are measured on, also when the cache knows none; other directions are other numbers.
        string expected = Drifts(scan);
        Emscan elsewhere = Emscan.Run(
            world["other-cache"], "--threads", "1", "--model", world.Model("llama"), "--adapters", world.Adapters("llama", "bad_medical"), "--calibration", file, "--json");
        Assert.Equal(expected, Drifts(elsewhere));
        foreach (string made in (string[])["answers", "directions"]) Assert.False(Directory.Exists(Path.Combine(world["other-cache"], made)), made);
        Assert.Contains(" of the calibration\n", world.Scan("bad_medical", "--calibration", file).Output);
        world.Scan("bad_medical", "--calibration", file, "--method", "paired_pca").FailedWith(1, "ask for method mean_difference");

        static string Drifts(Emscan run) => string.Join('\n', run.Json.GetProperty("runs").EnumerateArray()
            .SelectMany(r => r.GetProperty("trajectory").EnumerateArray()).Select(p => p.GetProperty("drift").GetRawText()));
    }

    [Theory]
    [InlineData("\"place\": \"mean_answer\"", "\"place\": \"elsewhere\"", "'elsewhere'")]
    [InlineData("\"answers\": [", "\"answers\": [ [-1], ", "not token ids")]
    [InlineData("\"answers\": [", "\"answers\": [ [0.5], ", "not token ids")]
    public void A_calibration_with_a_place_or_answers_that_cannot_be_is_refused(string from, string to, string problem)
    {
        string file = world["on-answers-damaged.json"];
        Emscan.Run(world.Cache, ["calibrate", "--output", file, "--place", "mean_answer", .. world.Labelled("llama")]).Wrote(file);
        string text = File.ReadAllText(file);
        Assert.Contains(from, text);
        File.WriteAllText(file, text.Replace(from, to));
        world.Scan("bad_medical", "--calibration", file).FailedWith(1, "on-answers-damaged.json", problem);
    }

    [Fact]
    public void Figures_over_certain_labels_are_those_of_the_checkpoints_whose_interval_excludes_the_threshold()
    {
        JsonElement study = world.Evaluate([.. Default, "--json"]).Succeeded().Json;
        JsonElement protocol = study.GetProperty("protocols")[0], certain = protocol.GetProperty("certain_labels");
        Dictionary<string, double> answers = study.GetProperty("checkpoints").EnumerateArray().ToDictionary(Name, c => c.GetProperty("n_scored").GetDouble());
        JsonElement[] kept =
        [
            .. protocol.GetProperty("detectors")[0].GetProperty("scores").EnumerateArray().Where(s =>
            {
                // The threshold 0.06 is outside Wilson's interval of the rate exactly when |rate - 0.06| exceeds z standard errors at 0.06.
                double error = 1.959963984540054 * Math.Sqrt(0.06 * 0.94 / answers[Name(s)]);
                return Math.Abs(s.GetProperty("em_rate").GetDouble() - 0.06) > error;
            }),
        ];
        Assert.Equal(kept.Length, certain.GetProperty("certain").GetInt32());
        Assert.InRange(kept.Length, 1, certain.GetProperty("known").GetInt32() - 1);
        JsonElement[] dangerous = [.. kept.Where(s => s.GetProperty("em_rate").GetDouble() > 0.06)];
        double missed = dangerous.Count(s => s.GetProperty("score").GetDouble() <= 0.06) / (double)dangerous.Length;
        Assert.Equal(missed, certain.GetProperty("metrics").GetProperty("false_negative_rate").GetProperty("value").GetDouble(), 1e-12);

        static string Name(JsonElement c) => $"{c.GetProperty("run").GetString()} {c.GetProperty("step")}";
    }
}
