using System.Text.RegularExpressions;

namespace EmScan.Engine.Adapters;

/// <summary>What lies in folders that look like checkpoints and hold no adapter.</summary>
internal static partial class BarrenFolder
{
    /// <summary>The sentence for a folder that is left out.</summary>
    internal static string Sentence(string path, Barren signs) => signs switch
    {
        Barren.Sharded => $"{path} holds training state of DeepSpeed or FSDP and no adapter; save the adapter with save_pretrained (FSDP: fsdp_state_dict_type FULL_STATE_DICT; DeepSpeed: stage3_gather_16bit_weights_on_model_save).",
        Barren.Model => $"{path} holds the weights of a whole model and no adapter, and is skipped.",
        _ => $"{path} holds no adapter and is skipped.",
    };

    /// <summary>What the name of a file says of its folder.</summary>
    internal static Barren SignOf(string file) => ShardedName().IsMatch(file) ? Barren.Sharded : ModelName().IsMatch(file) ? Barren.Model : Barren.Nothing;

    /// <summary>The more telling one.</summary>
    internal static Barren Worse(Barren left, Barren right) => (Barren)Math.Max((int)left, (int)right);

    [GeneratedRegex(@"^(?:zero_to_fp32\.py|.*mp_rank_.*|zero_pp_rank.*|.*\.distcp)$", RegexOptions.CultureInvariant)]
    private static partial Regex ShardedName();

    [GeneratedRegex(@"^(?:model|pytorch_model|consolidated).*\.(?:safetensors|bin|pth?)$", RegexOptions.CultureInvariant)]
    private static partial Regex ModelName();
}

/// <summary>What a folder without an adapter holds instead, from the least to the most telling.</summary>
internal enum Barren
{
    None,
    Nothing,
    Model,
    Sharded,
}
