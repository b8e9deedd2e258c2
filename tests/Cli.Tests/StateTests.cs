using System.Text.Json;
using System.Text.Json.Nodes;

namespace EmScan.Cli.Tests;

/// <summary>No path through the program says more than it measured: states, summaries and exit codes on damaged copies of real adapters.</summary>
public sealed class StateTests(DemoWorld demo) : IClassFixture<DemoWorld>
{
    private static string[] Rows(Emscan run) => [.. run.Output.Split('\n').Where(l => l.StartsWith("  ", StringComparison.Ordinal) && !l.Contains("step") && !l.EndsWith("base", StringComparison.Ordinal))];

    private static JsonElement[] Points(JsonElement json) =>
        [.. json.GetProperty("runs").EnumerateArray().SelectMany(r => r.GetProperty("trajectory").EnumerateArray().Where(p => p.TryGetProperty("path", out _)))];

    private static string Name(JsonElement point) => Path.GetFileName(Path.GetDirectoryName(point.GetProperty("path").GetString()!))!;

    private static int Block(string tensor) => int.Parse(tensor.Split(".layers.")[1].Split('.')[0]);

    private static float[]? Only(string name, float[] values, Func<int, bool> blocks) => blocks(Block(name)) ? values : null;

    private static float[] Cleared(float[] values, int keep = 0)
    {
        values.AsSpan(keep).Clear();
        return values;
    }

    [Fact]
    public void What_the_layer_cannot_see_is_unknown_and_a_later_layer_is_offered()
    {
        demo.Add("late", "all/checkpoint-60", DemoWorld.Harmless, (n, v) => Only(n, v, b => b == 5), c => c["layers_to_transform"] = new JsonArray(5));
        demo.Add("late", "most/checkpoint-60", DemoWorld.Harmless, (n, v) => Only(n, v, b => b is 0 or 5), c => c["layers_to_transform"] = new JsonArray(0, 5));
        demo.Add("late", "half/checkpoint-60", DemoWorld.Harmless, (n, v) => Only(n, v, b => b >= 1), c => c["layers_to_transform"] = new JsonArray(1, 2, 3, 4, 5));
        Emscan table = demo.Scan("late").Succeeded();
        string[] rows = Rows(table);
        Assert.Contains("  unknown  0% visible  changes nothing up to this layer  (layer 3 sees nothing of it; all of it is in block 5)", rows[0]);
        Assert.Matches("  ok.*  [5-9][0-9]% visible$", rows[1]);
        Assert.Matches(@"  unknown.*  [1-4][0-9]% visible  \(layer 3 sees only [0-9.]+% of it, the rest is in block 5\)$", rows[2]);
        Assert.Contains("3 of 3 checkpoints measured", table.Output);
        Assert.Contains(", 2 unknown.", table.Output);
        Assert.Contains("2 checkpoints change mostly what the measured layer cannot see: --layer 5 measures where most of them shows", table.Output);
        Assert.Contains("This is no all-clear: 1 of 3 checkpoints were measured and judged, none of them dangerous; 2 unknown.", table.Output);
        Assert.DoesNotContain("No checkpoint is dangerous", table.Output);
        Assert.Equal(3, demo.Scan("late", "--strict").ExitCode);

        JsonElement json = demo.Scan("late", "--json").Succeeded().Json;
        Assert.False(json.GetProperty("complete").GetBoolean());
        Dictionary<string, JsonElement> points = Points(json).ToDictionary(Name);
        Assert.Equal((0.0, "unknown", "not-visible"), Facts(points["all"]));
        Assert.Equal(("unknown", "mostly-hidden"), (Facts(points["most"]).State, Facts(points["most"]).Doubt));
        Assert.Equal(("ok", null), (Facts(points["half"]).State, Facts(points["half"]).Doubt));
        Assert.True(points["most"].GetProperty("verdict").GetProperty("unknown").GetBoolean());
        JsonElement summary = json.GetProperty("summary");
        Assert.Equal((3, 3, 1, 2, 0), (Count("found"), Count("measured"), Count("ok"), Count("unknown"), Count("failed")));

        string[] csv = demo.Scan("late", "--csv").Succeeded().Output.TrimEnd('\n').Split('\n');
        Assert.Contains(",error,state,visible_share,doubts", csv[0]);
        Assert.Contains(",unknown,0,", csv[2]);
        Assert.Contains(",base,,", csv[1]);

        int Count(string key) => summary.GetProperty(key).GetInt32();
        static (double? Share, string? State, string? Doubt) Facts(JsonElement p) => (
            p.GetProperty("visible_share").GetDouble(), p.GetProperty("state").GetString(),
            p.GetProperty("doubts").EnumerateArray().Select(d => d.GetProperty("code").GetString()).FirstOrDefault());
    }

    [Fact]
    public void Incomplete_and_empty_adapters_are_unknown_with_the_reason()
    {
        bool IsB(string name) => name.Contains("lora_B", StringComparison.Ordinal);
        demo.Add("doubts", "zero_rows/checkpoint-60", DemoWorld.Harmless, (n, v) => IsB(n) ? Cleared(v, v.Length / 8) : v);
        demo.Add("doubts", "stage/checkpoint-60", DemoWorld.Harmless, (n, v) => Only(n, v, b => b < 3));
        demo.Add("doubts", "module/checkpoint-60", DemoWorld.Harmless, (n, v) => n.Contains("v_proj", StringComparison.Ordinal) ? null : v);
        demo.Add("doubts", "all_linear/checkpoint-60", DemoWorld.Harmless, config: c => c["target_modules"] = "all-linear");
        demo.Add("doubts", "pattern/checkpoint-60", DemoWorld.Harmless, (n, v) => Only(n, v, b => b != 0), c => c["target_modules"] = @".*\.layers\.\d\.self_attn\.(q|v)_proj");
        demo.Add("doubts", "alpha/checkpoint-60", DemoWorld.Harmless, config: c => c["lora_alpha"] = 0);
        demo.Add("doubts", "untrained/checkpoint-60", DemoWorld.Harmless, (n, v) => IsB(n) ? Cleared(v) : v);
        demo.Add("doubts", "other_rank/checkpoint-60", DemoWorld.Harmless, (n, v) => IsB(n) && Block(n) < 2 ? Cleared(v) : v);
        demo.Add("doubts", "beginning/checkpoint-1", DemoWorld.Harmless, (n, v) => IsB(n) ? Cleared(v) : v);
        demo.Add("doubts", "run/checkpoint-60", DemoWorld.Harmless);
        demo.Add("doubts", "run/checkpoint-70", DemoWorld.Harmless, (n, v) => Only(n, v, b => b != 0), c => c["layers_to_transform"] = new JsonArray(1, 2, 3, 4, 5));
        Emscan scan = demo.Scan("doubts", "--json").Succeeded();
        Dictionary<string, (string? State, string? Code, string? Text)> points = Points(scan.Json).ToDictionary(
            p => $"{Name(p)} {p.GetProperty("step")}",
            p => (p.GetProperty("state").GetString(), p.GetProperty("doubts").EnumerateArray().Select(d => d.GetProperty("code").GetString()).FirstOrDefault(),
                p.GetProperty("doubts").EnumerateArray().Select(d => d.GetProperty("text").GetString()).FirstOrDefault()));
        (string, string, string)[] expected =
        [
            ("zero_rows 60", "zero-rows", "87.5% of the rows of lora_B are exactly zero in every module; shards of other ranks were not saved"),
            ("stage 60", "missing-modules", "the file holds nothing for blocks 3 to 5, which target_modules in adapter_config.json names"),
            ("module 60", "missing-modules", "no v_proj in blocks 0 to 5"),
            ("all_linear 60", "missing-modules", "no k_proj, o_proj, gate_proj, up_proj, down_proj in blocks 0 to 5"),
            ("pattern 60", "missing-modules", "nothing for block 0"),
            ("alpha 60", "zero-alpha", "lora_alpha is 0"),
            ("untrained 60", "nothing-trained", "every lora_B is exactly zero at step 60"),
            ("other_rank 60", "untrained-modules", "lora_B is exactly zero in 4 of 12 modules (blocks 0 and 1)"),
            ("run 70", "fewer-modules-than-its-run", "lacks 2 modules that other checkpoints of its run have, layers.0.self_attn."),
        ];
        foreach ((string name, string code, string text) in expected)
        {
            Assert.Equal(("unknown", code), (points[name].State, points[name].Code));
            Assert.Contains(text, points[name].Text);
        }

        Assert.Equal("unchanged", points["beginning 1"].State);
        Assert.Equal("ok", points["run 60"].State);
        Emscan table = demo.Scan("doubts").Succeeded();
        Assert.Contains($", 11 taken from an earlier scan, {expected.Length} unknown, 1 unchanged.", table.Output);
        Assert.Contains("  unchanged  changes nothing up to this layer", table.Output);
        Assert.Equal(3, demo.Scan("doubts", "--strict").ExitCode);
    }

    [Fact]
    public void A_doubt_does_not_take_an_alarm_back()
    {
        demo.Add("alarm", "run/checkpoint-120", DemoWorld.Dangerous, (n, v) => Only(n, v, b => b < 5));
        Emscan scan = demo.Scan("alarm");
        Assert.True(scan.ExitCode == 3, scan.Output);
        Assert.Matches(@"  DANGEROUS.*\(incomplete: the file holds nothing for block 5", Rows(scan)[0]);
        Assert.Contains("DANGEROUS: run, first at step 120 (1 checkpoint).", scan.Output);
    }

    [Fact]
    public void The_all_clear_is_kept_where_everything_was_measured_and_judged_and_withheld_otherwise()
    {
        demo.Add("clear", "run/checkpoint-120", DemoWorld.Harmless);
        demo.Add("clear", "run/checkpoint-1", DemoWorld.Harmless, (n, v) => n.Contains("lora_B", StringComparison.Ordinal) ? Cleared(v) : v);
        Emscan clear = demo.Scan("clear", "--strict").Succeeded();
        Assert.Contains("No checkpoint is dangerous.", clear.Output);
        Assert.Contains(", 1 unchanged.", clear.Output);
        Assert.True(demo.Scan("clear", "--json").Succeeded().Json.GetProperty("complete").GetBoolean());

        demo.Add("clear", "broken/checkpoint-120", DemoWorld.Harmless, (_, v) => v.Length > 0 ? [float.NaN, .. v[1..]] : v);
        Emscan mixed = demo.Scan("clear").FailedWith(1, "NaN");
        Assert.Contains("1 not measured, 1 unchanged.", mixed.Output);
        Assert.Contains("This is no all-clear: 2 of 3 checkpoints were measured and judged, none of them dangerous; 1 could not be measured or judged.", mixed.Output);
        Assert.DoesNotContain("No checkpoint is dangerous", mixed.Output);
        JsonElement json = demo.Scan("clear", "--json").Json;
        Assert.False(json.GetProperty("complete").GetBoolean());
        Assert.Equal((3, 1), (json.GetProperty("summary").GetProperty("found").GetInt32(), json.GetProperty("summary").GetProperty("failed").GetInt32()));
    }

    [Fact]
    public void Zero_lora_B_of_a_vision_tower_is_left_out_and_anything_else_is_refused_by_name()
    {
        const string Tower = "base_model.model.model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.";
        float[] a = [.. Enumerable.Repeat(0.5f, 4 * 8)], zero = new float[8 * 4], trained = [.. Enumerable.Repeat(0.5f, 8 * 4)];
        void Add(string set, float[] b) => demo.Add(
            set, "run/checkpoint-120", DemoWorld.Harmless, config: c => c["target_modules"] = new JsonArray("q_proj", "v_proj"),
            more: [(Tower + "lora_A.weight", [4, 8], a), (Tower + "lora_B.weight", [8, 4], b)]);
        demo.Add("text", "run/checkpoint-120", DemoWorld.Harmless);
        Add("tower", zero);
        Emscan text = demo.Scan("text", "--csv").Succeeded(), tower = demo.Scan("tower", "--csv").Succeeded();
        static string[] Numbers(Emscan run) => run.Output.TrimEnd('\n').Split('\n')[^1].Split(',')[3..];
        Assert.Equal(Numbers(text), Numbers(tower));
        Assert.Contains("1 modules that the model does not have, model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj for one", tower.Errors);
        Add("trained_tower", trained);
        demo.Scan("trained_tower").FailedWith(1, "vision_tower", "is no part of the language model");
    }

    [Fact]
    public void Another_base_model_is_named_once_before_anything_is_computed()
    {
        demo.Add("bases", "one/checkpoint-120", DemoWorld.Harmless);
        foreach (int step in new[] { 10, 20, 30 })
            demo.Add("bases", $"two/checkpoint-{step}", DemoWorld.Harmless, config: c => c["base_model_name_or_path"] = "someone/other-llama-7b");
        Emscan several = demo.Scan("bases", "--json").Succeeded();
        Assert.Contains("3 checkpoints, first two step 10, by its own account trained on someone/other-llama-7b; the model is model.gguf (emscan-organism-llama)", several.Errors);
        Assert.Single(several.Errors.Split('\n'), l => l.Contains("other-llama-7b", StringComparison.Ordinal));
        Assert.Equal(["ok", "unknown", "unknown", "unknown"], Points(several.Json).Select(p => p.GetProperty("state").GetString()));

        // Alone, it may be a name for the same model: that is said, and no more.
        demo.Add("base", "two/checkpoint-120", DemoWorld.Harmless, config: c => c["base_model_name_or_path"] = "someone/other-llama-7b");
        Emscan alone = demo.Scan("base").Succeeded();
        Assert.Contains("someone/other-llama-7b", alone.Errors);
        Assert.Contains("No checkpoint is dangerous.", alone.Output);

        foreach (string quiet in new[] { "./out/merged", "/models/llama", "EmScan/Emscan_Organism-Llama-Q8_0.gguf", "" })
        {
            demo.Add("quiet", "run/checkpoint-120", DemoWorld.Harmless, config: c => c["base_model_name_or_path"] = quiet);
            Assert.Equal("", demo.Scan("quiet", "--explain").Succeeded().Errors);
        }

        demo.Add("revisions", "a/checkpoint-120", DemoWorld.Harmless, config: c => c["revision"] = "abc");
        demo.Add("revisions", "b/checkpoint-120", DemoWorld.Harmless, config: c => c["revision"] = "def");
        Assert.Contains("different revisions of emscan-organism-llama: abc, def", demo.Scan("revisions", "--explain").Succeeded().Errors);
    }

    [Fact]
    public void Two_hundred_adapters_of_another_width_are_one_sentence_and_nothing_is_computed()
    {
        using var other = new TinyWorld();
        for (int step = 1; step <= 200; step++) other.AddCheckpoint("run", step, step);
        Emscan table = Emscan.Run(demo["untouched"], "--model", DemoWorld.Model, "--adapters", other.Adapters).FailedWith(
            1, "200 checkpoints cannot be measured for one reason, first run step 1: ", "the adapter was trained for another model");
        Assert.Equal("", table.Output);
        Assert.Empty(Directory.GetFiles(demo["untouched"], "*", SearchOption.AllDirectories));
        Emscan json = Emscan.Run(demo.Cache, "--model", DemoWorld.Model, "--adapters", other.Adapters, "--json").FailedWith(1, "200 checkpoints");
        Assert.False(json.Json.GetProperty("complete").GetBoolean());
        Assert.Equal(200, json.Json.GetProperty("summary").GetProperty("failed").GetInt32());
        Assert.All(Points(json.Json), p => Assert.Equal("failed", p.GetProperty("state").GetString()));
    }
}

/// <summary>A calibration that its own validation finds no better than chance.</summary>
[Collection(nameof(LabelledWorld))]
public sealed class WeakCalibrationTests(LabelledWorld world)
{
    [Fact]
    public void It_is_not_called_usable_ends_with_code_4_and_a_scan_by_it_says_so()
    {
        // Rates dealt out by chance: there is nothing to learn.
        string[] lines = File.ReadAllLines(world.LabelsOf("llama"));
        string[] header = lines[0].Split(',');
        var random = new Random(7);
        string labels = world["shuffled.csv"], calibration = world["weak.json"];
        string[][] rows = [.. lines[1..].Select(l => l.Split(','))];
        string[] rates = [.. rows.Select(r => r[Array.IndexOf(header, "em_rate")])];
        random.Shuffle(rates);
        File.WriteAllLines(labels, ["perturbation,seed,step,em_rate", .. rows.Select((r, i) =>
            $"{r[Array.IndexOf(header, "perturbation")]},{r[Array.IndexOf(header, "seed")]},{r[Array.IndexOf(header, "step")]},{rates[i]}")]);
        Emscan made = Emscan.Run(world.Cache, ["calibrate", "--output", calibration, .. world.Labelled("llama", labels)]);
        Assert.True(made.ExitCode == 4, made.Output + made.Errors);
        Assert.Contains("NOT USABLE: this calibration is no better than chance on what it had not seen (leave one ", made.Output);
        Assert.DoesNotContain("Verdicts hold for finetunings like these", made.Output);

        Emscan scan = world.Scan("gsm8k", "--calibration", calibration);
        Assert.Contains("weak.json is no better than chance", scan.Errors);
        Assert.Contains("; NOT USABLE: it is no better than chance", scan.Output);
        Assert.Contains("The calibration is no better than chance", scan.Output);
        Assert.DoesNotContain("No checkpoint is dangerous", scan.Output);
    }
}
