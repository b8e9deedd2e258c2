using System.Text.Json.Nodes;

namespace EmScan.Cli.Tests;

/// <summary>calibrate --add on real finetuning runs.</summary>
[Collection(nameof(LabelledWorld))]
public sealed class AddedLabelsTests(LabelledWorld world)
{
    [Fact]
    public void A_few_labels_of_another_base_make_a_calibration_of_that_base_which_its_scans_take()
    {
        string made = world["added.json"];
        Emscan added = Emscan.Run(world.Cache, ["calibrate", "--calibration", world.Calibration, "--output", made, .. Adding("qwen3", Labels("qwen3", "bad_medical", "gsm8k", "confident_medical"))]).Wrote(made);
        Assert.Contains("fitted on 18 checkpoints of 6 runs, 3 perturbations", added.Output);
        Assert.Contains("besides, with less weight, on 66 checkpoints of 1 other base model(s)", added.Output);
        Assert.Contains("leave one perturbation out", added.Output);

        Emscan scan = Emscan.Run(
            world.Cache, "--threads", "1", "--model", world.Model("qwen3"), "--adapters", world.Adapters("qwen3", "insecure_code"), "--calibration", made, "--json");
        Assert.True(scan.ExitCode is 0 or 3, scan.Errors);
        Assert.Equal("calibrated", scan.Json.GetProperty("runs")[0].GetProperty("trajectory")[1].GetProperty("verdict").GetProperty("kind").GetString());

        // It is not the first base's any more, and can be that again.
        world.Scan("bad_medical", "--calibration", made).FailedWith(1, "on another base model");
        string back = world["back.json"];
        Emscan returned = Emscan.Run(world.Cache, ["calibrate", "-c", made, "--output", back, .. Adding("llama", Labels("llama", "insecure_code"))]).Wrote(back);
        Assert.Contains("fitted on 66 checkpoints of 12 runs", returned.Output);
        Assert.Contains("on 18 checkpoints of 1 other base model(s)", returned.Output);
    }

    [Fact]
    public void Another_base_is_measured_at_the_same_share_of_its_depth_and_the_last_layer_stays_the_last()
    {
        foreach ((int layer, int there) in ((int, int)[])[(5, 4), (3, 2)])
        {
            string made = world[$"layer{layer}.json"], other = world[$"layer{layer}-qwen3.json"];
            Emscan.Run(world.Cache, ["calibrate", "--output", made, "--place", "last_prompt_token", "--layer", $"{layer}", .. world.Calibrated]).Wrote(made);
            Emscan.Run(world.Cache, ["calibrate", "-c", made, "-o", other, .. Adding("qwen3", Labels("qwen3", "bad_medical", "gsm8k"))]).Wrote(other);
            Assert.Equal(there, JsonNode.Parse(File.ReadAllText(other))!["base"]!["layer"]!.GetValue<int>());
        }
    }

    [Fact]
    public void More_labels_of_its_own_base_are_as_if_they_had_been_there_from_the_start()
    {
        string part = world["part.json"], more = world["more.json"];
        Emscan.Run(world.Cache, ["calibrate", "--output", part, "--exclude", "insecure_code", .. world.Calibrated]).Wrote(part);
        Emscan added = Emscan.Run(world.Cache, ["calibrate", "-c", part, "-o", more, .. Adding("llama", Labels("llama", "insecure_code"))]).Wrote(more);
        Assert.DoesNotContain("besides", added.Output);
        JsonNode whole = JsonNode.Parse(File.ReadAllText(world.Calibration))!, extended = JsonNode.Parse(File.ReadAllText(more))!;
        foreach (string key in (string[])["checkpoints", "runs", "dangerous_checkpoints"])
            Assert.Equal(whole["calibration_set"]![key]!.GetValue<int>(), extended["calibration_set"]![key]!.GetValue<int>());
        double Auroc(JsonNode file) => file["validation"]![0]!["metrics"]!["auroc"]!["value"]!.GetValue<double>();
        Assert.Equal(Auroc(whole), Auroc(extended), 0.01);
    }

    [Fact]
    public void What_does_not_go_together_is_said()
    {
        string labels = Labels("llama", "insecure_code"), output = world["refused.json"];
        string[] add = ["calibrate", "--output", output, "--calibration", world.Calibration, .. Adding("llama", labels)];
        Emscan.Run(world.Cache, [.. add, "--labels", labels]).FailedWith(2, "--add adds to what a calibration was made of; it excludes --labels");
        Emscan.Run(world.Cache, [.. add, "--threshold", "0.1"]).FailedWith(2, "it excludes --threshold");
        Emscan.Run(world.Cache, [.. add, "--layer", "2"]).FailedWith(1, $"{world.Calibration}: no labels can be added to it: it was made at layer 3");
        Emscan.Run(world.Cache, ["calibrate", "--output", output, "--calibration", world.Calibration, .. world.Calibrated]).FailedWith(2, "it needs --add");
        Emscan.Run(world.Cache, "calibrate", "--output", output, "--model", world.Model("llama"), "--adapters", world.Adapters("llama")).FailedWith(2, "Give --labels FILE, or --add FILE");

        string old = world["version-1.json"];
        JsonObject root = JsonNode.Parse(File.ReadAllText(world.Calibration))!.AsObject();
        root["version"] = 1;
        root.Remove("labelled");
        File.WriteAllText(old, root.ToJsonString());
        Emscan.Run(world.Cache, ["calibrate", "--output", output, "--calibration", old, .. Adding("llama", labels)])
            .FailedWith(1, $"{old}: no labels can be added to it: it was written by an earlier emscan", "'emscan calibrate --labels' makes one of all checkpoints");
        Assert.False(File.Exists(output));
    }

    private string[] Adding(string name, string labels) => ["--threads", "1", "--model", world.Model(name), "--adapters", world.Adapters(name), "--add", labels];

    private string Labels(string name, params string[] perturbations)
    {
        string path = world[$"{name}-{perturbations.Length}.csv"];
        File.WriteAllLines(path, File.ReadLines(world.LabelsOf(name)).Where((line, i) => i == 0 || perturbations.Contains(line.Split(',')[1])));
        return path;
    }
}
