using System.Collections.Frozen;

namespace EmScan.Engine.Formats;

/// <summary>
/// Where the rows of a Hugging Face module lie in a GGUF model: which tensor, and in which order.
/// </summary>
/// <remarks>
/// From llama.cpp's converters (convert_hf_to_gguf.py, conversion/*.py, gguf-py/gguf/tensor_mapping.py). Only output rows are ever
/// reordered; the columns (inputs) of every weight stay as they are, so an adapter's A never changes and its B is permuted by rows.
/// </remarks>
internal sealed class AdapterLayout
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

    private readonly GgufFile _model;
    private readonly string _adapter;
    private readonly ArchitectureQuirks _quirks;

    /// <summary>Prepares the layout of a model's architecture.</summary>
    /// <param name="model">The model the adapter is for.</param>
    /// <param name="adapter">The adapter's path, for messages.</param>
    /// <exception cref="InputFileException">The layout of the architecture is not known here.</exception>
    public AdapterLayout(GgufFile model, string adapter)
    {
        _model = model;
        _adapter = adapter;
        if (!Architectures.TryGetValue(model.Architecture, out _quirks))
        {
            throw new InputFileException(adapter,
                $"cannot be matched to a model of the architecture \"{InputFile.OneLine(model.Architecture)}\" here; "
                + "convert it with llama.cpp's convert_lora_to_gguf.py and give the resulting GGUF file");
        }
    }

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

    /// <summary>Rows of one module that go into one tensor: row FirstRow + i of the tensor is row SourceRows[i] of the module.</summary>
    public sealed record Piece(GgufTensor Target, int FirstRow, int[] SourceRows);

    /// <summary>Finds where the rows of a module go.</summary>
    /// <param name="module">The module with all prefixes removed: "layers.3.self_attn.q_proj", "lm_head".</param>
    /// <param name="source">The tensor's name in the adapter's file, for messages.</param>
    /// <exception cref="InputFileException">The model has no such module.</exception>
    public Piece[] Place(string module, string source)
    {
        if (ModelModules.TryGetValue(module, out Part whole))
        {
            GgufTensor tensor = whole == Part.Head ? Head(source) : Embedding(source);
            return [new Piece(tensor, 0, Identity(0, Size(tensor, whole == Part.Head ? 1 : 0, source)))];
        }

        if (PeftNames.InBlock(module) is not (var block, var kind)) throw Bad(source, "changes a module that is no part of the language model");
        if (kind.Contains("experts.", StringComparison.Ordinal))
            throw Bad(source, "changes a single expert, which llama.cpp stores together with the others; merge the adapter into the model");
        if (!BlockModules.TryGetValue(kind, out Part[]? parts))
            throw Bad(source, $"changes \"{kind}\", which is not known for the architecture \"{_model.Architecture}\"");
        if (block >= _model.BlockCount)
            throw Bad(source, $"belongs to block {block} but the model has only {_model.BlockCount}; it was trained for another model");
        return Place(parts, block, source);
    }

    private Piece[] Place(Part[] parts, int block, string source)
    {
        var pieces = new Piece[parts.Length];
        bool grouped = parts.Length == 3 && _quirks.HasFlag(ArchitectureQuirks.GroupedQkv);
        int sourceStart = 0;
        for (int i = 0; i < parts.Length; i++)
        {
            (GgufTensor tensor, int firstRow, int rows) = Locate(parts[i], block, source);
            int[] sourceRows = grouped ? GroupedRows(parts[i], block, rows, source) : Identity(sourceStart, rows);
            if (_quirks.HasFlag(ArchitectureQuirks.RotaryPairs) && parts[i] is Part.Query or Part.Key)
                sourceRows = [.. RotaryOrder(rows, Heads(parts[i], block, source), source).Select(row => sourceRows[row])];
            pieces[i] = new Piece(tensor, firstRow, sourceRows);
            sourceStart += rows;
        }

        return pieces;
    }

    private (GgufTensor Tensor, int FirstRow, int Rows) Locate(Part part, int block, string source)
    {
        switch (part)
        {
            case Part.Query:
                return Attention("attn_q", part, block, source);
            case Part.Key:
                return Attention("attn_k", part, block, source);
            case Part.Value:
                return Attention("attn_v", part, block, source);
            case Part.Gate or Part.Up when _quirks.HasFlag(ArchitectureQuirks.FusedGateUp):
                GgufTensor fused = Find($"blk.{block}.ffn_up.weight", source);
                int half = Size(fused, 1, source) / 2;
                return (fused, part == Part.Gate ? 0 : half, half);
            default:
                GgufTensor tensor = Find($"blk.{block}.{Name(part)}.weight", source);
                return (tensor, 0, Size(tensor, 1, source));
        }
    }

    // Separate attn_q, attn_k, attn_v, or their places in attn_qkv, which holds all queries, then all keys, then all values.
    private (GgufTensor Tensor, int FirstRow, int Rows) Attention(string name, Part part, int block, string source)
    {
        if (_model.Tensors.TryGetValue($"blk.{block}.{name}.weight", out GgufTensor? tensor)) return (tensor, 0, Size(tensor, 1, source));
        if (!_model.Tensors.TryGetValue($"blk.{block}.attn_qkv.weight", out GgufTensor? fused))
            throw Bad(source, $"changes blk.{block}.{name}.weight, which the model does not have");
        int queries = Heads(Part.Query, block, source);
        int groups = Heads(Part.Key, block, source);
        int keySize = HeadSize("key_length", queries, source);
        int valueSize = HeadSize("value_length", queries, source);
        long rows = (long)queries * keySize + (long)groups * (keySize + valueSize);
        if (rows != Size(fused, 1, source))
            throw Bad(source, $"cannot be placed in {fused.Name}: it has {fused.Dimension(1)} rows where the model's heads need {rows}");
        return part switch
        {
            Part.Query => (fused, 0, queries * keySize),
            Part.Key => (fused, queries * keySize, groups * keySize),
            _ => (fused, (queries + groups) * keySize, groups * valueSize),
        };
    }

    // Rows of one part within a module that is ordered by groups: (query heads of the group, key head, value head).
    private int[] GroupedRows(Part part, int block, int rows, string source)
    {
        int queries = Heads(Part.Query, block, source);
        int groups = Heads(Part.Key, block, source);
        int size = HeadSize("key_length", queries, source);
        if (queries % groups != 0 || rows != (long)size * (part == Part.Query ? queries : groups))
            throw Bad(source, $"cannot be placed: {rows} rows do not form {queries} heads in {groups} groups");
        int perGroup = queries / groups;
        var result = new int[rows];
        for (int row = 0; row < rows; row++)
        {
            (int head, int offset) = Math.DivRem(row, size);
            (int group, int slot) = part switch
            {
                Part.Query => Math.DivRem(head, perGroup),
                Part.Key => (head, perGroup),
                _ => (head, perGroup + 1),
            };
            result[row] = (group * (perGroup + 2) + slot) * size + offset;
        }

        return result;
    }

    /// <summary>
    /// The order of rows in which llama.cpp stores q and k of rotate-half models: within each head, row 2i + t of the result is row
    /// t * (size / 2) + i of the original.
    /// </summary>
    private int[] RotaryOrder(int rows, int heads, string source)
    {
        if (rows % (2L * heads) != 0) throw Bad(source, $"cannot be placed: {rows} rows do not form {heads} heads of even size");
        int size = rows / heads;
        var order = new int[rows];
        for (int row = 0; row < rows; row++)
        {
            int inHead = row % size;
            order[row] = row - inHead + inHead % 2 * (size / 2) + inHead / 2;
        }

        return order;
    }

    private GgufTensor Head(string source) => _model.Tensors.TryGetValue(WeightName.Output, out GgufTensor? head)
        ? head
        : throw Bad(source, "changes the output matrix, which this model shares with its embeddings, so that it cannot change alone");

    private GgufTensor Embedding(string source)
    {
        if (!_model.Tensors.ContainsKey(WeightName.Output))
            throw Bad(source, "changes the embeddings, which this model shares with its output matrix, so that they cannot change alone");
        return Find(WeightName.TokenEmbedding, source);
    }

    private GgufTensor Find(string name, string source) => _model.Tensors.TryGetValue(name, out GgufTensor? tensor)
        ? tensor
        : throw Bad(source, $"changes {name}, which the model does not have");

    private int Heads(Part part, int block, string source)
    {
        string prefix = $"{_model.Architecture}.attention.head_count";
        long? heads = _model.GetInteger(prefix, block);
        if (part == Part.Key) heads = _model.GetInteger(prefix + "_kv", block) ?? heads;
        return heads is > 0 and <= int.MaxValue
            ? (int)heads
            : throw Bad(source, $"cannot be placed: the model does not say how many heads block {block} has");
    }

    private int HeadSize(string key, int heads, string source)
    {
        long size = _model.GetInteger($"{_model.Architecture}.attention.{key}")
            ?? (_model.GetInteger($"{_model.Architecture}.embedding_length") ?? 0) / heads;
        return size is > 0 and <= 1 << 16 ? (int)size
            : throw Bad(source, "cannot be placed: the model does not say how large its heads are");
    }

    private int Size(GgufTensor tensor, int axis, string source)
    {
        long size = tensor.Dimension(axis);
        return tensor.Ne.Length == 2 && size <= int.MaxValue
            ? (int)size
            : throw Bad(source, $"changes {tensor.Name}, which is not a matrix that llama.cpp adapts");
    }

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

    private static int[] Identity(int start, int count) => [.. Enumerable.Range(start, count)];

    private InputFileException Bad(string source, string problem) => InputFile.BadTensor(_adapter, source, problem);
}
