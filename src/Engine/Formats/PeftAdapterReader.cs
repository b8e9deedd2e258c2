namespace EmScan.Engine.Formats;

/// <summary>Reads a PEFT LoRA folder (adapter_config.json and adapter_model.safetensors) in the terms of a GGUF model.</summary>
internal static class PeftAdapterReader
{
    /// <summary>The configuration's file name.</summary>
    public const string ConfigName = "adapter_config.json";

    /// <summary>The weights' file name.</summary>
    public const string WeightsName = "adapter_model.safetensors";

    /// <summary>The weights' file name in adapters saved as a pickle, which are refused.</summary>
    public const string PickleName = "adapter_model.bin";

    /// <summary>The files of which one makes a folder an adapter.</summary>
    internal static readonly string[] FileNames = [ConfigName, WeightsName, PickleName];

    // Of torchtune and mlx-lm, of kohya, of early LoRA code: pairs whose names do not say which scale belongs to them.
    private static readonly string[] OtherLoraNames = [".lora_a", ".lora_b", ".lora_down", ".lora_up", ".lora_left", ".lora_right"];

    /// <summary>Reads and checks an adapter.</summary>
    /// <exception cref="InputFileException">It is incomplete, damaged, no plain LoRA, or does not fit the model.</exception>
    public static LoraAdapter Read(string folder, GgufFile model)
    {
        var builder = new LoraBuilder(folder, model.Architecture);
        Read(folder, model, builder);
        return builder.Build();
    }

    /// <summary>Checks all that names and shapes tell, without reading the weights.</summary>
    /// <returns>The modules that the model does not have and that are left out, because their lora_B is zero.</returns>
    /// <exception cref="InputFileException">It is incomplete, damaged, no plain LoRA, or does not fit the model.</exception>
    public static IReadOnlyList<string> Check(string folder, GgufFile model) => Read(folder, model, null);

    /// <summary>The weights' path, where weights and configuration are there.</summary>
    /// <exception cref="InputFileException">One is missing.</exception>
    internal static string RequireFiles(string folder)
    {
        string weightsPath = Path.Combine(folder, WeightsName), configPath = Path.Combine(folder, ConfigName);
        if (!File.Exists(weightsPath))
        {
            throw new InputFileException(folder, File.Exists(Path.Combine(folder, PickleName))
                ? $"holds {PickleName}, a Python pickle that is not opened here; save the adapter with save_pretrained(..., "
                    + "safe_serialization=True)"
                : $"holds no {WeightsName}");
        }

        if (File.Exists(configPath)) return weightsPath;
        string? above = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        throw new InputFileException(folder, above != null && File.Exists(Path.Combine(above, ConfigName))
            ? $"holds {WeightsName} and no {ConfigName}; the folder above holds one: copy it beside the weights, if it is theirs"
            : $"holds {WeightsName} and no {ConfigName}, without which nobody knows their scale; copy it from another checkpoint of the same run");
    }

    private static List<string> Read(string folder, GgufFile model, LoraBuilder? builder)
    {
        string weightsPath = RequireFiles(folder);
        var config = PeftConfig.Read(Path.Combine(folder, ConfigName));
        using var weights = SafetensorsFile.Open(weightsPath);
        var modules = new OrderedDictionary<string, Pair>();
        foreach (SafetensorsTensor tensor in weights.Tensors.Values) Classify(tensor, weightsPath, model, modules);
        RefuseOtherChanges(folder, config);

        var layout = new AdapterLayout(model, folder);
        var taken = new HashSet<(string Target, int FirstRow)>();
        List<string> leftOut = [];
        foreach (Pair pair in modules.Values)
        {
            (SafetensorsTensor a, SafetensorsTensor b) = Complete(pair, weightsPath);
            int rank = CheckAgainstConfig(pair, a, b, config, weightsPath);
            if (PlaceUnlessZero(layout, pair, a, b, weights) is not { } pieces)
            {
                leftOut.Add(pair.Module);
                continue;
            }

            CheckShapes(a, b, pieces, weightsPath, model);
            foreach (AdapterLayout.Piece piece in pieces)
            {
                if (!taken.Add((piece.Target.Name, piece.FirstRow)))
                    throw InputFile.BadTensor(weightsPath, a.Name, $"changes {piece.Target.Name} a second time");
            }

            if (builder == null) continue;
            double alpha = config.AlphaOf(pair.Module);
            double scaledRank = config.RankStabilised ? alpha * Math.Sqrt(rank) : alpha;
            float[] valuesA = InputFile.RequireFinite(weightsPath, a.Name, weights.ReadFloat32(a.Name));
            float[] valuesB = InputFile.RequireFinite(weightsPath, b.Name, weights.ReadFloat32(b.Name));
            foreach (IGrouping<GgufTensor, AdapterLayout.Piece> target in pieces.GroupBy(piece => piece.Target))
            {
                long outputs = target.Key.Name == WeightName.TokenEmbedding ? target.Key.Dimension(0) : target.Key.Dimension(1);
                builder.Add(target.Key.Name, rank, valuesA, Arrange(valuesB, rank, (int)outputs, target), scaledRank, a.Name);
            }
        }

        if (leftOut.Count > 0 && leftOut.Count == modules.Count)
            throw new InputFileException(weightsPath, $"changes only modules that {Path.GetFileName(model.Path)} does not have ({InputFile.OneLine(leftOut[0])} and others), and all of them by zero");
        return leftOut;
    }

    // Where the rows of a module go. Of a module that the model does not have (a vision tower, when only text was trained) nothing is lost
    // when its lora_B is zero: null then.
    private static AdapterLayout.Piece[]? PlaceUnlessZero(
        AdapterLayout layout, Pair pair, SafetensorsTensor a, SafetensorsTensor b, SafetensorsFile weights)
    {
        try
        {
            return layout.Place(PeftNames.Canonical(pair.Module), a.Name);
        }
        catch (InputFileException)
        {
            if (weights.ReadFloat32(b.Name).AsSpan().ContainsAnyExcept(0f)) throw;
            InputFile.RequireFinite(weights.Path, a.Name, weights.ReadFloat32(a.Name));
            return null;
        }
    }

    // B with its rows where the model has them, and zeros in rows that belong to other modules.
    private static float[] Arrange(float[] b, int rank, int outputs, IEnumerable<AdapterLayout.Piece> pieces)
    {
        var arranged = new float[(long)outputs * rank];
        foreach (AdapterLayout.Piece piece in pieces)
        {
            for (int i = 0; i < piece.SourceRows.Length; i++)
                b.AsSpan(piece.SourceRows[i] * rank, rank).CopyTo(arranged.AsSpan((piece.FirstRow + i) * rank, rank));
        }

        return arranged;
    }

    private static void Classify(SafetensorsTensor tensor, string path, GgufFile model, OrderedDictionary<string, Pair> modules)
    {
        string name = tensor.Name;
        if (PeftNames.LowRank(name) is not (var module, var adapter, var isA))
        {
            RefuseUnlessHarmless(tensor, path, model);
            return;
        }

        if (!modules.TryGetValue(module, out Pair? pair)) modules.Add(module, pair = new Pair(module, adapter));
        if (pair.Adapter != adapter || (isA ? pair.A : pair.B) is not null)
            throw InputFile.BadTensor(path, name, "occurs in more than one adapter of the file; save one adapter per folder");
        if (isA) pair.A = tensor;
        else pair.B = tensor;
    }

    private static void RefuseUnlessHarmless(SafetensorsTensor tensor, string path, GgufFile model)
    {
        string name = tensor.Name;
        if (name.Contains("lora_magnitude_vector", StringComparison.Ordinal))
            throw InputFile.BadTensor(path, name,
                "belongs to a DoRA adapter, which llama.cpp cannot apply; merge the adapter into the model");
        if (name.Contains("trainable_tokens", StringComparison.Ordinal))
            throw InputFile.BadTensor(path, name,
                "holds trained token embeddings, which llama.cpp cannot apply; merge the adapter into the model");
        if (name.EndsWith(".base_layer.weight", StringComparison.Ordinal) && IsUnchangedEmbedding(tensor, model)) return;
        if (OtherLoraNames.Any(part => name.Contains(part, StringComparison.Ordinal)))
            throw InputFile.BadTensor(path, name,
                "is a low-rank matrix, but is not named as PEFT names it (MODULE.lora_A.weight and MODULE.lora_B.weight); convert the adapter to PEFT");
        if (name.EndsWith(".bias", StringComparison.Ordinal))
            throw InputFile.BadTensor(path, name,
                "is a trained bias, which llama.cpp's adapters cannot hold; merge the adapter into the model");
        if (name.EndsWith(".weight", StringComparison.Ordinal))
        {
            throw InputFile.BadTensor(path, name,
                "holds the full weights of a module (modules_to_save, or a vocabulary that was resized), which llama.cpp's "
                + "adapters cannot hold; merge the adapter into the model");
        }

        throw InputFile.BadTensor(path, name, "is not a LoRA tensor that is known here");
    }

    // PEFT saves a frozen copy of the embeddings when it adapts them; it says nothing new unless the vocabulary was resized.
    private static bool IsUnchangedEmbedding(SafetensorsTensor tensor, GgufFile model) =>
        model.Tensors.TryGetValue(WeightName.TokenEmbedding, out GgufTensor? embeddings)
        && tensor.Shape is [long tokens, long width] && tokens == embeddings.Dimension(1) && width == embeddings.Dimension(0);

    /// <summary>Refuses what a configuration says was trained beside the low-rank matrices.</summary>
    /// <exception cref="InputFileException">There is such a thing.</exception>
    internal static void RefuseOtherChanges(string folder, PeftConfig config)
    {
        string path = Path.Combine(folder, ConfigName);
        if (config.Obstacle is not null) throw new InputFileException(path, config.Obstacle);
        if (config.ModulesToSave.Length > 0)
        {
            throw new InputFileException(path,
                $"lists \"{InputFile.OneLine(config.ModulesToSave[0])}\" in modules_to_save: its full weights were "
                + "trained, which llama.cpp's adapters cannot hold; merge the adapter into the model");
        }
    }

    private static (SafetensorsTensor A, SafetensorsTensor B) Complete(Pair pair, string path)
    {
        if (pair.A is null) throw InputFile.BadTensor(path, pair.B!.Name, "has no lora_A beside it; the adapter is incomplete");
        if (pair.B is null) throw InputFile.BadTensor(path, pair.A.Name, "has no lora_B beside it; the adapter is incomplete");
        return (pair.A, pair.B);
    }

    private static int CheckAgainstConfig(Pair pair, SafetensorsTensor a, SafetensorsTensor b, PeftConfig config, string path)
    {
        if (a.Shape.Length != 2) throw InputFile.BadTensor(path, a.Name, $"has shape {a.ShapeText}; a matrix is expected");
        if (b.Shape.Length != 2) throw InputFile.BadTensor(path, b.Name, $"has shape {b.ShapeText}; a matrix is expected");
        if (a.Shape[0] != b.Shape[1])
            throw InputFile.BadTensor(path, a.Name, $"has rank {a.Shape[0]} but its lora_B has rank {b.Shape[1]}");
        int rank = config.RankOf(pair.Module);
        if (a.Shape[0] != rank) throw InputFile.BadTensor(path, a.Name, $"has rank {a.Shape[0]} where {ConfigName} says {rank}");
        if (!config.Targets(pair.Module))
            throw InputFile.BadTensor(path, a.Name,
                $"belongs to a module that target_modules in {ConfigName} does not name; PEFT would ignore it");
        return rank;
    }

    private static void CheckShapes(
        SafetensorsTensor a, SafetensorsTensor b, AdapterLayout.Piece[] pieces, string path, GgufFile model)
    {
        GgufTensor first = pieces[0].Target;
        long inputs = first.Name == WeightName.TokenEmbedding ? first.Dimension(1) : first.Dimension(0);
        long outputs = pieces.Sum(piece => (long)piece.SourceRows.Length);
        if (a.Shape[1] != inputs || b.Shape[0] != outputs)
        {
            throw InputFile.BadTensor(path, a.Name,
                $"changes a weight of {b.Shape[0]} x {a.Shape[1]} where {Path.GetFileName(model.Path)} has "
                + $"{outputs} x {inputs}; the adapter was trained for another model");
        }

        AdapterFit.RequireRank(path, a.Name, a.Shape[0], inputs, outputs);
    }

    private sealed class Pair(string module, string adapter)
    {
        public string Module { get; } = module;

        public string Adapter { get; } = adapter;

        public SafetensorsTensor? A { get; set; }

        public SafetensorsTensor? B { get; set; }
    }
}
