namespace EmScan.Engine.Formats;

/// <summary>Reads a LoRA GGUF file and checks it against the model, as llama.cpp does and a little more.</summary>
internal static class GgufLoraReader
{
    internal const string SuffixA = ".lora_a";
    internal const string SuffixB = ".lora_b";
    internal const string AlphaKey = "adapter.lora.alpha";

    /// <summary>Reads and checks an adapter.</summary>
    /// <exception cref="InputFileException">It is damaged, no LoRA, or does not fit the model.</exception>
    public static LoraAdapter Read(string path, GgufFile model)
    {
        var builder = new LoraBuilder(path, model.Architecture);
        Read(path, model, builder);
        return builder.Build();
    }

    /// <summary>Checks all that the header tells, without reading the weights.</summary>
    /// <returns>The weights that the model does not have and that are left out, because their lora_b is zero.</returns>
    /// <exception cref="InputFileException">It is damaged, no LoRA, or does not fit the model.</exception>
    public static IReadOnlyList<string> Check(string path, GgufFile model) => Read(path, model, null);

    private static List<string> Read(string path, GgufFile model, LoraBuilder? builder)
    {
        var file = GgufFile.Open(path);
        float alpha = CheckMetadata(file, model);
        int pairs = 0;
        List<string> leftOut = [];
        foreach (GgufTensor tensor in file.Tensors.Values)
        {
            if (tensor.Name.EndsWith(SuffixB, StringComparison.Ordinal))
            {
                Partner(file, tensor, SuffixB, SuffixA);
                continue;
            }

            if (!tensor.Name.EndsWith(SuffixA, StringComparison.Ordinal))
                throw InputFile.BadTensor(path, tensor.Name, "is neither a lora_a nor a lora_b; llama.cpp would ignore or refuse it");
            pairs++;
            GgufTensor b = Partner(file, tensor, SuffixA, SuffixB);
            string target = tensor.Name[..^SuffixA.Length];

            // Nothing is lost with a weight that the model does not have (a vision tower, when only text was trained) and that is not changed.
            if (!model.Tensors.ContainsKey(target) && IsZero(file, tensor, b)) leftOut.Add(target);
            else Read(file, tensor, b, model, alpha, builder);
        }

        if (pairs > 0 && leftOut.Count == pairs)
            throw new InputFileException(path, $"changes only weights that {Path.GetFileName(model.Path)} does not have ({InputFile.OneLine(leftOut[0])} and others), and all of them by zero");
        return leftOut;
    }

    private static bool IsZero(GgufFile file, GgufTensor a, GgufTensor b)
    {
        if (file.ReadFloat32(b).AsSpan().ContainsAnyExcept(0f)) return false;
        InputFile.RequireFinite(file.Path, a.Name, file.ReadFloat32(a));
        return true;
    }

    /// <summary>alpha of an adapter; null where the file does not say it as a finite 32-bit float.</summary>
    internal static double? FindAlpha(GgufFile file) =>
        file.Metadata.TryGetValue(AlphaKey, out GgufValue? value) && !value.IsArray && value.ElementType == GgufValueType.F32 && double.IsFinite(value.AsNumber()) ? value.AsNumber() : null;

    private static float CheckMetadata(GgufFile file, GgufFile model)
    {
        InputUse.Adapters.Require(file.Path, RecognisedFile.Of(file));
        string type = file.GetText("general.type") ?? "model";
        if (type != "adapter") throw new InputFileException(file.Path, $"is a GGUF file of type \"{InputFile.OneLine(type)}\", not an adapter");
        string kind = file.GetText("adapter.type") ?? "";
        if (kind != "lora")
            throw new InputFileException(file.Path, $"is an adapter of type \"{InputFile.OneLine(kind)}\"; only lora can be applied");
        if (file.Architecture != model.Architecture)
        {
            throw new InputFileException(file.Path,
                $"is an adapter for the architecture \"{InputFile.OneLine(file.Architecture)}\" but the model "
                + $"{Path.GetFileName(model.Path)} is \"{InputFile.OneLine(model.Architecture)}\"; it was trained for another model");
        }

        if (file.Metadata.ContainsKey("adapter.alora.invocation_tokens"))
            throw new InputFileException(file.Path, "is an Activated LoRA, which applies to a part of the tokens only");
        if (!file.Metadata.TryGetValue(AlphaKey, out GgufValue? alpha))
            throw new InputFileException(file.Path, "does not say its adapter.lora.alpha");
        if (alpha.IsArray || alpha.ElementType != GgufValueType.F32)
            throw new InputFileException(file.Path, "has an adapter.lora.alpha that is not a 32-bit float");
        var value = (float)alpha.AsNumber();
        return float.IsFinite(value) ? value : throw new InputFileException(file.Path, $"has adapter.lora.alpha = {value}");
    }

    private static void Read(GgufFile file, GgufTensor a, GgufTensor b, GgufFile model, float alpha, LoraBuilder? builder)
    {
        string target = a.Name[..^SuffixA.Length];
        if (!model.Tensors.TryGetValue(target, out GgufTensor? weight))
            throw InputFile.BadTensor(file.Path, a.Name,
                $"changes {target}, which the model does not have; the adapter was trained for another model");
        bool embedding = target == WeightName.TokenEmbedding;
        if (embedding && !model.Tensors.ContainsKey(WeightName.Output))
            throw InputFile.BadTensor(file.Path, a.Name, "changes the embeddings, which this model shares with its output matrix");
        if (weight.Ne.Length != 2 || a.Ne.Length != 2 || b.Ne.Length != 2)
            throw InputFile.BadTensor(file.Path, a.Name,
                "is not a pair of matrices for a matrix; adapters of expert tensors cannot be applied here");

        // The embeddings' A is stored transposed: ne = [R, vocabulary].
        (long rank, long inputs) = embedding ? (a.Ne[0], a.Ne[1]) : (a.Ne[1], a.Ne[0]);
        (long wantedInputs, long wantedOutputs) = embedding ? (weight.Ne[1], weight.Ne[0]) : (weight.Ne[0], weight.Ne[1]);
        if (rank != b.Ne[0]) throw InputFile.BadTensor(file.Path, a.Name, $"has rank {rank} but its lora_b has rank {b.Ne[0]}");
        if (inputs != wantedInputs || b.Ne[1] != wantedOutputs)
        {
            throw InputFile.BadTensor(file.Path, a.Name,
                $"changes a weight of {b.Ne[1]} x {inputs} where {Path.GetFileName(model.Path)} has "
                + $"{wantedOutputs} x {wantedInputs}; the adapter was trained for another model");
        }

        AdapterFit.RequireRank(file.Path, a.Name, rank, inputs, b.Ne[1]);
        if (builder == null) return;
        float[] valuesA = InputFile.RequireFinite(file.Path, a.Name, file.ReadFloat32(a));
        if (embedding) valuesA = LoraGgufWriter.Transpose(valuesA, (int)inputs);

        // llama.cpp's rule: alpha = 0 means a factor of 1, not of 0.
        double scaledRank = alpha == 0 ? rank : alpha;
        builder.Add(target, (int)rank, valuesA, InputFile.RequireFinite(file.Path, b.Name, file.ReadFloat32(b)), scaledRank, a.Name);
    }

    private static GgufTensor Partner(GgufFile file, GgufTensor tensor, string suffix, string other) =>
        file.Tensors.TryGetValue(tensor.Name[..^suffix.Length] + other, out GgufTensor? partner)
            ? partner
            : throw InputFile.BadTensor(file.Path, tensor.Name, $"has no {other[1..]} beside it; the adapter is incomplete");
}
