using System.Text.Json;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>
/// llama.cpp ends the process on adapters that do not fit. A thousand damaged ones, in the program as a user runs it: each gives a row with
/// a sentence or a measurement, and the run ends as runs end.
/// </summary>
public sealed class HostileAdapterTests
{
    private const int Each = 500;

    [Fact]
    public void A_thousand_damaged_adapters_do_not_end_the_process()
    {
        using var world = new TinyWorld(41);
        var random = new Random(20261128);
        world.AddCheckpoint("peft", 0, 1);
        string peft = world.CheckpointPath("peft", 0);
        byte[] weights = File.ReadAllBytes(Path.Combine(peft, "adapter_model.safetensors"));
        byte[] config = File.ReadAllBytes(Path.Combine(peft, "adapter_config.json"));
        using var gguf = new MemoryStream();
        LoraGgufWriter.Write(gguf, AdapterReader.Open(peft, GgufFile.Open(world.ModelPath)));
        byte[] whole = gguf.ToArray();
        for (int i = 1; i <= Each; i++)
        {
            string folder = Directory.CreateDirectory(world.CheckpointPath("peft", i)).FullName;
            bool inConfig = random.Next(3) == 0;
            File.WriteAllBytes(Path.Combine(folder, "adapter_model.safetensors"), inConfig ? weights : AdapterDamage.Of(weights, random));
            File.WriteAllBytes(Path.Combine(folder, "adapter_config.json"), inConfig ? AdapterDamage.Of(config, random) : config);
            folder = Directory.CreateDirectory(Path.Combine(world.Adapters, "gguf")).FullName;
            File.WriteAllBytes(Path.Combine(folder, $"adapter-{i}.gguf"), AdapterDamage.Of(whole, random));
        }

        Emscan run = world.Scan("--layer", "1", "--json");
        Assert.True(run.ExitCode is 0 or 1 or 3, $"exit code {run.ExitCode}\n{run.Errors}");
        Assert.DoesNotContain("Unhandled", run.Errors);
        Assert.DoesNotContain("   at ", run.Output + run.Errors);

        // What was damaged only where it says nothing (a weight, a comment) is measured; what looks cut off is skipped and counted; the rest
        // is named.
        JsonElement[] rows = [.. run.Json.GetProperty("runs").EnumerateArray().SelectMany(r => r.GetProperty("trajectory").EnumerateArray())];
        int refused = rows.Count(row => row.TryGetProperty("error", out _)), measured = rows.Length - refused;
        Assert.InRange(measured, 100, Each);
        Assert.InRange(refused, 300, 2 * Each);
    }
}
