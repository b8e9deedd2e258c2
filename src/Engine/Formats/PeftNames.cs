using System.Text.RegularExpressions;

namespace EmScan.Engine.Formats;

/// <summary>Names of tensors in PEFT files, and the modules that they mean.</summary>
internal static partial class PeftNames
{
    // Left in names by torch.compile, FSDP, activation checkpointing and DDP; they are no part of the model.
    private static readonly string[] Wrappers = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

    // Containers above the blocks, in any nesting: model.layers, model.language_model.layers, transformer.h, gpt_neox.layers.
    private static readonly string[] Containers = ["base_model", "model", "language_model", "text_model", "transformer", "gpt_neox"];

    /// <summary>Splits the name of a low-rank matrix; null for any other tensor.</summary>
    /// <returns>The module as PEFT names it, the adapter's name ("" where the file names none), and whether it is A.</returns>
    public static (string Module, string Adapter, bool IsA)? LowRank(string tensor)
    {
        Match match = LowRankName().Match(tensor);
        return match.Success ? (Module(match.Groups["module"].Value), match.Groups["adapter"].Value, match.Groups["matrix"].Value == "A") : null;
    }

    /// <summary>The module below its containers: "layers.3.self_attn.q_proj", "lm_head".</summary>
    public static string Canonical(string module) => string.Join('.', module.Split('.').SkipWhile(Containers.Contains));

    /// <summary>Block and kind of a canonical name: "layers.3.self_attn.q_proj" is (3, "self_attn.q_proj"); null outside the blocks.</summary>
    public static (int Block, string Kind)? InBlock(string canonical)
    {
        string[] segments = canonical.Split('.', 3);
        return segments.Length == 3 && segments[0] is "layers" or "h" && int.TryParse(segments[1], out int block) && block >= 0
            ? (block, segments[2])
            : null;
    }

    // What follows "base_model.model.", without the wrappers of training frameworks.
    private static string Module(string name)
    {
        List<string> segments = [.. name.Split('.').Where(segment => !Wrappers.Contains(segment))];
        if (segments.Count > 0 && segments[0] == "module") segments.RemoveAt(0);
        if (segments is ["base_model", "model", ..]) segments.RemoveRange(0, 2);
        if (segments.Count > 0 && segments[0] == "module") segments.RemoveAt(0);
        return string.Join('.', segments);
    }

    // module.lora_A.weight, module.lora_A.default.weight, module.lora_embedding_A, module.lora_embedding_A.default
    [GeneratedRegex(@"^(?<module>.+)\.lora_(?:embedding_)?(?<matrix>[AB])(?:\.(?!weight$|bias$)(?<adapter>[^.]+))?(?:\.weight)?$")]
    private static partial Regex LowRankName();
}
