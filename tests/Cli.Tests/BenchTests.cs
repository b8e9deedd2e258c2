using System.Text.Json;

namespace EmScan.Cli.Tests;

/// <summary><c>emscan bench</c>: that it runs, agrees with itself and with the plan, and leaves nothing behind. Never how fast anything is.</summary>
public sealed class BenchTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void The_table_names_every_stage_and_says_that_the_adapter_is_synthetic()
    {
        Emscan run = Bench("--rank", "3").Succeeded();
        foreach (string line in new[] { "model", "device", "plan", "scan", "checkpoint", "  decode", "  capture", "  kernel", "  load", "  record", "ceiling", "prefill", "memory" })
            Assert.Contains(run.Output.Split('\n'), l => l.StartsWith(line + " ", StringComparison.Ordinal));
        Assert.Contains("synthetic, rank 3", run.Output);
        Assert.False(Directory.Exists(Path.Combine(_world.Cache, "scans")));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_world.Cache, "bench")));
    }

    [Fact]
    public void Json_holds_numbers_that_fit_together_and_the_figures_of_the_plan()
    {
        _world.AddCheckpoint("run", 10, 1);
        JsonElement json = Bench("--json", "--adapters", _world.Adapters, "--layer", "1", "--parallel", "2").Succeeded().Json;
        Assert.Equal(
            [
                "emscan String", "llama_cpp String", "model String", "model_description String", "device String", "numeric_mode String", "contexts Number",
                "threads_each Number", "adapter String", "layer Number", "layers Number", "prompts Number", "prompts_measured Number", "tokens Number",
                "tokens_shared Number", "share_of_prefill Number", "rounds Number", "checkpoints_per_minute Number", "tokens_per_second Number",
                "checkpoint_ms Object", "raw_prefill_ms Number", "ceiling_ms Number", "share_of_ceiling Number", "peak_bytes Number", "model_bytes Number",
                "processors Number", "processors_idle Number", "machine_was_busy True or False",
            ],
            json.EnumerateObject().Select(m => $"{m.Name} {(m.Value.ValueKind is JsonValueKind.True or JsonValueKind.False ? "True or False" : m.Value.ValueKind)}"));
        double Number(string name) => json.GetProperty(name).GetDouble();
        JsonElement stages = json.GetProperty("checkpoint_ms");
        Assert.All(stages.EnumerateObject(), stage => Assert.InRange(stage.Value.GetDouble(), 0, 60_000));
        Assert.Equal(["load", "decode", "capture", "kernel", "journal"], stages.EnumerateObject().Select(s => s.Name));
        double measuring = stages.GetProperty("decode").GetDouble() + stages.GetProperty("capture").GetDouble() + stages.GetProperty("kernel").GetDouble();
        Assert.Equal(Number("ceiling_ms"), Number("raw_prefill_ms") * Number("share_of_prefill"), 1e-6 * Number("ceiling_ms"));
        Assert.Equal(Number("share_of_ceiling"), Number("ceiling_ms") / measuring, 1e-6 * Number("share_of_ceiling"));
        Assert.Equal(Number("tokens_per_second"), Number("tokens") / measuring * 1000, 1e-6 * Number("tokens_per_second"));
        Assert.InRange(Number("checkpoints_per_minute"), double.Epsilon, double.MaxValue);
        Assert.InRange(Number("rounds"), 5, 101);
        Assert.Equal((2, 1), (json.GetProperty("contexts").GetInt32(), json.GetProperty("threads_each").GetInt32()));
        Assert.Equal(_world.CheckpointPath("run", 10), json.GetProperty("adapter").GetString());
        Assert.Equal(12, json.GetProperty("prompts").GetInt32());
        Assert.Equal((Number("tokens") - Number("tokens_shared")) / Number("tokens") * 2 / 4, Number("share_of_prefill"), 1e-9);
        Assert.InRange(Number("peak_bytes"), 1 << 20, 1L << 40);
    }

    [Fact]
    public void What_makes_no_sense_is_a_usage_error_and_a_bad_adapter_is_named()
    {
        Bench("--rank", "0").FailedWith(2, "--rank must be a whole number from 1 to 4096");
        Bench("--rounds", "4").FailedWith(2, "--rounds must be a whole number from 5 to 1000");
        _world.AddCheckpoint("run", 10, 1);
        File.WriteAllText(Path.Combine(_world.CheckpointPath("run", 10), "adapter_model.safetensors"), "damage");
        Bench("--adapters", _world.Adapters).FailedWith(1, "adapter_model.safetensors");
        Assert.False(Directory.Exists(Path.Combine(_world.Cache, "bench")) && Directory.EnumerateFileSystemEntries(Path.Combine(_world.Cache, "bench")).Any());
    }

    private Emscan Bench(params string[] more) => Emscan.Run(_world.Cache, ["bench", "--model", _world.ModelPath, "--threads", "1", .. more]);
}
