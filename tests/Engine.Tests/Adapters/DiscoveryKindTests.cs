using EmScan.Engine.Adapters;

namespace EmScan.Engine.Tests.Adapters;

/// <summary>Each way in which trainers, converters and people lay out checkpoints, one test each.</summary>
public sealed class DiscoveryKindTests : IDisposable
{
    private readonly AdapterTree _tree = new();

    public void Dispose() => _tree.Dispose();

    [Theory]
    [InlineData("run/checkpoint-10 run/checkpoint-20", "run: 10 20")]
    [InlineData("run/step_10 run/step_20", "run: 10 20")]
    [InlineData("run/global_step_10/actor/lora_adapter run/global_step_20/actor/lora_adapter", "run: 10 20")]
    [InlineData("run/iter-000010-ckpt run/iter-000020-ckpt", "run: 10 20")]
    [InlineData("run/000010 run/000020", "run: 10 20")]
    [InlineData("run/epoch_1-step_10 run/epoch_2-step_20", "run: 10 20")]
    [InlineData("run/epoch_1/step_10 run/epoch_2/step_20", "run: 10 20")]
    [InlineData("run/epoch_1/step_10 run/epoch_2/step_10", "run/epoch_1: 10; run/epoch_2: 10")]
    [InlineData("medical-checkpoint-10 medical-checkpoint-20 legal-checkpoint-10", "legal: 10; medical: 10 20")]
    [InlineData("run/checkpoint-10/medical run/checkpoint-20/medical", "run: 10 20")]
    [InlineData("run/checkpoint-10/medical run/checkpoint-10/legal", "run/legal: 10; run/medical: 10")]
    [InlineData("run/checkpoint-10/medical run/checkpoint-20/medical run/medical", "run: 10 20 final")]
    [InlineData("run/checkpoint-10 run/final", "run: 10 final")]
    [InlineData("run/checkpoint-10 run/final_checkpoint run/best", "run: 10 final; run/best: final")]
    [InlineData("run/checkpoint-10 run/adapter", "run: 10 final")]
    [InlineData("run/checkpoint-10 run/checkpoint-10/ref run/checkpoint-20 run/checkpoint-20/reference", "run: 10 20")]
    [InlineData("run run/ref", "run: final")]
    [InlineData("benign/checkpoint-10 reference/checkpoint-10", "benign: 10; reference: 10")]
    [InlineData("run/seed_1 run/seed_2", "run/seed_1: final; run/seed_2: final")]
    [InlineData("out/1 out/1/checkpoint-10 out/2/checkpoint-10 out/2", "out/1: 10 final; out/2: 10 final")]
    [InlineData("run/epoch_0.5 run/epoch_1.0 run/epoch_1.5", "run: 5 10 15")]
    [InlineData("run/epoch_0.25 run/epoch_1", "run: 25 100")]
    [InlineData("run/step_1k run/step_2k run/step_10k", "run: 1000 2000 10000")]
    [InlineData("run/epoch=0-step=10-val_loss=0.51 run/epoch=1-step=20-val_loss=0.40", "run: 10 20")]
    [InlineData("run/checkpoint-10 run/checkpoint-10.bak run/checkpoint-20", "run: 10 20; run-bak: 10")]
    [InlineData("seed/1 seed/2", "seed/1: final; seed/2: final")]
    [InlineData("run/tmp-checkpoint-30 run/checkpoint-20 run/.tmp-checkpoint-40", "run: 20")]
    public void Folders_are_understood(string folders, string runs)
    {
        int seed = 1;
        foreach (string folder in folders.Split(' ')) _tree.Peft(folder, seed++);
        Assert.Equal(runs, Text(CheckpointDiscovery.Find(_tree.Root)));
    }

    [Theory]
    [InlineData("medical-checkpoint-10-f16 medical-checkpoint-20-f16", "medical: 10 20")]
    [InlineData("medical-checkpoint-10-f16 medical-checkpoint-20-f16 medical-checkpoint-10-q8_0", "medical: 10 20; medical-q8_0: 10")]
    [InlineData("medical-10 medical-20 legal", "legal: final; medical: 10 20")]
    [InlineData("checkpoint-10/Checkpoint-10-F16-LoRA checkpoint-20/Checkpoint-20-F16-LoRA", "tree: 10 20")]
    [InlineData("run/checkpoint-10/adapter run/checkpoint-20/adapter", "run: 10 20")]
    public void Gguf_files_are_understood(string files, string runs)
    {
        int seed = 1;
        foreach (string file in files.Split(' ')) _tree.Gguf(file + ".gguf", seed++);
        Assert.Equal(runs, Text(CheckpointDiscovery.Find(_tree.Root)));
    }

    [Theory]
    [InlineData("run/checkpoint-30", "run: 30")]
    [InlineData("run/checkpoint-30/", "run: 30")]
    [InlineData("run/checkpoint-30/.", "run: 30")]
    [InlineData("run/checkpoint-30/adapter_model.safetensors", "run: 30")]
    [InlineData("run/checkpoint-30/adapter_config.json", "run: 30")]
    [InlineData("run/global_step_40/actor/lora_adapter", "run: 40")]
    [InlineData("run/epoch_1/step_50", "run: 50")]
    [InlineData("other/final", "other: final")]
    [InlineData("files/medical-checkpoint-60-f16.gguf", "medical: 60")]
    [InlineData("files/checkpoint-70/adapter.gguf", "files: 70")]
    [InlineData("medical/seed_1/checkpoint-80", "medical/seed_1: 80")]
    [InlineData("medical/seed_1", "medical/seed_1: 80")]
    [InlineData("medical", "medical/seed_1: 80; medical/seed_2: 90")]
    public void One_checkpoint_alone_keeps_its_step_and_its_run(string path, string runs)
    {
        foreach (string folder in (string[])["run/checkpoint-20", "run/checkpoint-30", "run/global_step_40/actor/lora_adapter", "run/epoch_1/step_50", "other/final", "medical/seed_1/checkpoint-80", "medical/seed_2/checkpoint-90"]) _tree.Peft(folder, folder.Length);
        _tree.Gguf("files/medical-checkpoint-60-f16.gguf", 1);
        _tree.Gguf("files/checkpoint-70/adapter.gguf", 2);
        Assert.Equal(runs, Text(CheckpointDiscovery.Find(_tree[path])));
    }

    [Theory]
    [InlineData("", "medical/seed_1, other")]
    [InlineData("medical", "medical/seed_1")]
    [InlineData("medical/seed_1", "")]
    public void The_files_of_a_run_are_where_its_name_says(string folder, string paths)
    {
        _tree.Peft("medical/seed_1/checkpoint-80", 1);
        _tree.Peft("other/checkpoint-80", 2);
        Assert.Equal(paths, string.Join(", ", CheckpointDiscovery.Find(_tree[folder]).Runs.Select(r => r.OutputPath)));
    }

    [Fact]
    public void Epochs_are_counted_in_steps_where_the_trainer_says_them()
    {
        for (int epoch = 0; epoch < 3; epoch++) _tree.Peft($"known/epoch_{epoch}", epoch, globalStep: 10 * (epoch + 1));
        for (int epoch = 0; epoch < 3; epoch++) _tree.Peft($"unknown/epoch_{epoch}", 10 + epoch);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_tree.Root);
        Assert.Equal("known: 10 20 30; unknown: 0 1 2", Text(found));
        Assert.Equal(["epochs-as-steps", "epochs-in-steps"], found.Notes.Select(n => n.Code).Order());
    }

    [Fact]
    public void The_same_adapter_counts_once()
    {
        for (int step = 10; step <= 30; step += 10) _tree.Peft($"run/checkpoint-{step}", step);
        _tree.Peft("run", 20);
        _tree.Peft("run/final", 30);
        _tree.Gguf("run/checkpoint-10/run-f16.gguf", 10);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_tree.Root);
        Assert.Equal("run: 10 20 30", Text(found));
        Assert.Equal([LeftOutReason.Repeated, LeftOutReason.Repeated, LeftOutReason.Repeated], found.LeftOut.Select(l => l.Reason));
        Assert.Empty(found.Skipped);
    }

    [Fact]
    public void An_adapter_of_the_other_sign_in_gguf_is_another_one()
    {
        _tree.Peft("run/checkpoint-10", 10);
        _tree.Gguf("run/checkpoint-10/run-f16.gguf", 10, negative: true);
        Assert.Equal("run: 10; run-f16: 10", Text(CheckpointDiscovery.Find(_tree.Root)));
    }

    [Fact]
    public void Links_change_nothing_but_the_name_they_give()
    {
        for (int step = 10; step <= 30; step += 10) _tree.Peft($"run/checkpoint-{step}", step);
        string outside = _tree.Peft(Path.Combine(_tree.Outside, "abc/checkpoint-40"), 40), other = _tree.Peft(Path.Combine(_tree.Outside, "xyz"), 50);
        Directory.CreateSymbolicLink(_tree["run/best"], "checkpoint-20");
        Directory.CreateSymbolicLink(_tree["run/latest"], outside);
        Directory.CreateSymbolicLink(_tree["run/checkpoint-50"], other);
        Directory.CreateSymbolicLink(_tree["run/a"], other);
        Directory.CreateSymbolicLink(_tree["run/circle"], _tree.Root);
        Directory.CreateSymbolicLink(_tree["run/self"], _tree["run/self"]);
        Directory.CreateSymbolicLink(_tree["run/gone"], _tree["nowhere"]);
        Directory.CreateSymbolicLink(_tree["up"], "/");
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_tree.Root);
        Assert.Equal("run: 10 20 30 40 50", Text(found));
        Assert.Equal(["gone", "self"], found.LeftOut.Where(l => l.Reason == LeftOutReason.DanglingLink).Select(l => Path.GetFileName(l.Path)));
        Assert.Equal(["up", "a", "best", "circle"], found.LeftOut.Where(l => l.Reason == LeftOutReason.Linked).OrderByDescending(l => l.Path.EndsWith("up")).ThenBy(l => l.Path).Select(l => Path.GetFileName(l.Path)));
        Assert.Empty(found.Skipped);
    }

    [Fact]
    public void Training_state_is_one_remark_in_all()
    {
        _tree.Peft("run/checkpoint-10", 10);
        for (int step = 20; step <= 60; step += 10)
        {
            Directory.CreateDirectory(_tree[$"run/checkpoint-{step}/global_step{step}"]);
            File.WriteAllText(_tree[$"run/checkpoint-{step}/zero_to_fp32.py"], "");
            File.WriteAllText(_tree[$"run/checkpoint-{step}/global_step{step}/mp_rank_00_model_states.pt"], "x");
        }

        Directory.CreateDirectory(_tree["run/checkpoint-70/pytorch_model_fsdp_0"]);
        File.WriteAllText(_tree["run/checkpoint-70/pytorch_model_fsdp_0/__0_0.distcp"], "x");
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_tree.Root);
        Assert.Equal("run: 10", Text(found));
        Assert.StartsWith("6 folders hold no adapter", Assert.Single(found.Remarks).Text);
        Assert.Equal(6, found.Skipped.Count);
    }

    [Fact]
    public void Runs_of_several_folders_have_different_names()
    {
        _tree.Peft("a/run/checkpoint-10", 1);
        _tree.Peft("b/run/checkpoint-10", 2);
        _tree.Peft("b/run/checkpoint-20", 3);
        Assert.Equal("a/run: 10; b/run: 10 20", Text(CheckpointDiscovery.Find([_tree["b/run"], _tree["a/run/"]])));
        Assert.Equal("a/run: 10; b/run: 10 20", Text(CheckpointDiscovery.Find([_tree["a"], _tree["b"]])));
        Assert.Equal("run: 10 20", Text(CheckpointDiscovery.Find([_tree["b/run/checkpoint-10"], _tree["b/run/checkpoint-20"], _tree["b/run"]])));
    }

    [Fact]
    public void A_running_training_is_no_failure()
    {
        _tree.Peft("run/checkpoint-10", 10, globalStep: 10);
        File.Copy(_tree["run/checkpoint-10/adapter_config.json"], _tree["run/adapter_config.json"]);
        Cut(_tree.Peft("run/checkpoint-20", 20));
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_tree.Root);
        Assert.Equal("run: 10", Text(found));
        Assert.Equal("checkpoint-20", Path.GetFileName(Assert.Single(found.Skipped).Path));
        Assert.Equal(2, found.Remarks.Count);
    }

    [Fact]
    public void What_stays_cut_short_is_damaged_and_not_skipped()
    {
        Cut(_tree.Peft("run/checkpoint-10", 10));
        _tree.Age(_tree["run/checkpoint-10"]);
        Cut(_tree.Peft("run/checkpoint-20", 20, globalStep: 20));
        File.SetLastWriteTimeUtc(_tree["run/checkpoint-20/trainer_state.json"], DateTime.UtcNow); // as it comes last
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(_tree.Root);
        Assert.Equal("run: 10 20", Text(found));
        Assert.Empty(found.LeftOut);
    }

    [Theory]
    [InlineData("nothing", nameof(CheckpointState.Complete), false)]
    [InlineData("trainer_state", nameof(CheckpointState.Complete), true)]
    [InlineData("other step", nameof(CheckpointState.Complete), false)]
    [InlineData("STABLE", nameof(CheckpointState.Complete), true)]
    [InlineData("old", nameof(CheckpointState.Complete), true)]
    [InlineData("cut", nameof(CheckpointState.Incomplete), false)]
    [InlineData("cut config", nameof(CheckpointState.Incomplete), false)]
    [InlineData("no config", nameof(CheckpointState.Incomplete), false)]
    [InlineData("cut, old", nameof(CheckpointState.Complete), true)]
    [InlineData("marker", nameof(CheckpointState.Staging), false)]
    [InlineData("gone", nameof(CheckpointState.Gone), true)]
    [InlineData("saved again", nameof(CheckpointState.Complete), false)]
    [InlineData("cut, saved again", nameof(CheckpointState.Incomplete), false)]
    public void Completeness(string kind, string state, bool settled)
    {
        string folder = _tree.Peft("checkpoint-10", 10, kind switch { "trainer_state" or "saved again" or "cut, saved again" => 10, "other step" => 20, _ => null });
        if (kind.StartsWith("cut")) Cut(folder, kind == "cut config" ? "adapter_config.json" : "adapter_model.safetensors");
        if (kind == "no config") File.Delete(Path.Combine(folder, "adapter_config.json"));
        if (kind is "STABLE") File.WriteAllText(Path.Combine(folder, kind), "");
        if (kind == "marker") File.WriteAllText(Path.Combine(folder, CheckpointCompleteness.IncompleteMarker), "");
        if (kind.EndsWith("old")) _tree.Age(folder);
        if (kind.EndsWith("again")) File.SetLastWriteTimeUtc(Path.Combine(folder, "adapter_model.safetensors"), DateTime.UtcNow.AddSeconds(1)); // later than the end of the first save
        if (kind == "gone") Directory.Delete(folder, recursive: true);
        var completeness = CheckpointCompleteness.Of(folder, Engine.Formats.CheckpointStep.At(10), DateTime.UtcNow, TimeSpan.FromSeconds(30));
        Assert.Equal((state, settled), (completeness.State.ToString(), completeness.Settled));
    }

    private static void Cut(string folder, string file = "adapter_model.safetensors")
    {
        string path = Path.Combine(folder, file);
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^20]);
    }

    private static string Text(DiscoveredCheckpoints found) =>
        string.Join("; ", found.Runs.Select(r => $"{r.Name}: {string.Join(' ', r.Checkpoints.Select(c => c.Step))}"));
}
