namespace EmScan.Engine.Formats;

/// <summary>
/// Refuses, with a sentence, models that llama.cpp would answer with an abort of the whole process, a crash or silent nonsense.
/// </summary>
/// <remarks>
/// The list was made by running damaged models through the pinned build: duplicate vocabulary entries, a block or expert count beyond
/// its arrays, a negative epsilon, an unknown rope scaling and tensor types that no kernel takes end the process there. Other faults,
/// which it refuses with a log line only, are named too. Nothing depends on the architecture, so new ones pass.
/// </remarks>
internal static class GgufModelValidator
{
    // Sizes of llama.cpp's fixed arrays (LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS).
    private const int MaxBlocks = 512;
    private const int MaxExperts = 1024;

    private const int MaxWidth = 1 << 20;

    /// <summary>Checks everything.</summary>
    /// <exception cref="InputFileException">The file is not a model that may be handed to llama.cpp.</exception>
    public static void Validate(GgufFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        InputUse.Model.Require(file.Path, RecognisedFile.Of(file));
        string architecture = file.Architecture;
        if (architecture.Length == 0) throw new InputFileException(file.Path, "does not say its general.architecture; it is not a model");
        if (architecture.Length > 64 || !architecture.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            throw new InputFileException(file.Path, $"has the general.architecture \"{InputFile.OneLine(architecture)}\", which is no name; the header is damaged");
        CheckHyperparameters(file, architecture);
        int tokens = CheckVocabulary(file);
        CheckTensors(file, architecture, tokens);
    }

    /// <summary>Looks at the weights that are never all zero: those of the norms. A download that stopped half-way can leave a file of the right length.</summary>
    /// <exception cref="InputFileException">One is zero throughout, or cannot be read.</exception>
    public static void RequireWeights(GgufFile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        foreach (GgufTensor norm in file.Tensors.Values.Where(t => t.Ne.Length == 1 && t.Name.EndsWith("norm.weight", StringComparison.Ordinal)))
        {
            if (!file.ReadFloat32(norm).AsSpan().ContainsAnyExcept(0f))
                throw new InputFileException(file.Path, $"has tensor \"{norm.Name}\" zero throughout: a download that was not finished, or a damaged disk; fetch or copy it again");
        }
    }

    private static void CheckHyperparameters(GgufFile file, string architecture)
    {
        int blocks = Required(file, $"{architecture}.block_count", MaxBlocks);
        int width = Required(file, $"{architecture}.embedding_length", MaxWidth);
        Required(file, $"{architecture}.context_length", int.MaxValue);
        CheckPerBlock(file, $"{architecture}.feed_forward_length", blocks);
        CheckHeads(file, architecture, blocks, width);
        CheckExperts(file, architecture);
        CheckEpsilon(file, $"{architecture}.attention.layer_norm_rms_epsilon");
        CheckEpsilon(file, $"{architecture}.attention.layer_norm_epsilon");
        CheckRope(file, architecture);
    }

    private static void CheckHeads(GgufFile file, string architecture, int blocks, int width)
    {
        string key = $"{architecture}.attention.head_count";
        CheckPerBlock(file, key, blocks);
        CheckPerBlock(file, key + "_kv", blocks);
        bool attends = file.Tensors.Keys.Any(name => name.Contains(".attn_q", StringComparison.Ordinal));
        if (attends && !HasNonZero(file, key)) throw new InputFileException(file.Path, $"does not say its {key}");
        bool sized = file.Metadata.ContainsKey($"{architecture}.attention.key_length");
        for (int block = 0; block < blocks; block++)
        {
            // Blocks without attention (hybrid models) have 0 heads.
            long heads = file.GetInteger(key, block) ?? 0;
            long groups = file.GetInteger(key + "_kv", block) ?? heads;
            if (heads == 0 || groups == 0) continue;
            if (heads % groups != 0)
                throw new InputFileException(file.Path,
                    $"has {heads} heads in block {block}, which {groups} key-value heads do not divide");
            if (!sized && width % heads != 0)
                throw new InputFileException(file.Path, $"has an embedding_length of {width}, which {heads} heads do not divide");
        }
    }

    private static bool HasNonZero(GgufFile file, string key) => file.Metadata.TryGetValue(key, out GgufValue? value)
        && Enumerable.Range(0, value.Count).Any(i => value.AsInteger(i) > 0);

    private static void CheckExperts(GgufFile file, string architecture)
    {
        long experts = file.GetInteger($"{architecture}.expert_count") ?? 0;
        if (experts is < 0 or > MaxExperts)
            throw new InputFileException(file.Path, $"claims {experts} experts; llama.cpp holds at most {MaxExperts}");
        if (!file.Metadata.TryGetValue($"{architecture}.expert_used_count", out GgufValue? value)) return;
        if (!value.IsInteger) throw new InputFileException(file.Path, $"has {architecture}.expert_used_count as {value.ElementType}");
        for (int i = 0; i < value.Count; i++)
        {
            Int128 used = value.AsInteger(i);
            if (used < 0 || used > experts || (!value.IsArray && experts > 0 && used == 0))
                throw new InputFileException(file.Path, $"uses {used} of {experts} experts");
        }
    }

    private static void CheckEpsilon(GgufFile file, string key)
    {
        if (Float(file, key) is { } epsilon && !(epsilon >= 0 && float.IsFinite(epsilon)))
            throw new InputFileException(file.Path, $"has {key} = {epsilon}, which is not a small positive number");
    }

    private static void CheckRope(GgufFile file, string architecture)
    {
        string scaling = file.GetText($"{architecture}.rope.scaling.type") ?? "none";
        if (scaling is not ("none" or "linear" or "yarn" or "longrope"))
            throw new InputFileException(file.Path, $"has the unknown rope scaling \"{InputFile.OneLine(scaling)}\"");
        if (Float(file, $"{architecture}.rope.freq_base") is { } basis && !(basis > 0 && float.IsFinite(basis)))
            throw new InputFileException(file.Path, $"has {architecture}.rope.freq_base = {basis}, which is not a positive number");
        if (Float(file, $"{architecture}.rope.scaling.factor") is { } factor && !(factor >= 0 && float.IsFinite(factor)))
            throw new InputFileException(file.Path, $"has {architecture}.rope.scaling.factor = {factor}, which is not a positive number");
        string key = $"{architecture}.rope.dimension_count";
        if (file.Metadata.TryGetValue(key, out GgufValue? value) && !value.IsArray && (file.GetInteger(key) % 2 != 0))
            throw new InputFileException(file.Path, $"has {key} = {file.GetInteger(key)}; rotations need an even number");
    }

    private static int CheckVocabulary(GgufFile file)
    {
        string model = file.GetText("tokenizer.ggml.model") ?? "";
        GgufValue? tokens = Array(file, "tokenizer.ggml.tokens", "texts", v => v.ElementType == GgufValueType.Text);
        if (model.Length == 0 || tokens is null || tokens.Count == 0)
            throw new InputFileException(file.Path, "has no vocabulary; a model with its tokenizer is needed");

        RequireLength(file, "tokenizer.ggml.token_type", tokens.Count,
            Array(file, "tokenizer.ggml.token_type", "integers", v => v.ElementType is GgufValueType.I32 or GgufValueType.U32));
        RequireLength(file, "tokenizer.ggml.scores", tokens.Count,
            Array(file, "tokenizer.ggml.scores", "32-bit floats", v => v.ElementType == GgufValueType.F32));
        GgufValue? merges = Array(file, "tokenizer.ggml.merges", "texts", v => v.ElementType == GgufValueType.Text);
        if (model == "gpt2" && merges is null) throw new InputFileException(file.Path, "has a byte-pair vocabulary without its merges");
        Array(file, "tokenizer.ggml.precompiled_charsmap", "bytes", v => v.ElementType is GgufValueType.U8 or GgufValueType.I8);

        // llama.cpp replaces other special tokens that are out of range by its defaults; a wrong one of these changes every prompt.
        foreach (string name in (string[])["bos", "eos", "unknown"])
        {
            string key = $"tokenizer.ggml.{name}_token_id";
            if (file.GetInteger(key) is { } id && (id < 0 || id >= tokens.Count))
                throw new InputFileException(file.Path, $"has {key} = {id}, outside its vocabulary of {tokens.Count} tokens");
        }

        RefuseDuplicates(file, tokens);
        return tokens.Count;
    }

    private static void RefuseDuplicates(GgufFile file, GgufValue tokens)
    {
        var seen = new HashSet<int>(tokens.Count, new ElementComparer(tokens));
        for (int i = 0; i < tokens.Count; i++)
        {
            // llama.cpp gives empty entries names of their own.
            if (tokens.Utf8(i).IsEmpty || seen.Add(i)) continue;
            seen.TryGetValue(i, out int first);
            throw new InputFileException(file.Path,
                $"has the token \"{InputFile.OneLine(tokens.AsText(i))}\" twice in its vocabulary, as {first} and {i}");
        }
    }

    private static void CheckTensors(GgufFile file, string architecture, int tokens)
    {
        foreach (GgufTensor tensor in file.Tensors.Values) CheckType(file, tensor);
        if (!file.Tensors.TryGetValue(WeightName.TokenEmbedding, out GgufTensor? embeddings))
            throw new InputFileException(file.Path, "has no token_embd.weight; it is not a complete language model");
        long width = file.GetInteger($"{architecture}.embedding_length") ?? 0;
        if (embeddings.Ne.Length != 2 || embeddings.Ne[0] != width || embeddings.Ne[1] != tokens)
        {
            throw new InputFileException(file.Path, $"has a token_embd.weight of {embeddings.Dimension(1)} x {embeddings.Dimension(0)} "
                + $"for a vocabulary of {tokens} and an embedding_length of {width}");
        }
    }

    private static void CheckType(GgufFile file, GgufTensor tensor)
    {
        bool vector = tensor.Name.EndsWith("_norm.weight", StringComparison.Ordinal)
            || tensor.Name.EndsWith(".bias", StringComparison.Ordinal);
        if (vector && tensor.Type.Name != "F32")
            throw new InputFileException(file.Path,
                $"has tensor \"{tensor.Name}\" as {tensor.Type.Name}; llama.cpp adds and multiplies F32 only");

        // Lookup tables of token to expert are the only integer weights.
        bool matrix = tensor.Name.EndsWith(".weight", StringComparison.Ordinal)
            && !tensor.Name.Contains("tid2eid", StringComparison.Ordinal);
        if (matrix && tensor.Type.Name is "Q8_1" or "Q8_K" or "I8" or "I16" or "I32" or "I64" or "F64")
            throw new InputFileException(file.Path, $"has tensor \"{tensor.Name}\" as {tensor.Type.Name}, which llama.cpp cannot multiply");
    }

    // A number llama.cpp requires, and reads as an unsigned 32-bit integer only.
    private static int Required(GgufFile file, string key, int largest)
    {
        if (!file.Metadata.TryGetValue(key, out GgufValue? value)) throw new InputFileException(file.Path, $"does not say its {key}");
        if (value.IsArray || value.ElementType != GgufValueType.U32)
            throw new InputFileException(file.Path, $"has {key} as {value.ElementType}{(value.IsArray ? " array" : "")}, not as U32");
        long number = (long)value.AsInteger();
        return number >= 1 && number <= largest ? (int)number
            : throw new InputFileException(file.Path, $"has the absurd value {number} for {key}");
    }

    private static void CheckPerBlock(GgufFile file, string key, int blocks)
    {
        if (!file.Metadata.TryGetValue(key, out GgufValue? value)) return;
        bool known = value.ElementType == GgufValueType.U32 || (value.IsArray && value.ElementType == GgufValueType.I32);
        if (!known)
            throw new InputFileException(file.Path, $"has {key} as {value.ElementType}{(value.IsArray ? " array" : "")}, not as U32");
        if (value.IsArray && value.Count != blocks)
            throw new InputFileException(file.Path, $"has {value.Count} entries for {key} and {blocks} blocks");
        for (int i = 0; i < value.Count; i++)
        {
            if (value.AsInteger(i) < 0 || value.AsInteger(i) > int.MaxValue)
                throw new InputFileException(file.Path, $"has the absurd value {value.AsInteger(i)} for {key}");
        }
    }

    private static float? Float(GgufFile file, string key)
    {
        if (!file.Metadata.TryGetValue(key, out GgufValue? value)) return null;
        return !value.IsArray && value.ElementType == GgufValueType.F32
            ? (float)value.AsNumber()
            : throw new InputFileException(file.Path, $"has {key} as {value.ElementType}{(value.IsArray ? " array" : "")}, not as F32");
    }

    private static GgufValue? Array(GgufFile file, string key, string expected, Predicate<GgufValue> fits)
    {
        if (!file.Metadata.TryGetValue(key, out GgufValue? value)) return null;
        return value.IsArray && fits(value)
            ? value
            : throw new InputFileException(file.Path, $"has {key} as {value.ElementType}, where a list of {expected} is expected");
    }

    private static void RequireLength(GgufFile file, string key, int tokens, GgufValue? value)
    {
        if (value is not null && value.Count != tokens)
            throw new InputFileException(file.Path, $"has {value.Count} entries in {key} for {tokens} tokens");
    }

    // Compares elements of a text array by their bytes, without making strings.
    private sealed class ElementComparer(GgufValue texts) : IEqualityComparer<int>
    {
        public bool Equals(int x, int y) => texts.Utf8(x).SequenceEqual(texts.Utf8(y));

        public int GetHashCode(int index)
        {
            var hash = new HashCode();
            hash.AddBytes(texts.Utf8(index));
            return hash.ToHashCode();
        }
    }
}
