using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace EmScan.Cli.Tests;

/// <summary>What people really have lying about: no input of theirs loses a step, or ends in an all-clear that was not measured.</summary>
public sealed class FieldTests(DemoWorld demo) : IClassFixture<DemoWorld>
{
    private const string Weights = "adapter_model.safetensors";

    [Fact]
    public void What_is_no_adapter_in_the_place_of_one_forbids_the_all_clear_and_is_named()
    {
        // Names that no word but a number makes a checkpoint, adapters under names of their own, and what never arrived whole.
        const string Set = "barren";
        demo.Add(Set, "good/checkpoint-60", DemoWorld.Harmless);
        (Action<string> Make, string Said)[] cases =
        [
            (run => Files(Set, $"{run}/step_60", "optimizer.pt", "scheduler.pt", "rng_state.pth"), "step_60 holds the state of a training (optimizer, scheduler, log) and no adapter"),
            (run => Files(Set, $"{run}/epoch_3", "optimizer.bin", "random_states_0.pkl"), "epoch_3 holds the state of a training"),
            (run => Rename(Set, run, "adapter.safetensors"), "adapter.safetensors holds LoRA tensors, but is not named as PEFT names it"),
            (run => Rename(Set, $"{run}/checkpoint-60", "adapter_model-00001-of-00002.safetensors"), "is a part of an adapter that is split over several files"),
            (run => Files(Set, run, "adapter_0.pt", "adapter_config.json"), "adapter_0.pt looks like an adapter in a Python pickle"),
            (run => Files(Set, run, "epoch=1-step=80.ckpt"), "epoch=1-step=80.ckpt looks like an adapter in a Python pickle"),
            (run => Rename(Set, $"{run}/checkpoint-60", $"{Weights}.6eF94AbC"), $"{Weights}.6eF94AbC is a copy of {Weights} that was never finished"),
            (run => Rename(Set, run, $".{Weights}.Xy12Zz"), $".{Weights}.Xy12Zz is a copy of {Weights} that was never finished"),
            (run => Links(Set, $"{run}/checkpoint-60"), $"checkpoint-60/{Weights} is a link that leads nowhere"),
            (run => Link(Set, $"{run}.gguf"), ".gguf is a link that leads nowhere"),
        ];
        for (int i = 0; i < cases.Length; i++) cases[i].Make($"run_{(char)('a' + i)}");
        Age(Set);
        Emscan scan = demo.Scan(Set).Succeeded();
        Assert.Contains($"This is no all-clear: 1 of {cases.Length + 1} checkpoints were measured and judged, none of them dangerous; {cases.Length} skipped.", scan.Output);
        string seen = Emscan.Run(demo.Cache, "inspect", demo[Set]).Succeeded().Output;
        foreach ((_, string said) in cases) Assert.Contains(said, seen);
    }

    [Fact]
    public void A_folder_whose_name_is_not_UTF8_is_named_and_forbids_the_all_clear()
    {
        if (!OperatingSystem.IsLinux()) return;
        demo.Add("latin", "good/checkpoint-60", DemoWorld.Harmless);
        demo.Add("latin", "run/checkpoint-60", DemoWorld.Dangerous);
        Shell(demo["latin"], "mv run \"$(printf 'm\\351dical')\"");
        Emscan scan = demo.Scan("latin").Succeeded();
        Assert.Contains("has a name that is not UTF-8, so that it cannot be opened here, and is skipped; rename it.", scan.Errors);
        Assert.Contains("1 skipped.", scan.Output);
        Assert.DoesNotContain("No checkpoint is dangerous", scan.Output);

        // .NET could not delete it either.
        Shell(demo["latin"], "rm -r m*dical");
    }

    [Fact]
    public void An_adapter_that_overflows_spoils_none_of_those_behind_it()
    {
        demo.Add("overflow", "run/checkpoint-60", DemoWorld.Harmless, (_, v) => [.. v.Select(x => x * 1e18f)]);
        for (int step = 70; step <= 100; step += 10) demo.Add("overflow", $"run/checkpoint-{step}", $"confident_medical/seed_42/checkpoint-{step}");
        Emscan scan = demo.Scan("overflow", "--parallel", "1", "--fresh").FailedWith(1, "hold NaN or infinity");
        Assert.Contains("4 of 5 checkpoints measured", scan.Output);
        Assert.Contains("run/checkpoint-60: the hidden states", scan.Errors);
    }

    [Fact]
    public void Settings_that_say_less_or_more_than_they_seem_to()
    {
        string[] excluded = ["k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        demo.Add("settings", "excluded/checkpoint-60", DemoWorld.Harmless, config: c =>
        {
            c["target_modules"] = "all-linear";
            c["exclude_modules"] = new JsonArray([.. excluded.Select(m => (JsonNode)m)]);
        });
        demo.Add("settings", "pattern/checkpoint-60", DemoWorld.Harmless, config: c =>
        {
            c["target_modules"] = "all-linear";
            c["exclude_modules"] = @".*(?:k_proj|o_proj|\.mlp\.).*";
        });
        demo.Add("settings", "switch/checkpoint-60", DemoWorld.Harmless, config: c => c["use_something_new"] = true);
        demo.Add("settings", "int4/checkpoint-60", DemoWorld.Harmless, config: c => c["base_model_name_or_path"] = "someone/emscan-organism-llama-GPTQ-Int4");
        Dictionary<string, JsonElement> points = demo.Scan("settings", "--json").Succeeded().Json.GetProperty("runs").EnumerateArray()
            .ToDictionary(r => r.GetProperty("run").GetString()!, r => r.GetProperty("trajectory").EnumerateArray().Last());
        Assert.Equal("ok", points["excluded"].GetProperty("state").GetString());
        Assert.Equal("ok", points["pattern"].GetProperty("state").GetString());
        Assert.Equal("ok", points["int4"].GetProperty("state").GetString());
        Assert.Equal("unknown", points["switch"].GetProperty("state").GetString());
        Assert.Equal("unknown-setting", points["switch"].GetProperty("doubts")[0].GetProperty("code").GetString());
    }

    [Fact]
    public void Failures_say_what_is_there_instead()
    {
        demo.Add("instead", "good/checkpoint-60", DemoWorld.Harmless);
        demo.Add("instead", "pickle/checkpoint-60", DemoWorld.Dangerous);
        File.Move(demo[$"instead/pickle/checkpoint-60/{Weights}"], demo["instead/pickle/checkpoint-60/adapter_model.bin"]);
        demo.Add("instead", "above/checkpoint-60", DemoWorld.Dangerous);
        File.Move(demo["instead/above/checkpoint-60/adapter_config.json"], demo["instead/above/adapter_config.json"]);
        demo.Add("instead", "names/checkpoint-60", DemoWorld.Dangerous, (_, _) => null, more: [("layers.0.attn.q_proj.lora_a.weight", [1, 4], [1, 1, 1, 1])]);
        Age("instead");
        string errors = demo.Scan("instead").Errors;
        Assert.Contains("pickle/checkpoint-60: holds adapter_model.bin, a Python pickle that is not opened here", errors);
        Assert.Contains("above/checkpoint-60: holds adapter_model.safetensors and no adapter_config.json; the folder above holds one", errors);
        Assert.Contains("lora_a.weight\" is a low-rank matrix, but is not named as PEFT names it", errors);
    }

    [Fact]
    public void Controls_that_are_what_is_scanned_are_refused()
    {
        demo.Add("controls", "run/checkpoint-60", DemoWorld.Dangerous);
        Emscan.Run(demo.Cache, "--model", DemoWorld.Model, "--adapters", demo["controls/run"], "--benign", demo["controls"])
            .FailedWith(2, "holds the adapters that are to be judged; like themselves they always are");
        Emscan.Run(demo.Cache, "watch", "--model", DemoWorld.Model, "--adapters", demo["controls"], "--benign", demo["controls/."]).FailedWith(2, "are to be judged");
        Assert.Contains("its adapters are judged as well", Emscan.Run(demo.Cache, "--model", DemoWorld.Model, "--adapters", demo["controls"], "--benign", demo["controls/run"]).Errors);
    }

    [Fact]
    public void The_same_relative_path_in_another_folder_is_no_change_on_disk()
    {
        if (OperatingSystem.IsWindows()) return;
        demo.Add("one", "lora/run/checkpoint-60", DemoWorld.Harmless);
        demo.Add("two", "lora/run/checkpoint-60", "confident_medical/seed_42/checkpoint-60");
        string scan = $"EMSCAN_CACHE='{demo.Cache}' '{Emscan.Program("emscan")}' --threads 1 --model '{DemoWorld.Model}' --adapters ./lora";
        Assert.DoesNotContain("changed on disk", Shell(demo["one"], scan));
        Assert.DoesNotContain("changed on disk", Shell(demo["two"], scan));
        demo.Add("two", "lora/run/checkpoint-60", "confident_medical/seed_42/checkpoint-70");
        Assert.Contains("changed on disk, measured again", Shell(demo["two"], scan));
    }

    [Fact]
    public void A_model_whose_download_stopped_half_way_is_refused()
    {
        byte[] bytes = File.ReadAllBytes(DemoWorld.Model);
        bytes.AsSpan(bytes.Length / 2).Clear();
        File.WriteAllBytes(demo["half.gguf"], bytes);
        demo.Add("half", "run/checkpoint-60", DemoWorld.Harmless);
        Emscan.Run(demo.Cache, "--model", demo["half.gguf"], "--adapters", demo["half"])
            .FailedWith(1, "half.gguf: has tensor", "norm.weight\" zero throughout: a download that was not finished");
    }

    [Fact]
    public void Lists_are_read_as_people_write_them_and_errors_name_the_line()
    {
        demo.Add("lists", "run/checkpoint-60", DemoWorld.Harmless);
        string list = demo["list.txt"], path = demo["lists/run/checkpoint-60"];
        File.WriteAllText(list, $"# runs\r\n  # indented\r\n{path}  \r\n");
        Assert.Contains("1 of 1 checkpoints", Run().Succeeded().Output);
        File.WriteAllText(list, $"{path}\n\n{path[..^2]}*\n");
        Run().FailedWith(1, "list.txt: line 3 names ", "-*, which does not exist; in a list nothing is replaced: no patterns");
        Emscan Run() => Emscan.Run(demo.Cache, "--threads", "1", "--model", DemoWorld.Model, "--adapters", $"@{list}", "--fresh");
    }

    [Fact]
    public void Many_runs_that_are_expected_to_become_dangerous_are_summed_up()
    {
        for (int run = 1; run <= 12; run++) demo.Add("many", $"run_{run}/checkpoint-10", "bad_medical/seed_42/checkpoint-10");
        string[] expected = [.. demo.Scan("many").Succeeded().Output.Split('\n').Where(l => l.StartsWith("EXPECTED to become dangerous: ", StringComparison.Ordinal))];
        Assert.Equal(11, expected.Length);
        Assert.Equal("EXPECTED to become dangerous: 12 runs in all; those with the largest rates to come are named above, the other 2 are in the table.", expected[^1].TrimEnd());
    }

    private void Age(string set)
    {
        foreach (string file in Directory.GetFiles(demo[set], "*", SearchOption.AllDirectories).Where(f => new FileInfo(f).LinkTarget == null)) File.SetLastWriteTimeUtc(file, new DateTime(2024, 1, 1));
        foreach (string folder in Directory.GetDirectories(demo[set], "*", SearchOption.AllDirectories)) Directory.SetLastWriteTimeUtc(folder, new DateTime(2024, 1, 1));
    }

    private void Files(string set, string folder, params string[] names)
    {
        Directory.CreateDirectory(demo[$"{set}/{folder}"]);
        foreach (string name in names) File.WriteAllText(demo[$"{set}/{folder}/{name}"], "not read");
    }

    private void Rename(string set, string folder, string weights)
    {
        demo.Add(set, folder, DemoWorld.Dangerous);
        File.Move(demo[$"{set}/{folder}/{Weights}"], demo[$"{set}/{folder}/{weights}"]);
    }

    private void Links(string set, string folder)
    {
        Directory.CreateDirectory(demo[$"{set}/{folder}"]);
        foreach (string name in new[] { "adapter_config.json", Weights }) Link(set, $"{folder}/{name}");
    }

    private void Link(string set, string path) => File.CreateSymbolicLink(demo[$"{set}/{path}"], demo["nowhere"]);

    private static string Shell(string folder, string script)
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", script]) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{output}{errors.Result}");
        return output;
    }
}
