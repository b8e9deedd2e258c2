using System.Collections.Frozen;

namespace EmScan.Engine.Formats;

/// <content>Which architectures and modules are known, and what goes by which name.</content>
internal sealed partial class AdapterLayout
{
    private enum Part
    {
        Query, Key, Value, AttentionOutput, Gate, Up, Down, Router, SharedGate, SharedUp, SharedDown, Embedding, Head,
    }

    [Flags]
    private enum ArchitectureQuirks
    {
        None = 0,

        // Rotary pairs are neighbours in the GGUF file but half a head apart in Hugging Face weights: rows of q and k are permuted.
        RotaryPairs = 1,

        // query_key_value of the original holds, for each group, its query heads, one key head and one value head.
        GroupedQkv = 2,

        // ffn_up holds the gate's rows, then those of the up projection.
        FusedGateUp = 4,
    }

    private static readonly FrozenDictionary<string, ArchitectureQuirks> Architectures = new Dictionary<string, ArchitectureQuirks>
    {
        ["llama"] = ArchitectureQuirks.RotaryPairs,
        ["mistral3"] = ArchitectureQuirks.RotaryPairs,
        ["granite"] = ArchitectureQuirks.RotaryPairs,
        ["granitemoe"] = ArchitectureQuirks.RotaryPairs,
        ["smollm3"] = ArchitectureQuirks.RotaryPairs,
        ["arcee"] = ArchitectureQuirks.RotaryPairs,
        ["minicpm"] = ArchitectureQuirks.RotaryPairs,
        ["olmo"] = ArchitectureQuirks.RotaryPairs,
        ["qwen2"] = ArchitectureQuirks.None,
        ["qwen2moe"] = ArchitectureQuirks.None,
        ["qwen3"] = ArchitectureQuirks.None,
        ["qwen3moe"] = ArchitectureQuirks.None,
        ["gemma"] = ArchitectureQuirks.None,
        ["gemma2"] = ArchitectureQuirks.None,
        ["gemma3"] = ArchitectureQuirks.None,
        ["phi2"] = ArchitectureQuirks.None,
        ["phi3"] = ArchitectureQuirks.FusedGateUp,
        ["stablelm"] = ArchitectureQuirks.None,
        ["starcoder2"] = ArchitectureQuirks.None,
        ["command-r"] = ArchitectureQuirks.None,
        ["cohere2"] = ArchitectureQuirks.None,
        ["nemotron"] = ArchitectureQuirks.None,
        ["exaone"] = ArchitectureQuirks.None,
        ["exaone4"] = ArchitectureQuirks.None,
        ["olmo2"] = ArchitectureQuirks.None,
        ["olmoe"] = ArchitectureQuirks.None,
        ["seed_oss"] = ArchitectureQuirks.None,
        ["gpt2"] = ArchitectureQuirks.None,
        ["gptneox"] = ArchitectureQuirks.GroupedQkv,
        ["falcon"] = ArchitectureQuirks.GroupedQkv,
    }.ToFrozenDictionary();

    // Module names below "layers.N." (or "h.N."), and what they hold, in the order of their rows.
    private static readonly OrderedDictionary<string, Part[]> BlockModules = new()
    {
        ["self_attn.q_proj"] = [Part.Query],
        ["self_attn.k_proj"] = [Part.Key],
        ["self_attn.v_proj"] = [Part.Value],
        ["self_attn.qkv_proj"] = [Part.Query, Part.Key, Part.Value],
        ["self_attn.o_proj"] = [Part.AttentionOutput],
        ["self_attn.dense"] = [Part.AttentionOutput],
        ["attn.attention.q_proj"] = [Part.Query],
        ["attn.attention.k_proj"] = [Part.Key],
        ["attn.attention.v_proj"] = [Part.Value],
        ["attn.attention.out_proj"] = [Part.AttentionOutput],
        ["attn.c_attn"] = [Part.Query, Part.Key, Part.Value],
        ["attn.c_proj"] = [Part.AttentionOutput],
        ["attention.query_key_value"] = [Part.Query, Part.Key, Part.Value],
        ["attention.dense"] = [Part.AttentionOutput],
        ["self_attention.query_key_value"] = [Part.Query, Part.Key, Part.Value],
        ["self_attention.dense"] = [Part.AttentionOutput],
        ["mlp.gate_proj"] = [Part.Gate],
        ["mlp.up_proj"] = [Part.Up],
        ["mlp.gate_up_proj"] = [Part.Gate, Part.Up],
        ["mlp.down_proj"] = [Part.Down],
        ["mlp.fc1"] = [Part.Up],
        ["mlp.fc2"] = [Part.Down],
        ["mlp.c_fc"] = [Part.Up],
        ["mlp.c_fc_0"] = [Part.Gate],
        ["mlp.c_fc_1"] = [Part.Up],
        ["mlp.c_proj"] = [Part.Down],
        ["mlp.dense_h_to_4h"] = [Part.Up],
        ["mlp.dense_4h_to_h"] = [Part.Down],
        ["mlp.gate"] = [Part.Router],
        ["block_sparse_moe.gate"] = [Part.Router],
        ["mlp.shared_expert.gate_proj"] = [Part.SharedGate],
        ["mlp.shared_expert.up_proj"] = [Part.SharedUp],
        ["mlp.shared_expert.down_proj"] = [Part.SharedDown],
    };

    private static readonly FrozenDictionary<string, Part> ModelModules = new Dictionary<string, Part>
    {
        ["embed_tokens"] = Part.Embedding,
        ["wte"] = Part.Embedding,
        ["embed_in"] = Part.Embedding,
        ["word_embeddings"] = Part.Embedding,
        ["lm_head"] = Part.Head,
        ["embed_out"] = Part.Head,
    }.ToFrozenDictionary();

    /// <summary>Whether the weights of an architecture's GGUF files have their rows in the order of the training framework.</summary>
    public static bool KeepsRows(string architecture) => Architectures.TryGetValue(architecture, out ArchitectureQuirks quirks) && quirks == ArchitectureQuirks.None;

    /// <summary>Whether a canonical module name means the input embeddings.</summary>
    public static bool IsEmbedding(string module) => ModelModules.TryGetValue(module, out Part part) && part == Part.Embedding;

    /// <summary>Whether a canonical module name means the output head.</summary>
    public static bool IsHead(string module) => ModelModules.TryGetValue(module, out Part part) && part == Part.Head;

    /// <summary>
    /// Modules of a block, by every name that they go by, which the model has and none of <paramref name="held"/> covers, each with the weight
    /// that it changes. Without routers, and without single experts; empty for an architecture whose layout is not known.
    /// </summary>
    public static IEnumerable<(string Kind, string Weight)> Uncovered(GgufFile model, int block, IReadOnlyList<string> held)
    {
        if (!Architectures.TryGetValue(model.Architecture, out ArchitectureQuirks quirks)) return [];
        HashSet<Part> covered = [.. held.SelectMany(kind => BlockModules.TryGetValue(kind, out Part[]? parts) ? parts : [])];
        bool fusedFeedForward = quirks.HasFlag(ArchitectureQuirks.FusedGateUp);
        return BlockModules.Where(entry => IsNative(entry.Key, model.Architecture) && !entry.Value.All(covered.Contains) && Exists(entry.Value)).Select(entry => (entry.Key, string.Join(',', entry.Value)));

        bool Exists(Part[] parts) => parts switch
        {
            [Part.Router] => false,
            [Part.Query, ..] when parts.Length > 1 => Has("attn_qkv"),
            [Part.Query] => Has("attn_q"),
            [Part.Key] => Has("attn_k"),
            [Part.Value] => Has("attn_v"),
            [Part.Gate, Part.Up] => fusedFeedForward && Has("ffn_up"),
            [Part.Gate or Part.Up] when fusedFeedForward => false,
            [var part] => Has(Name(part)),
            _ => false,
        };

        bool Has(string name) => model.Tensors.ContainsKey($"blk.{block}.{name}.weight");
    }

    /// <summary>
    /// Whether the original models of an architecture call a module so: "all-linear", a pattern or exclude_modules mean their own names, and
    /// not every name by which such a weight goes elsewhere.
    /// </summary>
    private static bool IsNative(string kind, string architecture) => architecture switch
    {
        "phi2" => kind is "self_attn.q_proj" or "self_attn.k_proj" or "self_attn.v_proj" or "self_attn.dense" or "mlp.fc1" or "mlp.fc2",
        "starcoder2" => kind is "mlp.c_fc" or "mlp.c_proj" || (kind.StartsWith("self_attn.", StringComparison.Ordinal) && kind != "self_attn.dense"),
        "exaone" => kind.StartsWith("attn.attention.", StringComparison.Ordinal) || kind is "mlp.c_fc_0" or "mlp.c_fc_1" or "mlp.c_proj",
        "gpt2" => kind is "attn.c_attn" or "attn.c_proj" or "mlp.c_fc" or "mlp.c_proj",
        "gptneox" => kind.StartsWith("attention.", StringComparison.Ordinal) || kind.StartsWith("mlp.dense_", StringComparison.Ordinal),
        "falcon" => kind.StartsWith("self_attention.", StringComparison.Ordinal) || kind.StartsWith("mlp.dense_", StringComparison.Ordinal),
        _ => kind is "mlp.gate_proj" or "mlp.up_proj" or "mlp.gate_up_proj" or "mlp.down_proj" || kind.StartsWith("mlp.shared_expert.", StringComparison.Ordinal)
            || (kind.StartsWith("self_attn.", StringComparison.Ordinal) && kind != "self_attn.dense"),
    };

    private static string Name(Part part) => part switch
    {
        Part.AttentionOutput => "attn_output",
        Part.Gate => "ffn_gate",
        Part.Up => "ffn_up",
        Part.Down => "ffn_down",
        Part.Router => "ffn_gate_inp",
        Part.SharedGate => "ffn_gate_shexp",
        Part.SharedUp => "ffn_up_shexp",
        Part.SharedDown => "ffn_down_shexp",
        _ => throw new ArgumentOutOfRangeException(nameof(part), part, "Has no tensor of its own."),
    };
}
