using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Adapters;

public sealed class CheckpointDiscoveryTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly TinyModel _model = new(1);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Nested_runs_are_found_in_natural_order()
    {
        foreach (int step in new[] { 100, 20, 3 }) Peft($"medical/seed_10/checkpoint-{step}", step);
        Peft("medical/seed_9/checkpoint-5", 5);
        Peft("alone", 77);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_folder.Root);
        Assert.Equal(["alone", "medical/seed_9", "medical/seed_10"], found.Runs.Select(r => r.Name));
        Assert.Equal(["final"], Steps(found.Runs[0]));
        Assert.Equal(["3", "20", "100"], Steps(found.Runs[2]));
        Assert.Equal(5, found.Count);
        Assert.Empty(found.Remarks);
    }

    /// <summary>Rotated away between the search and the reading of headers: nothing is wrong with the adapter, so it is not called unusable.</summary>
    [Fact]
    public void What_is_gone_or_half_written_is_not_called_unusable()
    {
        _model.WriteGguf(_folder["model.gguf"]);
        foreach (int step in new[] { 10, 20, 30, 40 }) Peft($"run/checkpoint-{step}", step);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_folder["run"]);
        Directory.Delete(_folder["run/checkpoint-10"], recursive: true);
        File.WriteAllText(_folder["run/checkpoint-20/adapter_model.safetensors"], "half");
        File.WriteAllText(_folder["run/checkpoint-30/adapter_config.json"], "{\"peft_type\": \"IA3\"}");
        var census = AdapterCensus.Take(found, GgufFile.Open(_folder["model.gguf"]));
        Assert.Equal("30", Assert.Single(census.Unusable).Checkpoint.Step.ToString());
    }

    [Fact]
    public void A_folder_that_is_itself_a_run_is_one_run_named_after_it()
    {
        Peft("lora/checkpoint-1", 1);
        Peft("lora/checkpoint-2", 2);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_folder["lora"]);
        CheckpointRun run = Assert.Single(found.Runs);
        Assert.Equal(("lora", ""), (run.Name, run.OutputPath));
        Assert.Equal(["1", "2"], Steps(run));
    }

    [Fact]
    public void A_single_checkpoint_can_be_given()
    {
        Peft("run/checkpoint-7", 7);
        CheckpointRun run = Assert.Single(CheckpointDiscovery.Find(_folder["run/checkpoint-7"]).Runs);
        Assert.Single(run.Checkpoints);
    }

    [Fact]
    public void A_final_adapter_that_repeats_the_last_checkpoint_is_not_counted_twice()
    {
        Peft("run/checkpoint-10", 10);
        Peft("run/checkpoint-20", 20);
        Peft("run", 20);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_folder.Root);
        Assert.Equal(["10", "20"], Steps(found.Runs.Single()));
        Assert.Contains("not scanned twice", Assert.Single(found.Remarks).Text);
    }

    [Fact]
    public void A_final_adapter_with_other_weights_comes_last()
    {
        Peft("run/checkpoint-10", 10);
        Peft("run/checkpoint-200", 200);
        Peft("run", 999);
        Assert.Equal(["10", "200", "final"], Steps(CheckpointDiscovery.Find(_folder.Root).Runs.Single()));
    }

    [Fact]
    public void A_checkpoint_folder_without_an_adapter_is_named()
    {
        Peft("run/checkpoint-10", 10);
        Directory.CreateDirectory(_folder["run/checkpoint-20"]);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_folder.Root);
        Assert.Equal(1, found.Count);
        Assert.Contains("checkpoint-20 holds no adapter yet", Assert.Single(found.Remarks).Text);
        Assert.Equal(LeftOutReason.Incomplete, Assert.Single(found.Skipped).Reason);
    }

    [Fact]
    public void Models_beside_the_adapters_and_hidden_folders_are_not_checkpoints()
    {
        Peft("run/checkpoint-10", 10);
        Peft(".trash/checkpoint-20", 20);
        _model.WriteGguf(_folder["base-1.gguf"]);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_folder.Root);
        Assert.Equal(1, found.Count);
        Assert.Equal([LeftOutReason.Staging, LeftOutReason.Model], found.LeftOut.Select(l => l.Reason));
        Assert.Contains(found.Remarks, r => r.Text.Contains("not an adapter, and is skipped"));
        Assert.Empty(found.Skipped);
    }

    [Fact]
    public void Links_that_form_a_circle_end()
    {
        Peft("run/checkpoint-10", 10);
        Directory.CreateSymbolicLink(_folder["run/loop"], _folder.Root);
        Assert.Equal(1, CheckpointDiscovery.Find(_folder.Root).Count);
    }

    [Fact]
    public void Nothing_found_says_what_was_expected()
    {
        Directory.CreateDirectory(_folder["empty"]);
        Assert.Contains("no LoRA checkpoint", Assert.Throws<InputFileException>(() => CheckpointDiscovery.Find(_folder["empty"])).Message);
        Assert.Contains("does not exist", Assert.Throws<InputFileException>(() => CheckpointDiscovery.Find(_folder["missing"])).Message);
    }

    [Theory]
    [InlineData("a2", "a10", -1)]
    [InlineData("a10", "a2", 1)]
    [InlineData("a", "a1", -1)]
    [InlineData("x", "x", 0)]
    [InlineData("a007b", "a7c", -1)]
    public void Numbers_in_names_compare_by_value(string left, string right, int sign) =>
        Assert.Equal(sign, Math.Sign(NaturalOrder.Instance.Compare(left, right)));

    private void Peft(string path, int seed) => new TinyAdapter(_model, seed).Write(_folder[path]);

    private static string[] Steps(CheckpointRun run) => [.. run.Checkpoints.Select(c => c.Step.ToString())];
}
