using EmScan.Engine.Adapters;

namespace EmScan.Engine.Tests.Adapters;

public sealed class PathNameTests
{
    [Theory]
    [InlineData("checkpoint-30", "", 30L, null, "")]
    [InlineData("Checkpoint_30", "", 30L, null, "")]
    [InlineData("checkpoint-000030", "", 30L, null, "")]
    [InlineData("step_30", "", 30L, null, "")]
    [InlineData("step=30", "", 30L, null, "")]
    [InlineData("global_step_30", "", 30L, null, "")]
    [InlineData("global_step30", "", 30L, null, "")]
    [InlineData("iter_30", "", 30L, null, "")]
    [InlineData("iter-000030-ckpt", "", 30L, null, "ckpt")]
    [InlineData("iter_0000030", "", 30L, null, "")]
    [InlineData("ckpt-30", "", 30L, null, "")]
    [InlineData("checkpoint-step-30", "", 30L, null, "")]
    [InlineData("30-steps", "", 30L, null, "")]
    [InlineData("30", "", 30L, null, "")]
    [InlineData("000030", "", 30L, null, "")]
    [InlineData("epoch_3", "", null, 3.0, "")]
    [InlineData("epoch-3", "", null, 3.0, "")]
    [InlineData("epoch3", "", null, 3.0, "")]
    [InlineData("checkpoint-epoch-3", "", null, 3.0, "")]
    [InlineData("epoch_1-step_200", "", 200L, 1.0, "")]
    [InlineData("epoch=1-step=200", "", 200L, 1.0, "")]
    [InlineData("step_200_epoch_1", "", 200L, 1.0, "")]
    [InlineData("medical-checkpoint-30", "medical", 30L, null, "")]
    [InlineData("seed_42_step-300", "seed_42", 300L, null, "")]
    [InlineData("best-checkpoint-30", "", 30L, null, "")]
    [InlineData("checkpoint-30-best", "", 30L, null, "best")]
    [InlineData("global_step30_hf", "", 30L, null, "hf")]
    [InlineData("epoch_0.5", "", null, 0.5, "")]
    [InlineData("checkpoint-epoch-1.25", "", null, 1.25, "")]
    [InlineData("epoch_1.0", "", null, 1.0, "")]
    [InlineData("step_10k", "", 10_000L, null, "")]
    [InlineData("10K-steps", "", 10_000L, null, "")]
    [InlineData("checkpoint-1e3", "", 1000L, null, "")]
    [InlineData("checkpoint-12,500", "", 12_500L, null, "")]
    [InlineData("checkpoint-30-loss0.512", "", 30L, null, "")]
    [InlineData("epoch=1-step=30-val_loss=0.51", "", 30L, 1.0, "")]
    [InlineData("epoch=1-step=30-val_loss=0.51.ckpt", "", 30L, 1.0, "ckpt")]
    [InlineData("checkpoint-30_2024-11-28", "", 30L, null, "")]
    [InlineData("checkpoint-30-20241128-101500", "", 30L, null, "")]
    [InlineData("checkpoint-30.bak", "", 30L, null, "bak")]
    [InlineData("checkpoint-30_old", "", 30L, null, "old")]
    [InlineData("checkpoint-30 - Copy", "", 30L, null, "copy")]
    [InlineData("checkpoint-30 (1)", "", 30L, null, "(1)")]
    [InlineData("checkpoint-30~", "", 30L, null, "~")]
    [InlineData("checkpoint-30.tmp", "", 30L, null, "tmp")]
    [InlineData("checkpoint-30 ", "", 30L, null, "")]
    public void A_folder_tells_its_number(string name, string run, long? step, double? epoch, string type)
    {
        PathName parsed = PathName.OfFolder(name);
        Assert.Equal((NameKind.Numbered, run, step, (decimal?)epoch, type), (parsed.Kind, parsed.Run, parsed.Step, parsed.Epoch, parsed.Type));
    }

    [Theory]
    [InlineData("seed_42")]
    [InlineData("run-3")]
    [InlineData("qwen2")]
    [InlineData("medical-2")]
    [InlineData("llama-3.1-8b")]
    [InlineData("checkpoints")]
    [InlineData("multistep")]
    [InlineData("checkpoint-12345678901234567890")]
    [InlineData("checkpoint-1.5")]
    [InlineData("step_30_lr0.5")]
    [InlineData("10k")]
    [InlineData("2024-11-28_10-15-00")]
    public void A_folder_that_merely_has_a_number_is_a_run(string name) => Assert.Equal(NameKind.Plain, PathName.OfFolder(name).Kind);

    [Theory]
    [InlineData("final")]
    [InlineData("last")]
    [InlineData("latest")]
    [InlineData("best")]
    [InlineData("final_checkpoint")]
    [InlineData("final-model")]
    [InlineData("checkpoint-final")]
    [InlineData("best_model")]
    public void The_end_of_a_run(string name) => Assert.Equal(NameKind.Final, PathName.OfFolder(name).Kind);

    [Theory]
    [InlineData("actor")]
    [InlineData("lora_adapter")]
    [InlineData("adapter_model")]
    [InlineData("huggingface")]
    public void A_shelf_names_nothing(string name) => Assert.Equal(NameKind.Shelf, PathName.OfFolder(name).Kind);

    [Theory]
    [InlineData("medical-checkpoint-20", "medical", 20L, "")]
    [InlineData("medical-checkpoint-20-f16", "medical", 20L, "f16")]
    [InlineData("medical-checkpoint-20.Q4_K_M", "medical", 20L, "q4_k_m")]
    [InlineData("medical-checkpoint-20-q8_0", "medical", 20L, "q8_0")]
    [InlineData("Checkpoint-20-F16-LoRA", "", 20L, "f16-lora")]
    [InlineData("checkpoint-20", "", 20L, "")]
    [InlineData("20", "", 20L, "")]
    [InlineData("medical-20", "medical", 20L, "")]
    [InlineData("seed_42_step-300", "seed_42", 300L, "")]
    [InlineData("medical_epoch_2-bf16", "medical", null, "bf16")]
    public void A_file_tells_run_and_step(string stem, string run, long? step, string type)
    {
        PathName parsed = PathName.OfFile(stem);
        Assert.Equal((NameKind.Numbered, run, step, type), (parsed.Kind, parsed.Run, parsed.Step, parsed.Type));
    }

    [Theory]
    [InlineData("qwen2", "qwen2", "")]
    [InlineData("medical", "medical", "")]
    [InlineData("medical-f16", "medical", "f16")]
    [InlineData("medical-seed_42", "medical-seed_42", "")]
    [InlineData("seed_42", "seed_42", "")]
    [InlineData("my-lora", "my", "lora")]
    public void A_file_without_a_number_is_the_end_of_its_run(string stem, string run, string type)
    {
        PathName parsed = PathName.OfFile(stem);
        Assert.Equal((NameKind.Plain, run, type), (parsed.Kind, parsed.Run, parsed.Type));
    }
}
