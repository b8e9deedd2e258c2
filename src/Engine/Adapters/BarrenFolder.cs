using System.Text.RegularExpressions;

namespace EmScan.Engine.Adapters;

/// <summary>What lies in folders that look like checkpoints and hold no adapter.</summary>
internal static partial class BarrenFolder
{
    /// <summary>The sentence for a folder that is left out.</summary>
    internal static string Sentence(string path, Barren signs) => signs switch
    {
        Barren.Sharded => $"{path} holds training state of DeepSpeed or FSDP and no adapter; save the adapter with save_pretrained (FSDP: fsdp_state_dict_type FULL_STATE_DICT; DeepSpeed: stage3_gather_16bit_weights_on_model_save).",
        Barren.Training => $"{path} holds the state of a training (optimizer, scheduler, log) and no adapter, and is skipped.",
        Barren.Model => $"{path} holds the weights of a whole model and no adapter, and is skipped.",
        _ => $"{path} holds no adapter and is skipped.",
    };

    /// <summary>What the name of a file says of its folder.</summary>
    internal static Barren SignOf(string file) => ShardedName().IsMatch(file) ? Barren.Sharded
        : ModelName().IsMatch(file) ? Barren.Model
        : TrainingName().IsMatch(file) ? Barren.Training : Barren.Nothing;

    /// <summary>Whether a file is, by its name, an adapter that was saved with torch.save under a name of the trainer's own.</summary>
    internal static bool IsPickledAdapter(string file) => PickledName().IsMatch(file) && !TrainingName().IsMatch(file) && !ShardedName().IsMatch(file) && !ModelName().IsMatch(file);

    /// <summary>Whether a folder of this name belongs to the file system, so that nobody keeps checkpoints in it.</summary>
    internal static bool IsOfTheSystem(string folder) => folder is "lost+found" or "System Volume Information" or "$RECYCLE.BIN";

    /// <summary>The more telling one.</summary>
    internal static Barren Worse(Barren left, Barren right) => (Barren)Math.Max((int)left, (int)right);

    [GeneratedRegex(@"^(?:zero_to_fp32\.py|.*mp_rank_.*|zero_pp_rank.*|.*\.distcp)$", RegexOptions.CultureInvariant)]
    private static partial Regex ShardedName();

    [GeneratedRegex(
        @"^(?:(?:optim|optimizer|scheduler|lr_scheduler|scaler|rng_state|random_states|training_args|recipe_state|trainer)(?:[-_.].*)?\.(?:pt|pth|bin|pkl|safetensors)|trainer_state\.json)$",
        RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex TrainingName();

    // adapter_0.pt of torchtune, lora_step_70.pth, checkpoint-60.pt, epoch=1-step=80.ckpt
    [GeneratedRegex(
        @"^(?!.*(?:optim|sched|rng|scaler))(?:.*(?:adapter|lora).*\.(?:pt|pth|bin|ckpt|pkl)|(?:.*[-_.])?(?:checkpoint|ckpt|step|epoch|iter)s?[-_=.]?\d.*\.(?:pt|pth|ckpt))$",
        RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex PickledName();

    [GeneratedRegex(@"^(?:model|pytorch_model|consolidated).*\.(?:safetensors|bin|pth?)$", RegexOptions.CultureInvariant)]
    private static partial Regex ModelName();
}

/// <summary>What a folder without an adapter holds instead, from the least to the most telling.</summary>
internal enum Barren
{
    None,
    Nothing,
    Training,
    Model,
    Sharded,
}
