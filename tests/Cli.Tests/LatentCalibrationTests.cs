using System.Text.Json;
using System.Text.Json.Nodes;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>A calibration on the latents of a sparse autoencoder, from the labels to a verdict.</summary>
[Collection(nameof(LabelledWorld))]
public sealed class LatentCalibrationTests(LabelledWorld world) : IDisposable
{
    private const int Width = 96, Latents = 384, Kept = 256;

    private readonly TemporaryFolder _folder = new();

    private static string Sae => LabelledWorld.Sae;

    private string Calibration => world.LatentCalibration;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_scan_judges_by_the_latents_that_the_calibration_chose()
    {
        JsonObject file = JsonNode.Parse(File.ReadAllText(Calibration))!.AsObject();
        Assert.Equal((3, 3, "sae", "ridge"), (
            file["version"]!.GetValue<int>(), file["base"]!["layer"]!.GetValue<int>(), file["detector"]!["features"]!.GetValue<string>(), file["detector"]!["learner"]!.GetValue<string>()));
        Assert.Equal(("sae", Latents), (file["base"]!["autoencoder"]!["name"]!.GetValue<string>(), file["base"]!["autoencoder"]!["latents"]!.GetValue<int>()));
        int[] columns = [.. file["detector"]!["regressor"]!["transforms"]![0]!["columns"]!.AsArray().Select(c => c!.GetValue<int>())];
        Assert.Equal((Kept, Kept), (columns.Length, columns.Distinct().Count()));

        JsonElement evaluated = world.Evaluate("--calibration", Calibration, "--sae", Sae, "--json").Succeeded().Json;
        JsonElement[] scores = [.. evaluated.GetProperty("protocols")[0].GetProperty("detectors")[0].GetProperty("scores").EnumerateArray()];
        Assert.Equal(60, scores.Length);
        Emscan dangerous = Scan("bad_medical/seed_42", "--json"), harmless = Scan("gsm8k/seed_42", "--json");
        Assert.Equal((3, 0), (dangerous.ExitCode, harmless.ExitCode));
        Assert.Contains("SAE-256 of 'sae' (384 latents, digest ", dangerous.Json.GetProperty("verdicts").GetString());
        foreach ((Emscan scan, string run) in new[] { (dangerous, "bad_medical/seed_42"), (harmless, "gsm8k/seed_42") })
        {
            JsonElement[] points = [.. Trajectory(scan)];
            Assert.Equal(6, points.Length);
            foreach (JsonElement point in points)
            {
                JsonElement score = scores.Single(s => s.GetProperty("run").GetString() == run && s.GetProperty("step").ToString() == point.GetProperty("step").ToString());
                Assert.Equal(score.GetProperty("score").GetDouble(), Predicted(point), 1e-12);
            }
        }
    }

    [Fact]
    public void What_was_measured_is_on_record_and_shards_and_a_watch_come_to_the_same_verdicts()
    {
        string[] steps = [.. Trajectory(Scan("bad_medical", "--json")).Select(Row)];
        Assert.Equal(12, steps.Length);
        Emscan again = Scan("bad_medical", "--json");
        Assert.Equal(steps, Trajectory(again).Select(Row));
        Assert.All(Trajectory(again), p => Assert.True(p.GetProperty("from_journal").GetBoolean()));

        string output = _folder["out"];
        string[] arguments = ["--threads", "1", "--model", world.Model("llama"), "--adapters", world.Adapters("llama", "bad_medical"), "--calibration", Calibration, "--sae", Sae, "--out", output];
        for (int i = 0; i < 2; i++) Emscan.Run(_folder["cache"], [.. arguments, "--shard", $"{i}/2"]).Succeeded();
        Emscan merged = Emscan.Run(_folder["cache"], "merge", output, "--json");
        Assert.Equal(3, merged.ExitCode);
        Assert.Equal(steps, Trajectory(merged).Select(Row));

        Emscan watched = Emscan.Run(
            world.Cache,
            "watch", "--threads", "1", "--model", world.Model("llama"), "--adapters", world.Adapters("llama", "bad_medical/seed_42"),
            "--calibration", Calibration, "--sae", Sae, "--poll", "0.05", "--quiet-time", "0", "--until", "120", "--json");
        Assert.Equal(3, watched.ExitCode);
        Assert.Equal(6, watched.Output.TrimEnd('\n').Split('\n').Length);

        static string Row(JsonElement point) => $"{point.GetProperty("step")} {Predicted(point):R}";
    }

    [Fact]
    public void Without_the_very_autoencoder_there_is_a_sentence()
    {
        Run("--calibration", Calibration).FailedWith(
            1, "latents.json: reads the latents of the sparse autoencoder 'sae' (384 latents, digest ", "at layer 3, and none was given; give it with --sae DIR, or --calibration none");
        Run("--calibration", Calibration, "--sae", _folder["nothing"]).FailedWith(1, "does not exist");
        Run("--calibration", Calibration, "--sae", Changed(3, bias: 1)).FailedWith(1, "is 'changed-3-1' (384 latents, digest ", ", another sparse autoencoder than ", "latents.json was made with, 'sae' (384");
        Run("--calibration", Calibration, "--sae", Changed(2, bias: 0)).FailedWith(1, "is for layer 2, and ", "latents.json was made with it at layer 3");
        Run("--calibration", Calibration, "--sae", Sae, "--layer", "2").FailedWith(1, "was made at layer 3, and this scan measures layer 2");
        Run("--calibration", Calibration, "--sae", Sae, "--layer", "2", "--trust-calibration").FailedWith(1, "is for layer 3, and this scan measures layer 2");
        Run("--calibration", Calibration, "--sae", Sae, "--kernel-device", "gpu").FailedWith(2, "--kernel-device is 'gpu', but must be auto, cpu, cuda:N or opencl:N");
        Run("--calibration", Calibration, "--sae", Sae, "--kernel-device", "cuda:99").FailedWith(2, "There is no device cuda:99");
        Run("--calibration", world.Calibration, "--sae", Sae).FailedWith(2, "calibration.json reads no latents; 'emscan diff' shows which of them an adapter changes");
        Run("--sae", Sae).FailedWith(2, "A sparse autoencoder is given, and no calibration that reads its latents");
        world.Evaluate("--calibration", Calibration).FailedWith(1, "and none was given; give it with --sae DIR.");
    }

    [Fact]
    public void What_cannot_be_calibrated_on_is_refused()
    {
        Calibrate("--detector", "sae/ridge").FailedWith(2, "--detector sae/ridge reads the latents of a sparse autoencoder; give it with --sae DIR.");
        Calibrate("--sae", Sae, "--detector", "drift/ridge").FailedWith(2, "--sae needs a detector that reads it: --detector sae/REGRESSOR, or no --detector at all.");
        Calibrate("--sae", Sae, "--layer", "2").FailedWith(2, "The autoencoder is for layer 3, and --layer is 2; leave --layer out.");
        Calibrate("--sae", Changed(6, bias: 0)).FailedWith(1, "is for layer 6; this model's last is 5");
        Calibrate("--sae", Changed(3, bias: 0, width: 64)).FailedWith(1, "is for a width of 64; this model's is 96");
        string[] added = ["calibrate", .. world.Calibrated[..6], "--add", world.LabelsOf("llama"), "--calibration", Calibration, "--output", _folder["more.json"]];
        Emscan.Run(world.Cache, [.. added, "--sae", Sae]).FailedWith(2, "--add keeps what the calibration was made with; it excludes --sae.");
        Emscan.Run(world.Cache, added).FailedWith(1, "no labels can be added to it: it sees more of a checkpoint (SAE-256)");
    }

    private Emscan Calibrate(params string[] more) => Emscan.Run(world.Cache, ["calibrate", "--output", _folder["new.json"], .. world.Calibrated, .. more]);

    private Emscan Scan(string below, params string[] more) => world.Scan(below, ["--calibration", Calibration, "--sae", Sae, .. more]);

    private Emscan Run(params string[] more) => world.Scan("gsm8k/seed_42", more);

    private static IEnumerable<JsonElement> Trajectory(Emscan scan) => scan.Json.GetProperty("runs").EnumerateArray()
        .SelectMany(run => run.GetProperty("trajectory").EnumerateArray()).Where(point => point.GetProperty("step").ToString() != "0");

    private static double Predicted(JsonElement point) => point.GetProperty("verdict").GetProperty("score").GetDouble();

    /// <summary>The shipped autoencoder at another layer, with another bias, or cut to another width.</summary>
    private string Changed(int layer, float bias, int width = Width)
    {
        string folder = _folder[$"changed-{layer}-{bias}"];
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "cfg.json"), $$"""{"architecture": "standard", "hook_name": "blocks.{{layer}}.hook_resid_post"}""");
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Sae, "sae_weights.safetensors"));
        SafetensorsWriter.Write(
            Path.Combine(folder, "sae_weights.safetensors"),
            [
                ("W_enc", [width, Latents], file.ReadFloat32("W_enc")[..(width * Latents)]),
                ("b_enc", [Latents], [.. file.ReadFloat32("b_enc").Select(b => b + bias)]), ("b_dec", [width], file.ReadFloat32("b_dec")[..width]),
            ],
            new Dictionary<string, string>());
        return folder;
    }
}
