using System.Globalization;
using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary><c>emscan onset</c>, <c>personas</c> and <c>invariance</c> by the real program: adapters that grow over the steps of three kinds of runs, two seeds each.</summary>
public sealed class RunVerbTests : IClassFixture<RunVerbTests.Runs>
{
    private static readonly int[] Steps = [10, 20, 30, 40, 50, 60];
    private readonly TinyWorld _world;

    public RunVerbTests(Runs runs) => _world = runs.World;

    [Fact]
    public void Onset_reads_drifts_as_a_scan_does_and_leads_with_its_conclusion()
    {
        JsonElement json = Onset("--labels", _world["labels.csv"], "--axis", _world["axis.json"], "--draws", "50", "--json").Succeeded().Json;
        JsonElement[] runs = [.. json.GetProperty("runs").EnumerateArray()];
        Assert.Equal(["bad/seed_1", "bad/seed_2", "good/seed_1", "good/seed_2", "sharp/seed_1", "sharp/seed_2"], runs.Select(r => r.GetProperty("run").GetString()));
        JsonElement[] scanned = [.. _world.Scan("--traits", _world.TraitsPath, "--json").Succeeded().Json.GetProperty("runs").EnumerateArray()];
        foreach ((JsonElement run, JsonElement scan) in runs.Zip(scanned))
        {
            double[] magnitudes = [.. scan.GetProperty("trajectory").EnumerateArray().Select(p => p.GetProperty("drift_magnitude").GetDouble())];
            Assert.Equal(magnitudes, run.GetProperty("series").EnumerateArray().Select(v => v.GetDouble()), (a, b) => Math.Abs(a - b) < 1e-9);
            double last = TinyWorld.Traits.Select((t, k) => new[] { 0.6, 0.8, 0 }[k] * scan.GetProperty("trajectory")[6].GetProperty("drift").GetProperty(t).GetDouble()).Sum();
            Assert.Equal(last, run.GetProperty("axis")[6].GetDouble(), 1e-9);
            Assert.Equal(2, run.GetProperty("bootstrap_95").GetProperty("midpoint").GetArrayLength());
        }

        // What the labels say: bad exceeds 6% from step 50 on, in seed 2 from 40, good never.
        Assert.Equal([50, 40], runs[..2].Select(r => r.GetProperty("em_first_above_0.06").GetDouble()));
        Assert.Equal(JsonValueKind.Null, runs[2].GetProperty("em_first_above_0.06").ValueKind);
        Assert.Equal(JsonValueKind.Null, runs[2].GetProperty("lead_crossing_50").ValueKind);
        Assert.Equal(["good/seed_1", "good/seed_2"], json.GetProperty("benign_level").GetProperty("runs").EnumerateArray().Select(r => r.GetString()));
        Assert.Equal($"drift magnitude |x(c)| at layer {json.GetProperty("layer").GetInt32()}, steps 0, 10, ..., 60", json.GetProperty("series").GetString());
        JsonElement good = json.GetProperty("perturbations").EnumerateArray().Single(p => p.GetProperty("perturbation").GetString() == "good");
        Assert.Equal(JsonValueKind.Null, good.GetProperty("onset").ValueKind);
        Assert.Equal("it is one of the harmless ones", good.GetProperty("why_no_onset").GetString());

        string text = Onset("--labels", _world["labels.csv"], "--draws", "50").Succeeded().Output;
        Assert.StartsWith("Drift rises ", text);
        Assert.Contains("95% intervals over runs", text);
        Assert.Contains("note: 'axis' is along the drift axis of these 6 runs' final checkpoints", text);
        File.WriteAllText(_world["adapters.txt"], string.Join('\n', Steps.Select(step => _world.CheckpointPath("bad/seed_1", step))));
        string one = Run("onset", "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", "@" + _world["adapters.txt"], "--threads", "1", "--draws", "20").Succeeded().Output;
        Assert.Contains("of 1 run", one);
        Assert.Contains("note: There is no axis", one);
    }

    [Fact]
    public void Onset_reads_a_scan_s_folder_and_says_what_it_cannot_draw()
    {
        string folder = _world["scanned"];
        _world.Scan("--traits", _world.TraitsPath, "--out", folder).Succeeded();
        JsonElement recorded = Run("onset", "--scan", folder, "--labels", _world["labels.csv"], "--draws", "50", "--json").Succeeded().Json;
        JsonElement measured = Onset("--labels", _world["labels.csv"], "--draws", "50", "--json").Succeeded().Json;
        foreach ((JsonElement a, JsonElement b) in recorded.GetProperty("runs").EnumerateArray().Zip(measured.GetProperty("runs").EnumerateArray()))
        {
            Assert.Equal(a.GetProperty("series").EnumerateArray().Select(v => v.GetDouble()), b.GetProperty("series").EnumerateArray().Select(v => v.GetDouble()), (x, y) => Math.Abs(x - y) < 1e-9);
            Assert.Equal(a.GetProperty("logistic").GetProperty("midpoint").GetDouble(), b.GetProperty("logistic").GetProperty("midpoint").GetDouble(), 1e-3);
            Assert.Equal(JsonValueKind.Null, a.GetProperty("bootstrap_95").ValueKind);
        }

        Assert.Contains(recorded.GetProperty("notes").EnumerateArray(), n => n.GetProperty("code").GetString() == "no-prompts");
        Assert.Equal(measured.GetProperty("model").GetProperty("sha256").GetString(), recorded.GetProperty("model").GetProperty("sha256").GetString());
        Assert.Equal(measured.GetProperty("model").GetProperty("layers").GetInt32(), recorded.GetProperty("model").GetProperty("layers").GetInt32());

        // A trajectory.json alone does not tell the model's depth: null, and no made up number.
        JsonElement alone = Run("onset", "--scan", Path.Combine(folder, "bad", "seed_1", "trajectory.json"), "--json").Succeeded().Json;
        Assert.Equal(JsonValueKind.Null, alone.GetProperty("model").GetProperty("layers").ValueKind);
        Assert.Contains("(not told)", Run("onset", "--scan", Without(folder, "layer")).Succeeded().Output);
    }

    [Fact]
    public void A_scan_with_verdicts_is_read_as_one_without()
    {
        string folder = _world["demo"];
        Assert.Equal(3, Run("scan", "--model", Repository.File("models/demo/model.gguf"), "--adapters", Repository.File("models/demo/adapters/bad_medical"), "--threads", "1", "--out", folder).ExitCode);
        string device = Run("onset", "--scan", folder, "--draws", "20").Succeeded().Output.Split('\n').Single(l => l.StartsWith("device ", StringComparison.Ordinal));
        Assert.EndsWith(", fast, CPU mode", device);
    }

    [Fact]
    public void Labels_of_another_seed_are_taken_only_where_that_is_asked_for()
    {
        File.WriteAllLines(_world["seed9.csv"], File.ReadAllLines(_world["labels.csv"]).Where(l => !l.Contains(",2,", StringComparison.Ordinal)).Select(l => l.Replace(",1,", ",9,", StringComparison.Ordinal)));
        Onset("--labels", _world["seed9.csv"]).FailedWith(1, "seed9.csv", "none of its labels fits a run", "bad/seed_9", "bad/seed_1");
        Onset("--labels", _world["seed9.csv"], "--label-seed", "8").FailedWith(1, "none is of seed '8'");
        JsonElement[] runs = [.. Onset("--labels", _world["seed9.csv"], "--label-seed", "9", "--draws", "20", "--json").Succeeded().Json.GetProperty("runs").EnumerateArray()];
        Assert.Equal(runs[0].GetProperty("em_rate").ToString(), runs[1].GetProperty("em_rate").ToString());
    }

    [Fact]
    public void Personas_compare_seeds_and_models_and_folders_say_the_same()
    {
        JsonElement bySeed = Personas("--model", _world.ModelPath, "--adapters", _world.Adapters, "--draws", "100", "--json").Succeeded().Json;
        Assert.Equal(["bad", "good", "sharp"], Texts(bySeed, "personas"));
        Assert.Equal(["seed_1", "seed_2"], Texts(bySeed, "groups"));
        JsonElement scanned = _world.Scan("--traits", _world.TraitsPath, "--json").Succeeded().Json.GetProperty("runs")[0].GetProperty("trajectory")[6].GetProperty("drift");
        Assert.Equal(TinyWorld.Traits.Select(t => scanned.GetProperty(t).GetDouble()), bySeed.GetProperty("final_drifts")[0][0].EnumerateArray().Select(v => v.GetDouble()), (a, b) => Math.Abs(a - b) < 1e-9);
        foreach (string key in (string[])["sums_of_squares", "share", "variance_components", "nearest_centroid", "nearest_centroid_unit_norm"])
            Assert.NotEqual(JsonValueKind.Undefined, bySeed.GetProperty(key).ValueKind);
        Assert.Equal(1.0 / 3, bySeed.GetProperty("nearest_centroid").GetProperty("chance").GetDouble(), 1e-12);

        // Two models, by what scans of them have left.
        string one = _world["persona-one"], two = _world["persona-two"];
        _world.Scan("--traits", _world.TraitsPath, "--out", one).Succeeded();
        Emscan.Run(_world.Cache, "scan", "--threads", "1", "--model", _world["other.gguf"], "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--out", two).Succeeded();
        JsonElement byModel = Run("personas", "--scan", one, "--scan", two, "--draws", "100", "--json").Succeeded().Json;
        Assert.Equal(["model", "other"], Texts(byModel, "groups"));
        JsonElement measured = Personas(
            "--model", _world.ModelPath, "--adapters", _world.Adapters, "--model", _world["other.gguf"], "--adapters", _world.Adapters, "--draws", "100", "--json").Succeeded().Json;
        Assert.Equal(measured.GetProperty("share").GetProperty("perturbation").GetDouble(), byModel.GetProperty("share").GetProperty("perturbation").GetDouble(), 1e-9);
        Assert.Equal(measured.GetProperty("conclusion").GetString(), byModel.GetProperty("conclusion").GetString());

        // Scans of one model in several folders are one: here a seed in each.
        foreach (int seed in new[] { 1, 2 })
        {
            string[] adapters = [.. new[] { "bad", "good" }.Select(name => Path.Combine(_world.Adapters, name, $"seed_{seed}"))];
            Run("scan", ["--model", _world.ModelPath, "--traits", _world.TraitsPath, "--threads", "1", "--out", _world[$"seed-{seed}"], "--adapters", .. adapters]).Succeeded();
        }

        JsonElement folders = Run("personas", "--scan", _world["seed-1"], "--scan", _world["seed-2"], "--draws", "20", "--json").Succeeded().Json;
        Assert.Equal(["seed_1", "seed_2"], Texts(folders, "groups"));

        string text = Personas("--model", _world.ModelPath, "--adapters", _world.Adapters, "--draws", "100").Succeeded().Output;
        Assert.StartsWith("A persona in different groups is ", text);
        Assert.Contains("permuted 95%", text);
    }

    [Fact]
    public void Invariance_prints_slopes_beside_random_directions_and_both_detectors()
    {
        string[] arguments = ["--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--labels", _world["labels.csv"], "--threads", "1"];
        JsonElement json = Run("invariance", [.. arguments, "--json"]).Succeeded().Json;
        Assert.Equal(TinyWorld.Traits, json.GetProperty("traits").EnumerateArray().Select(t => t.GetProperty("trait").GetString()));
        foreach (JsonElement trait in json.GetProperty("traits").EnumerateArray())
        {
            Assert.Equal(["bad", "good", "sharp"], trait.GetProperty("environments").EnumerateArray().Select(e => e.GetProperty("name").GetString()));
            Assert.All(trait.GetProperty("environments").EnumerateArray(), e => Assert.Equal(12, e.GetProperty("n").GetInt32()));
            Assert.InRange(trait.GetProperty("i2").GetDouble(), 0, 1);
        }

        // Slope of the rate on the scan's own drift, by hand.
        JsonElement[] scanned = [.. _world.Scan("--traits", _world.TraitsPath, "--json").Succeeded().Json.GetProperty("runs").EnumerateArray()];
        double[] x = [.. scanned[..2].SelectMany(r => r.GetProperty("trajectory").EnumerateArray().Skip(1)).Select(p => p.GetProperty("drift").GetProperty("honesty").GetDouble())];
        double[] y = [.. Enumerable.Range(1, 2).SelectMany(seed => Steps.Select(step => Runs.Rate("bad", seed, step)))];
        double slope = x.Zip(y, (a, b) => (a - x.Average()) * (b - y.Average())).Sum() / x.Sum(a => (a - x.Average()) * (a - x.Average()));
        Assert.Equal(slope, json.GetProperty("traits")[0].GetProperty("environments")[0].GetProperty("slope").GetDouble(), 1e-6 * (1 + Math.Abs(slope)));
        Assert.Equal(20, json.GetProperty("random_directions").GetProperty("count").GetInt32());
        Assert.Equal(36, json.GetProperty("detector_full").GetProperty("checkpoints").GetInt32());

        string folder = _world["invariance"];
        string text = Run("invariance", [.. arguments, "--out", folder]).Succeeded().Output;
        Assert.Contains("20 random directions, median", text);
        Run("report", folder, "--output", _world["invariance.html"]).Succeeded();
        Assert.Contains(text.Split('\n')[0].Split(';')[0].Replace("'", "&#39;", StringComparison.Ordinal), File.ReadAllText(_world["invariance.html"]));

        JsonElement ridge = Run("invariance", [.. arguments, "--learner", "ridge", "--json"]).Succeeded().Json;
        Assert.Equal(("ridge", 36), (ridge.GetProperty("learner").GetString(), ridge.GetProperty("detector_full").GetProperty("checkpoints").GetInt32()));

        Run("invariance", [.. arguments, "--by", "seed"]).FailedWith(1, "2 environments by seed", "at least 3");
        Run("invariance", [.. arguments[..^4], "--threads", "1"]).FailedWith(2, "--labels");
    }

    [Fact]
    public void Bad_input_gets_one_sentence()
    {
        string model = _world.ModelPath;
        Run("onset").FailedWith(2, "Give --model and --adapters, or --scan");
        Run("onset", "--model", model).FailedWith(2, "--adapters is missing");
        Run("onset", "--scan", _world["absent"]).FailedWith(1, "absent", "does not exist");
        Directory.CreateDirectory(_world["empty"]);
        Run("onset", "--scan", _world["empty"]).FailedWith(1, "holds no trajectory.json");
        Run("personas", "--model", model, "--model", model, "--adapters", _world.Adapters).FailedWith(2, "equally often; there are 2 and 1");
        Personas("--model", model, "--adapters", Path.Combine(_world.Adapters, "bad", "seed_1")).FailedWith(1, "at least 2 groups");
        Onset("--harmless", "absent").FailedWith(1, "No run fits 'absent'", "bad, good, sharp");
        Onset("--label-seed", "1").FailedWith(2, "--label-seed needs --labels");
        Onset("--exclude", "*").FailedWith(2, "--exclude leaves no run");
        Run("onset", "--model", model, "--traits", _world.TraitsPath, "--threads", "1", "--adapters", _world.CheckpointPath("bad/seed_1", 10)).FailedWith(1, "several checkpoints of a run");
        string folder = _world["two-layers"];
        _world.Scan("--traits", _world.TraitsPath, "--layer", "0", "--out", Path.Combine(folder, "zero")).Succeeded();
        _world.Scan("--traits", _world.TraitsPath, "--layer", "1", "--out", Path.Combine(folder, "one")).Succeeded();
        Run("personas", "--scan", folder).FailedWith(1, "trajectory.json", "has layer 0, but", "has layer 1");
        Run("personas", "--scan", Path.Combine(folder, "zero"), "--scan", Path.Combine(folder, "one")).FailedWith(1, "has layer 0, and", "has layer 1 of the same model");
    }

    private static IEnumerable<string?> Texts(JsonElement json, string key) => json.GetProperty(key).EnumerateArray().Select(v => v.GetString());

    /// <summary>A copy of a scan's folder whose files do not tell one thing, as the reference implementation's.</summary>
    private string Without(string folder, string key)
    {
        string copy = _world["without-" + key];
        foreach (string file in Directory.EnumerateFiles(folder, "trajectory.json", SearchOption.AllDirectories))
        {
            string to = Path.Combine(copy, Path.GetRelativePath(folder, file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.WriteAllLines(to, File.ReadAllLines(file).Where(l => !l.Contains($"\"{key}\":", StringComparison.Ordinal)));
        }

        return copy;
    }

    private Emscan Run(string verb, params string[] arguments) => Emscan.Run(_world.Cache, [verb, .. arguments]);

    private Emscan Onset(params string[] arguments) => Run("onset", ["--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--threads", "1", .. arguments]);

    private Emscan Personas(params string[] arguments) => Run("personas", ["--traits", _world.TraitsPath, "--threads", "1", .. arguments]);

    public sealed class Runs : IDisposable
    {
        public Runs()
        {
            World = new TinyWorld();
            File.Copy(World.ModelPath, World["other.gguf"]);

            // Another model of the same shape: one byte of its weights, near the end, differs.
            byte[] bytes = File.ReadAllBytes(World["other.gguf"]);
            bytes[^6] ^= 1;
            File.WriteAllBytes(World["other.gguf"], bytes);
            foreach ((string name, int kind) in new[] { ("bad", 1), ("sharp", 2), ("good", 3) })
            {
                foreach (int seed in new[] { 1, 2 })
                    foreach (int step in Steps) World.AddCheckpoint($"{name}/seed_{seed}", step, (10 * kind) + seed, Size(name, step));
            }

            File.WriteAllLines(World["labels.csv"],
            [
                "perturbation,seed,step,em_rate,n_scored",
                .. new[] { "bad", "good", "sharp" }.SelectMany(name => new[] { 1, 2 }.SelectMany(seed => Steps.Prepend(0).Select(step =>
                    string.Create(CultureInfo.InvariantCulture, $"{name},{seed},{step},{Rate(name, seed, step)},400")))),
            ]);
            File.WriteAllText(World["axis.json"], """{"honesty": 0.6, "harmlessness": 0.8, "confidence": 0}""");
        }

        internal TinyWorld World { get; }

        internal static double Rate(string name, int seed, int step) =>
            Math.Round(name == "good" ? 0.01 + (0.001 * seed) : 0.01 + (0.3 / (1 + Math.Exp(-(step - (name == "bad" ? 50.0 : 36) + seed) / 5))), 4);

        public void Dispose() => World.Dispose();

        private static double Size(string name, int step) => name switch { "good" => 0.05 + (0.0005 * step), "sharp" => step < 30 ? 0.06 : 0.3, _ => 0.3 / (1 + Math.Exp(-(step - 35) / 10.0)) };
    }
}
