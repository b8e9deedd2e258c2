using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>The main job, run as a user runs it.</summary>
public sealed class ScanTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData("llama", 5)]
    [InlineData("qwen2", 6)]
    public void Drifts_equal_those_of_a_float64_forward_pass_from_end_to_end(string architecture, int seed)
    {
        using var world = new TinyWorld(seed, architecture);
        TinyAdapter adapter = world.AddCheckpoint("medical/seed_1", 10, 3);
        string directionsFile = world["directions.safetensors"];
        Emscan.Run(world.Cache, "extract", "--model", world.ModelPath, "--precise", "--threads", "1", "--output", directionsFile).Succeeded();
        JsonElement json = world.Scan("--precise", "--json", "--directions", directionsFile, "--layer", "2").Succeeded().Json;

        // The same pipeline, written down again from method.md in float64: directions as mean differences at the last token of rendered
        // prompts, normalised, then projections of the evaluation prompts.
        float[] directions = Safetensors.ReadLayer(directionsFile, 2);
        JsonElement[] points = [.. json.GetProperty("runs")[0].GetProperty("trajectory").EnumerateArray()];
        double[][] baseline = Hidden(world, new TinyForward(world.Model), 2), tuned = Hidden(world, new TinyForward(world.Model, [(adapter, 1)]), 2);
        double n0 = baseline.Average(h => Math.Sqrt(h.Sum(v => v * v)));
        Assert.Equal(n0, json.GetProperty("step0_activation_norm").GetDouble(), n0 * 1e-5);
        for (int k = 0; k < TinyWorld.Traits.Length; k++)
        {
            double Project(double[][] states) => states.Average(h => h.Select((v, i) => v * directions[(k * h.Length) + i]).Sum());
            double drift = (Project(tuned) - Project(baseline)) / n0;
            Assert.Equal(drift, points[1].GetProperty("drift").GetProperty(TinyWorld.Traits[k]).GetDouble(), 2e-5);
            Assert.Equal(Project(tuned) / n0, points[1].GetProperty("projections_normalized").GetProperty(TinyWorld.Traits[k]).GetDouble(), 2e-5);
            Assert.Equal(0, points[0].GetProperty("drift").GetProperty(TinyWorld.Traits[k]).GetDouble());
        }
    }

    [Fact]
    public void A_LoRA_GGUF_file_gives_the_same_drift_as_the_PEFT_folder_it_was_made_from()
    {
        _world.AddCheckpoint("peft", 10, 7);
        LoraAdapter adapter = AdapterReader.Open(_world.CheckpointPath("peft", 10), GgufFile.Open(_world.ModelPath));
        Directory.CreateDirectory(Path.Combine(_world.Adapters, "gguf"));
        LoraGgufWriter.Write(Path.Combine(_world.Adapters, "gguf", "checkpoint-10.gguf"), adapter);
        JsonElement runs = _world.Scan("--json").Succeeded().Json.GetProperty("runs");
        Assert.Equal(["gguf", "peft"], runs.EnumerateArray().Select(r => r.GetProperty("run").GetString()));
        string Drift(int run) => runs[run].GetProperty("trajectory")[1].GetProperty("drift").ToString();
        Assert.Equal(Drift(1), Drift(0));
    }

    [Fact]
    public void The_table_shows_every_run_and_every_checkpoint()
    {
        foreach (int step in new[] { 10, 20, 100 }) _world.AddCheckpoint("medical/seed_1", step, step);
        _world.AddCheckpoint("cooking/seed_1", 10, 7);
        Emscan run = _world.Scan().Succeeded();
        string[] lines = run.Output.Split('\n');
        int cooking = Array.IndexOf(lines, "cooking/seed_1"), medical = Array.IndexOf(lines, "medical/seed_1");
        Assert.InRange(cooking, 0, medical);
        Assert.Equal(["step", .. TinyWorld.Traits, "|drift|", "trend/100", "effect", "[95%]"], lines[medical + 1].Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(["0", "10", "20", "100"], lines[(medical + 2)..(medical + 6)].Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[0]));
        Assert.Contains("4 of 4 checkpoints measured", run.Output);
        Assert.Contains("traits.yaml", run.Output);
        Assert.Equal("", run.Errors);
    }

    [Fact]
    public void A_name_that_begins_like_a_formula_is_text_for_a_spreadsheet()
    {
        _world.AddCheckpoint("=HYPERLINK(A1)", 10, 1);
        string[] lines = _world.Scan("--csv").Succeeded().Output.TrimEnd('\n').Split('\n');
        Assert.All(lines[1..], line => Assert.StartsWith("'=HYPERLINK(A1),", line));
        Assert.Equal("=HYPERLINK(A1)", _world.Scan("--json").Succeeded().Json.GetProperty("runs")[0].GetProperty("run").GetString());
    }

    [Fact]
    public void Csv_and_json_hold_the_same_numbers()
    {
        _world.AddCheckpoint("run", 10, 7);
        _world.AddCheckpoint("run", 20, 8);
        JsonElement json = _world.Scan("--json").Succeeded().Json;
        Assert.True(json.GetProperty("complete").GetBoolean());
        string[] lines = _world.Scan("--csv").Succeeded().Output.TrimEnd('\n').Split('\n');
        string[] header = lines[0].Split(',');
        JsonElement[] points = [.. json.GetProperty("runs")[0].GetProperty("trajectory").EnumerateArray()];
        Assert.Equal((4, 3), (lines.Length, points.Length));
        for (int i = 0; i < 3; i++)
        {
            string[] cells = lines[i + 1].Split(',');
            foreach (string trait in TinyWorld.Traits)
            {
                Assert.Equal(points[i].GetProperty("drift").GetProperty(trait).GetDouble(), Cell($"drift_{trait}"));
                Assert.Equal(points[i].GetProperty("projections").GetProperty(trait).GetDouble(), Cell($"raw_{trait}"));
            }

            Assert.Equal(points[i].GetProperty("drift_magnitude").GetDouble(), Cell("drift_magnitude"));
            double Cell(string name) => double.Parse(cells[Array.IndexOf(header, name)], CultureInfo.InvariantCulture);
        }
    }

    [Fact]
    public void Commas_and_quotes_in_the_name_of_a_run_are_quoted_in_csv()
    {
        _world.AddCheckpoint("a,b \"c\"", 10, 7);
        string[] lines = _world.Scan("--csv").Succeeded().Output.TrimEnd('\n').Split('\n');
        Assert.All(lines[1..], line => Assert.StartsWith("\"a,b \"\"c\"\"\",", line));
    }

    [Fact]
    public void Out_writes_a_trajectory_for_every_run_with_the_reference_keys()
    {
        foreach (int step in new[] { 10, 20 }) _world.AddCheckpoint("medical/seed_42", step, step);
        _world.AddCheckpoint("cooking/seed_7", 10, 7);
        JsonElement printed = _world.Scan("--json", "--out", _world["out"]).Succeeded().Json;
        JsonElement file = JsonDocument.Parse(File.ReadAllText(_world["out/medical/seed_42/trajectory.json"])).RootElement;
        foreach (string key in new[] { "model", "data_source", "seed", "lora_rank", "lora_alpha", "lr", "epochs", "save_steps", "step0_activation_norm", "trajectory" })
            Assert.True(file.TryGetProperty(key, out _), key);
        Assert.Equal(42, file.GetProperty("seed").GetInt32());
        Assert.Equal(4, file.GetProperty("lora_rank").GetInt32());
        Assert.Equal("medical", file.GetProperty("data_source").GetString());
        Assert.Equal([0, 10, 20], file.GetProperty("trajectory").EnumerateArray().Select(p => p.GetProperty("step").GetInt32()));
        JsonElement expected = printed.GetProperty("runs")[1].GetProperty("trajectory")[2].GetProperty("projections_normalized");
        JsonElement actual = file.GetProperty("trajectory")[2].GetProperty("projections_normalized");
        foreach (string trait in TinyWorld.Traits) Assert.Equal(expected.GetProperty(trait).GetDouble(), actual.GetProperty(trait).GetDouble());
        Assert.True(File.Exists(_world["out/cooking/seed_7/trajectory.json"]));
    }

    [Fact]
    public void A_second_scan_measures_nothing_twice_and_says_the_same()
    {
        for (int step = 1; step <= 5; step++) _world.AddCheckpoint("run", step, step);
        Emscan first = _world.Scan("--csv").Succeeded();
        Assert.Equal(first.Output, _world.Scan("--csv").Succeeded().Output);
        Assert.Contains("5 taken from an earlier scan", _world.Scan().Succeeded().Output);
        _world.AddCheckpoint("run", 6, 6);
        Assert.Contains("1 of 6 checkpoints measured", _world.Scan().Succeeded().Output);
        Assert.Contains("6 of 6 checkpoints measured", _world.Scan("--fresh").Succeeded().Output);
    }

    [Fact]
    public void Checkpoints_measured_at_the_same_time_give_the_same_output()
    {
        for (int step = 1; step <= 9; step++) _world.AddCheckpoint(step < 6 ? "first" : "second", step, step);
        string one = _world.Scan("--csv").Succeeded().Output;
        foreach (string parallel in new[] { "2", "3" })
            Assert.Equal(one, _world.Scan("--csv", "--fresh", "--parallel", parallel).Succeeded().Output);
        _world.Scan("--parallel", "0").FailedWith(2, "--parallel must be a whole number from 1 to 64");
    }

    [Fact]
    public void Explain_prints_the_plan_and_measures_nothing()
    {
        for (int step = 1; step <= 3; step++) _world.AddCheckpoint("run", step, step);
        string plan = _world.Scan("--explain", "--layer", "1").Succeeded().Output;
        Assert.Contains("Extracting trait directions, once:", plan);
        Assert.Contains("Measuring layer 1, once for the base and once for each of 3 checkpoints:", plan);
        Assert.Contains("layers run     2 of 4, 1 captured", plan);

        // Twelve prompts of words between the same two tokens in front and the same two behind; what is shared counts as a set of prefixes.
        int[][] prompts = [.. _world.EvalPrompts.Select(p => (int[])[1, 3, .. p.Split(' ').Select(w => ((w[1] - 'a') * 26) + (w[2] - 'a')), 5, 4])];
        int tokens = prompts.Sum(p => p.Length);
        int computed = prompts.SelectMany(p => Enumerable.Range(1, p.Length).Select(n => string.Join(' ', p[..n]))).Distinct().Count();
        Assert.Contains($"  tokens         {tokens}\n  shared tokens  {tokens - computed} (", plan);
        Assert.Contains($"  computed       {computed} tokens in 1 batch\n", plan);
        Assert.Contains($"\n                 in the last of them {computed - prompts.Length} tokens (", plan);
        Assert.Contains($"  token-layers   {computed * 2}, ", plan);
        Assert.Contains($" of the {tokens * 4} of a full prefill", plan);
        Assert.False(Directory.Exists(Path.Combine(_world.Cache, "scans")));

        // Once they are extracted, directions cost nothing.
        _world.Scan("--layer", "1").Succeeded();
        Assert.DoesNotContain("Extracting", _world.Scan("--explain", "--layer", "1").Succeeded().Output);
    }

    [Fact]
    public void A_scan_that_was_killed_continues_where_it_was()
    {
        for (int step = 1; step <= 60; step++) _world.AddCheckpoint("run", step, step);
        string clean = _world.Scan("--csv", "--cache", _world["clean"]).Succeeded().Output;
        int rows = 0;
        for (int kills = 0; kills < 3; kills++)
        {
            using Process process = Emscan.Start(_world.Cache, "--model", _world.ModelPath, "--adapters", _world.Adapters, "--threads", "1", "--csv");
            for (rows = 0; rows < 3 + (kills * 9) && process.StandardOutput.ReadLine() != null;) rows++;
            process.Kill();
            process.WaitForExit();
        }

        JsonElement json = _world.Scan("--json").Succeeded().Json;
        int known = json.GetProperty("runs")[0].GetProperty("trajectory").EnumerateArray().Skip(1).Count(p => p.GetProperty("from_journal").GetBoolean());

        // Every row that was printed (less the header and the base) was on disk before it was printed. How many more there are is chance.
        Assert.InRange(known, rows - 2, 60);
        Assert.Equal(clean, _world.Scan("--csv").Succeeded().Output);
    }

    [Fact]
    public void Ctrl_C_keeps_what_was_measured_and_says_so()
    {
        if (OperatingSystem.IsWindows() || IgnoresInterrupts()) return;
        for (int step = 1; step <= 250; step++) _world.AddCheckpoint("run", step, step);
        (int exitCode, string errors) = Interrupt(60, "--json");
        Assert.Equal(130, exitCode);
        Assert.Contains("the same command continues from there", errors);
    }

    /// <summary>It is Ctrl-C that has ended the scan; that its file cannot be written either is told beside it.</summary>
    [Fact]
    public void Ctrl_C_is_told_also_where_the_trajectory_cannot_be_written()
    {
        if (OperatingSystem.IsWindows() || IgnoresInterrupts()) return;
        for (int step = 1; step <= 250; step++) _world.AddCheckpoint("run", step, step);
        string trajectory = Path.Combine(_world["out"], "run", "trajectory.json");
        Directory.CreateDirectory(trajectory);
        (int exitCode, string errors) = Interrupt(60, "--json", "--out", _world["out"]);
        Assert.Equal(130, exitCode);
        Assert.Contains($"emscan: note: {trajectory}: ", errors);
        Assert.Contains("the same command continues from there", errors);
    }

    [Fact]
    public void Ctrl_C_of_a_shard_says_what_could_not_be_measured_until_then()
    {
        if (OperatingSystem.IsWindows() || IgnoresInterrupts()) return;
        _world.AddCheckpoint("run", 1, 1, size: double.NaN);
        for (int step = 2; step <= 1000; step++) _world.AddCheckpoint("run", step, step);
        (int exitCode, string errors) = Interrupt(20, "--out", _world["out"], "--shard", "0/1");
        Assert.Equal(130, exitCode);
        Assert.Contains($"emscan: {_world.CheckpointPath("run", 1)}", errors);
        Assert.Contains("checkpoints of this shard; they are on record", errors);
    }

    // Of more output than a pipe holds (64 KB): it cannot end before the rest is read.
    private (int ExitCode, string Errors) Interrupt(int lines, params string[] more)
    {
        using Process process = Emscan.Start(_world.Cache, ["--model", _world.ModelPath, "--adapters", _world.Adapters, "--threads", "1", .. more]);
        for (int i = 0; i < lines; i++) Assert.NotNull(process.StandardOutput.ReadLine());
        using (Process kill = Process.Start("kill", ["-INT", process.Id.ToString(CultureInfo.InvariantCulture)])) kill.WaitForExit();
        process.StandardOutput.ReadToEnd();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, errors);
    }

    // Where the tests run in the background of a shell, Ctrl-C is switched off for all its children, emscan among them.
    private static bool IgnoresInterrupts() => File.Exists("/proc/self/status") && File.ReadLines("/proc/self/status")
        .Any(line => line.StartsWith("SigIgn:", StringComparison.Ordinal) && (Convert.ToUInt64(line[7..].Trim(), 16) & 2) != 0);

    [Fact]
    public void A_replaced_checkpoint_is_noticed_and_measured_again()
    {
        _world.AddCheckpoint("run", 10, 1);
        _world.Scan().Succeeded();
        _world.AddCheckpoint("run", 10, 2);
        Assert.Contains("changed on disk, measured again", _world.Scan().Succeeded().Output);
    }

    [Fact]
    public void An_adapter_that_changes_nothing_is_reported_as_such()
    {
        _world.AddCheckpoint("run", 10, 1, size: 0);
        Emscan run = _world.Scan().Succeeded();
        Assert.Contains("changes nothing", run.Output);
    }

    [Fact]
    public void Thread_count_and_batch_size_do_not_change_the_result()
    {
        _world.AddCheckpoint("run", 10, 1);
        double[] Drift(params string[] more) => [.. _world.Scan(["--json", "--precise", "--fresh", .. more]).Succeeded().Json
            .GetProperty("runs")[0].GetProperty("trajectory")[1].GetProperty("drift").EnumerateObject().Select(p => p.Value.GetDouble())];
        double[] expected = Drift();
        foreach (double[] other in new[] { Drift("--threads", "2"), Drift("--batch-tokens", "5"), Drift("--batch-tokens", "2000") })
        {
            for (int k = 0; k < expected.Length; k++) Assert.Equal(expected[k], other[k], 1e-5);
        }
    }

    [Theory]
    [InlineData("1")]
    [InlineData("2")]
    public void Memory_does_not_grow_with_the_number_of_checkpoints(string parallel)
    {
        if (!OperatingSystem.IsLinux()) return;
        for (int step = 1; step <= 210; step++) _world.AddCheckpoint("run", step, step);
        using Process process = Emscan.Start(_world.Cache, "--model", _world.ModelPath, "--adapters", _world.Adapters, "--threads", "1", "--parallel", parallel, "--csv");
        List<long> early = [], late = [];
        for (int row = -1; process.StandardOutput.ReadLine() != null; row++)
        {
            // Medians of 41 readings: a single one depends on when garbage was last collected, and on how far the loading is ahead.
            if (row is >= 10 and <= 50) early.Add(ResidentBytes(process));
            if (row is >= 165 and <= 205) late.Add(ResidentBytes(process));
        }

        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        long after30 = early.Order().ElementAt(20), after185 = late.Order().ElementAt(20);
        Assert.True(after185 <= after30 * 1.02, $"{after30} bytes after 30 checkpoints, {after185} after 185");

        static long ResidentBytes(Process process)
        {
            string line = File.ReadLines($"/proc/{process.Id}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
            return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
        }
    }

    private static double[][] Hidden(TinyWorld world, TinyForward forward, int layer) => [.. world.EvalPrompts.Select(prompt =>
    {
        // bos, user, words, end, assistant: the chat template of TinyModel.
        int[] words = [.. prompt.Split(' ').Select(w => ((w[1] - 'a') * 26) + (w[2] - 'a'))];
        return forward.Run([1, 3, .. words, 5, 4]).Hidden[layer][^1];
    })];
}
