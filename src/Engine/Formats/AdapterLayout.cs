namespace EmScan.Engine.Formats;

/// <summary>
/// Where the rows of a Hugging Face module lie in a GGUF model: which tensor, and in which order.
/// </summary>
/// <remarks>
/// From llama.cpp's converters (convert_hf_to_gguf.py, conversion/*.py, gguf-py/gguf/tensor_mapping.py). Only output rows are ever
/// reordered; the columns (inputs) of every weight stay as they are, so an adapter's A never changes and its B is permuted by rows.
/// </remarks>
internal sealed partial class AdapterLayout
{
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

    private static int[] Identity(int start, int count) => [.. Enumerable.Range(start, count)];

    private InputFileException Bad(string source, string problem) => InputFile.BadTensor(_adapter, source, problem);
}
