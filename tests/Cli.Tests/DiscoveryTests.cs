using System.Diagnostics;
using System.IO.Compression;
using System.Text.Json;
using EmScan.Engine.Formats;

namespace EmScan.Cli.Tests;

/// <summary>How the real program understands folders of checkpoints, and what it does with what a running training leaves.</summary>
public sealed class DiscoveryTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public DiscoveryTests()
    {
        for (int step = 10; step <= 30; step += 10) _world.AddCheckpoint("run", step, step);
    }

    public void Dispose() => _world.Dispose();

    /// <summary>A training that rotates under the scan's hands: what is gone, or half gone, is skipped and counted, and nothing failed.</summary>
    [Fact]
    public async Task What_a_training_rotates_away_during_a_scan_is_skipped_and_no_failure()
    {
        for (int step = 40; step <= 900; step += 10) _world.AddCheckpoint("run", step, step);
        using Process scan = Emscan.Start(_world.Cache, "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--threads", "1", "--parallel", "1");
        Task<string> errors = scan.StandardError.ReadToEndAsync();
        string line;
        do line = (await scan.StandardOutput.ReadLineAsync())!;
        while (!line.TrimStart().StartsWith("10 ", StringComparison.Ordinal));
        for (int step = 900; step > 500; step -= 10)
        {
            // As shutil.rmtree does it: file by file, then the folder.
            foreach (string file in Directory.GetFiles(_world.CheckpointPath("run", step))) File.Delete(file);
            Directory.Delete(_world.CheckpointPath("run", step));
        }

        string output = await scan.StandardOutput.ReadToEndAsync();
        await scan.WaitForExitAsync();
        Assert.True(scan.ExitCode == 0, await errors);
        Assert.Contains("900  skipped: ", output);
        Assert.DoesNotContain("not measured", output);
        Assert.Contains(" skipped.", output);
        Assert.Contains("is skipped", await errors);
    }

    [Fact]
    public void A_benign_control_that_is_left_out_is_told()
    {
        for (int i = 1; i <= 8; i++) _world.AddCheckpoint("harmless", 10 * i, 100 + i, size: 0.01);
        string benign = _world["benign"];
        Directory.Move(Path.Combine(_world.Adapters, "harmless"), benign);
        File.Delete(Path.Combine(benign, "checkpoint-80", "adapter_model.safetensors"));
        Emscan scan = _world.Scan("--traits", _world.TraitsPath, "--benign", benign);
        Assert.Contains("note: benign controls: ", scan.Errors);
        Assert.Contains("checkpoint-80", scan.Errors);
        Assert.Contains("unlike 7 benign control checkpoints", scan.Output);
    }

    [Fact]
    public void A_link_to_the_best_checkpoint_hides_no_step()
    {
        Directory.CreateSymbolicLink(Path.Combine(_world.Adapters, "run", "best"), "checkpoint-20");
        string output = Inspect(_world.Adapters).Output;
        Assert.StartsWith("run: 3 checkpoints, steps 10 20 30\n", output);
        Assert.Contains("best is a link to", output);
    }

    [Fact]
    public void Named_adapters_epochs_and_converted_files_are_runs()
    {
        for (int i = 1; i <= 3; i++)
        {
            Copy(10 * i, $"named/checkpoint-{10 * i}/medical");
            Copy(10 * i, $"epochs/epoch_{i - 1}");
            string file = _world[$"files/medical-checkpoint-{10 * i}-f16.gguf"];
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            LoraGgufWriter.Write(file, AdapterReader.Open(_world.CheckpointPath("run", 10 * i), GgufFile.Open(_world.ModelPath)));
        }

        Assert.StartsWith("named: 3 checkpoints, steps 10 20 30\n", Inspect(_world["named"]).Output);
        Assert.StartsWith("epochs: 3 checkpoints, steps 0 1 2\n", Inspect(_world["epochs"]).Output);
        Assert.StartsWith("medical: 3 checkpoints, steps 10 20 30\n", Inspect(_world["files"]).Output);
    }

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("/adapter_model.safetensors")]
    [InlineData("/adapter_config.json")]
    public void One_checkpoint_keeps_its_step_and_its_run(string end) =>
        Assert.StartsWith("run: 1 checkpoint, step 30\n", Inspect(_world.CheckpointPath("run", 30) + end).Output);

    [Fact]
    public void Inspect_tells_what_the_files_say_and_what_a_layer_sees()
    {
        Emscan text = Inspect(_world.Adapters, "--model", _world.ModelPath, "--layer", "0");
        Assert.Contains("rank 4, alpha 8, targets q_proj, v_proj, base tiny", text.Output);
        Assert.Contains("visible to layer 0: ", text.Output);
        JsonElement run = Inspect(_world.Adapters, "--model", _world.ModelPath, "--layer", "0", "--json").Json.GetProperty("runs")[0];
        JsonElement checkpoint = run.GetProperty("checkpoints")[1];
        Assert.Equal(("run", "20", 4), (run.GetProperty("name").GetString(), checkpoint.GetProperty("step").GetString(), checkpoint.GetProperty("rank").GetInt32()));
        Assert.InRange(checkpoint.GetProperty("visible_share").GetDouble(), 0.01, 0.99);
    }

    [Fact]
    public void A_running_training_is_scanned_up_to_where_it_is()
    {
        File.Copy(Path.Combine(_world.CheckpointPath("run", 10), "adapter_config.json"), Path.Combine(_world.Adapters, "run", "adapter_config.json"));
        string half = Path.Combine(_world.CheckpointPath("run", 30), "adapter_model.safetensors");
        File.WriteAllBytes(half, File.ReadAllBytes(half)[..1000]);
        Directory.CreateDirectory(Path.Combine(_world.Adapters, "run", "tmp-checkpoint-40"));
        Emscan run = _world.Scan().Succeeded();
        Assert.Contains("2 of 3 checkpoints measured", run.Output);
        Assert.Contains(", 1 skipped.", run.Output);
        Assert.Contains("checkpoint-30 is still being written (its adapter_model.safetensors is cut short) and is skipped", run.Errors);
        Assert.Contains("holds adapter_config.json and no weights", run.Errors);
    }

    [Fact]
    public void Several_folders_are_one_scan()
    {
        Copy(10, "more/other/checkpoint-40");
        Emscan run = Emscan.Run(
            _world.Cache, "--model", _world.ModelPath, "--threads", "1", "--json", "-a", _world.CheckpointPath("run", 10), _world.CheckpointPath("run", 20), "-a", _world["more/other"]).Succeeded();
        Assert.Equal(["other", "run"], run.Json.GetProperty("runs").EnumerateArray().Select(r => r.GetProperty("run").GetString()));
    }

    [Fact]
    public void An_archive_is_refused_before_anything_is_computed()
    {
        string zip = _world["adapters.zip"];
        ZipFile.CreateFromDirectory(_world.Adapters, zip);
        Emscan.Run(_world.Cache, "--model", _world.ModelPath, "--adapters", zip).FailedWith(1, "zip archive", $"unzip {zip} -d adapters");
        File.Move(zip, Path.Combine(_world.Adapters, "more.zip"));
        Assert.Contains("more.zip holds 3 adapters and is not opened", Inspect(_world.Adapters).Output);
    }

    [Fact]
    public void A_folder_that_may_not_be_read_is_named_and_stops_nothing()
    {
        string closed = Path.Combine(_world.Adapters, "lost+found");
        Directory.CreateDirectory(closed);
        if (OperatingSystem.IsWindows()) return;
        File.SetUnixFileMode(closed, UnixFileMode.None);
        Emscan run = Inspect(_world.Adapters);
        Assert.StartsWith("run: 3 checkpoints", run.Output);

        // The superuser may read everything.
        if (Environment.UserName != "root") Assert.Contains("lost+found cannot be read (permission denied) and is skipped", run.Output);
        File.SetUnixFileMode(closed, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private Emscan Inspect(string path, params string[] more) => Emscan.Run(_world.Cache, ["inspect", path, .. more]).Succeeded();

    private void Copy(int step, string folder)
    {
        Directory.CreateDirectory(_world[folder]);
        foreach (string file in Directory.GetFiles(_world.CheckpointPath("run", step))) File.Copy(file, Path.Combine(_world[folder], Path.GetFileName(file)));
    }
}
