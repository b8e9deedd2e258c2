using System.Text;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>Bad input: one sentence that names the file, exit code 1 or 2, no stack trace, no abort, and finished checkpoints are kept.</summary>
public sealed class HostileInputTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public HostileInputTests()
    {
        _world.AddCheckpoint("run", 10, 1);
        _world.AddCheckpoint("run", 20, 2);
        _world.AddCheckpoint("run", 30, 3);
    }

    public void Dispose() => _world.Dispose();

    private string Broken => _world.CheckpointPath("run", 20);
    private string Weights => Path.Combine(Broken, "adapter_model.safetensors");
    private string Config => Path.Combine(Broken, "adapter_config.json");

    public static TheoryData<string> AdapterDamages =>
    [
        "truncated", "empty", "header claims 100 GB", "no weights", "no config", "config is not JSON", "config is a list", "NaN", "infinity", "wrong rank",
        "wrong model", "unknown tensor", "DoRA", "modules_to_save", "pickle", "rank zero", "other peft type",
    ];

    [Theory]
    [MemberData(nameof(AdapterDamages))]
    public void A_damaged_adapter_is_named_and_the_others_are_measured(string damage)
    {
        DamageAdapter(damage);

        // What changed a moment ago may still be on its way; this has been damaged for long.
        foreach (string path in (string[])[.. Directory.GetFiles(Broken), Broken]) File.SetLastWriteTimeUtc(path, DateTime.UtcNow.AddHours(-1));
        Emscan run = _world.Scan().FailedWith(1, Broken);
        Assert.Contains("2 of 3 checkpoints measured", run.Output);
        Assert.Contains("1 not measured", run.Output);
        Assert.Contains("2 taken from an earlier scan", _world.Scan().Output);
    }

    private void DamageAdapter(string damage)
    {
        byte[] bytes = File.ReadAllBytes(Weights);
        switch (damage)
        {
            case "truncated":
                File.WriteAllBytes(Weights, bytes[..(bytes.Length / 2)]);
                break;
            case "empty":
                File.WriteAllBytes(Weights, []);
                break;
            case "header claims 100 GB":
                BitConverter.GetBytes(100L << 30).CopyTo(bytes, 0);
                File.WriteAllBytes(Weights, bytes);
                break;
            case "no weights":
                File.Delete(Weights);
                break;
            case "no config":
                File.Delete(Config);
                break;
            case "config is not JSON":
                File.WriteAllText(Config, "{ \"r\": ");
                break;
            case "config is a list":
                File.WriteAllText(Config, "[1]");
                break;
            case "NaN":
            case "infinity":
                new TinyAdapter(_world.Model, 2) { Damage = (name, data) => data[0] = name.Contains(".2.self_attn.v_proj.lora_B") ? damage == "NaN" ? float.NaN : float.PositiveInfinity : data[0] }.Write(Broken);
                break;
            case "wrong rank":
                ReplaceInConfig("\"r\": 4", "\"r\": 8");
                break;
            case "rank zero":
                ReplaceInConfig("\"r\": 4", "\"r\": 0");
                break;
            case "wrong model":
                new TinyAdapter(new TinyModel(1, hidden: 64), 2).Write(Broken);
                break;
            case "unknown tensor":
                ReplaceInWeights("layers.0.self_attn.q_proj", "layers.0.self_attn.x_proj");
                break;
            case "DoRA":
                ReplaceInConfig("\"bias\": \"none\"", "\"bias\": \"none\", \"use_dora\": true");
                break;
            case "modules_to_save":
                ReplaceInConfig("\"bias\": \"none\"", "\"bias\": \"none\", \"modules_to_save\": [\"lm_head\"]");
                ReplaceInWeights("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "base_model.model.lm_head.modules_to_save.default.weightxxxxxxxx");
                break;
            case "pickle":
                File.Move(Weights, Path.Combine(Broken, "adapter_model.bin"));
                break;
            case "other peft type":
                ReplaceInConfig("\"LORA\"", "\"IA3\"");
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(damage), damage, null);
        }
    }

    [Theory]
    [InlineData("truncated")]
    [InlineData("garbage")]
    [InlineData("empty")]
    [InlineData("is a folder")]
    [InlineData("missing")]
    [InlineData("header claims 100 GB")]
    [InlineData("duplicate vocabulary")]
    [InlineData("no template")]
    [InlineData("template does not parse")]
    [InlineData("an adapter")]
    public void A_damaged_model_is_refused(string damage)
    {
        byte[] bytes = File.ReadAllBytes(_world.ModelPath);
        switch (damage)
        {
            case "truncated":
                File.WriteAllBytes(_world.ModelPath, bytes[..(bytes.Length * 3 / 4)]);
                break;
            case "garbage":
                new Random(1).NextBytes(bytes);
                File.WriteAllBytes(_world.ModelPath, bytes);
                break;
            case "empty":
                File.WriteAllBytes(_world.ModelPath, []);
                break;
            case "is a folder":
                File.Delete(_world.ModelPath);
                Directory.CreateDirectory(_world.ModelPath);
                break;
            case "missing":
                File.Delete(_world.ModelPath);
                break;
            case "header claims 100 GB":
                BitConverter.GetBytes(100L << 30).CopyTo(bytes, 16);
                File.WriteAllBytes(_world.ModelPath, bytes);
                break;
            case "duplicate vocabulary":
                byte[] word = Encoding.UTF8.GetBytes(TinyModel.Word(20)), other = Encoding.UTF8.GetBytes(TinyModel.Word(21));
                other.CopyTo(bytes, bytes.AsSpan().IndexOf(word));
                File.WriteAllBytes(_world.ModelPath, bytes);
                break;
            case "no template":
                new TinyModel(1) { ChatTemplate = null }.WriteGguf(_world.ModelPath);
                break;
            case "template does not parse":
                new TinyModel(1) { ChatTemplate = "{% for m in messages %}{{ m.content }}" }.WriteGguf(_world.ModelPath);
                break;
            case "an adapter":
                using (var writer = new GgufTestWriter())
                {
                    writer.Text("general.type", "adapter");
                    writer.Text("general.architecture", "llama");
                    writer.Write(_world.ModelPath);
                }

                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(damage), damage, null);
        }

        _world.Scan().FailedWith(1, _world.ModelPath);
    }

    [Fact]
    public void Random_bit_flips_in_a_models_header_never_take_the_program_down()
    {
        byte[] original = File.ReadAllBytes(_world.ModelPath);
        int header = original.AsSpan().IndexOf("token_embd.weight"u8) + 200;
        var random = new Random(12);
        for (int i = 0; i < 25; i++)
        {
            byte[] bytes = [.. original];
            for (int flips = 0; flips < 3; flips++) bytes[random.Next(header)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(_world.ModelPath, bytes);
            Emscan run = Emscan.Run(_world[$"cache{i}"], "--model", _world.ModelPath, "--adapters", _world.CheckpointPath("run", 10), "--threads", "1");

            // A flip may be harmless (in a name, or in a word nobody uses).
            if (run.ExitCode != 0) run.FailedWith(1);
        }
    }

    [Theory]
    [InlineData("traits: [", "traits.yaml")]
    [InlineData("traits:\n  a:\n    positive_system_prompts: [x]\n", "traits.yaml")]
    [InlineData("questions: [a]\n", "traits.yaml")]
    public void A_damaged_trait_set_is_refused(string yaml, string name)
    {
        File.WriteAllText(_world.TraitsPath, yaml);
        _world.Scan().FailedWith(1, name);
    }

    [Fact]
    public void An_empty_folder_of_adapters_is_refused()
    {
        Directory.CreateDirectory(_world["nothing"]);
        Emscan.Run(_world.Cache, "--model", _world.ModelPath, "--adapters", _world["nothing"]).FailedWith(1, _world["nothing"], "no LoRA checkpoint");
    }

    [Theory]
    [InlineData("--traits")]
    [InlineData("--unknown", "x")]
    [InlineData("--layer", "two")]
    [InlineData("--threads", "0")]
    [InlineData("--json", "--csv")]
    [InlineData("--method", "magic")]
    [InlineData("--out", "")]
    public void A_wrong_command_line_ends_with_code_2(params string[] more)
    {
        Emscan run = _world.Scan(more);
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("emscan: ", run.Errors);
        Assert.DoesNotContain("   at ", run.Errors);
    }

    [Fact]
    public void A_kernel_that_does_not_exist_is_a_wrong_command_line() =>
        Emscan.RunProgram("emscan", _world.Cache, new() { ["EMSCAN_KERNEL"] = "magic" }, "--model", _world.ModelPath, "--adapters", _world.Adapters, "--threads", "1")
            .FailedWith(2, "EMSCAN_KERNEL", "reference");

    [Theory]
    [InlineData("reference")]
    [InlineData("vector128")]
    public void Every_kernel_gives_the_same_drift(string kernel)
    {
        string[] arguments = ["--model", _world.ModelPath, "--adapters", _world.Adapters, "--threads", "1", "--json", "--fresh"];
        Emscan forced = Emscan.RunProgram("emscan", _world.Cache, new() { ["EMSCAN_KERNEL"] = kernel }, arguments).Succeeded();
        double Drift(Emscan run) => run.Json.GetProperty("runs")[0].GetProperty("trajectory")[1].GetProperty("drift_magnitude").GetDouble();
        Assert.Equal(Drift(Emscan.Run(_world.Cache, arguments).Succeeded()), Drift(forced), 1e-6);
    }

    [Theory]
    [InlineData("4", "layers 0 to 3")]
    [InlineData("-1", "--layer must be a whole number from 0 to")]
    public void A_layer_that_does_not_exist_is_a_usage_error(string layer, string allowed) => Assert.Contains(allowed, Scanned(2, "--layer", layer).Errors);

    private Emscan Scanned(int exitCode, params string[] more)
    {
        Emscan run = _world.Scan(more);
        Assert.Equal(exitCode, run.ExitCode);
        return run;
    }

    [Fact]
    public void Directions_of_another_model_are_refused()
    {
        using var other = new TinyWorld(2);
        new TinyModel(2, hidden: 64).WriteGguf(other.ModelPath);
        Emscan.Run(other.Cache, "extract", "--model", other.ModelPath, "--threads", "1", "--output", other["d.safetensors"]).Succeeded();
        _world.Scan("--directions", other["d.safetensors"]).FailedWith(1, "d.safetensors", "hidden size 64");
    }

    [Fact]
    public void A_missing_llama_folder_is_one_sentence() =>
        Emscan.Run(_world.Cache, "inspect", "--llama", _world["nowhere"]).FailedWith(1, _world["nowhere"]);

    [Fact]
    public void A_llama_library_that_cannot_be_loaded_is_one_sentence()
    {
        Directory.CreateDirectory(_world["llama"]);
        Emscan.Run(_world.Cache, "inspect", "--llama", _world["llama"]).FailedWith(1, "is missing");
        foreach (string name in new[] { "ggml-base", "ggml", "llama" }) File.WriteAllText(_world[$"llama/lib{name}.so"], "not a library");
        if (OperatingSystem.IsLinux()) Emscan.Run(_world.Cache, "inspect", "--llama", _world["llama"]).FailedWith(1, "libggml-base.so", "cannot be loaded");
    }

    [Fact]
    public void An_accelerator_that_is_not_there_is_one_sentence() => _world.Scan("--device", "CUDA7").FailedWith(1, "CUDA7");

    private void ReplaceInConfig(string from, string to)
    {
        string text = File.ReadAllText(Config);
        Assert.Contains(from, text);
        File.WriteAllText(Config, text.Replace(from, to, StringComparison.Ordinal));
    }

    /// <summary>Replaces a tensor name by one of the same length, so that the offsets stay right.</summary>
    private void ReplaceInWeights(string from, string to)
    {
        byte[] bytes = File.ReadAllBytes(Weights);
        int headerLength = (int)BitConverter.ToInt64(bytes);
        string header = Encoding.UTF8.GetString(bytes, 8, headerLength);
        Assert.Contains(from, header);
        byte[] changed = Encoding.UTF8.GetBytes(header.Replace(from, to, StringComparison.Ordinal).TrimEnd());
        File.WriteAllBytes(Weights, [.. BitConverter.GetBytes((long)changed.Length), .. changed, .. bytes[(8 + headerLength)..]]);
    }
}
