using System.Collections.Frozen;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Measuring;

/// <summary>
/// What a model does after its last block, as its file describes it: the final norm, the vocabulary matrix, and what is done to the
/// logits. Architectures of which this is not known are refused by name.
/// </summary>
/// <remarks>
/// <code>
/// RMS norm     N(v) = g v / sqrt(mean v^2 + eps)
/// layer norm   N(v) = g (v - mean v) / sqrt(mean (v - mean v)^2 + eps) + b
/// logits       cap tanh(scale (U N(v) + bias) / cap), without the cap where there is none
/// </code>
/// <para>Zhang and Sennrich 2019 (arXiv 1910.07467), Ba, Kiros and Hinton 2016 (arXiv 1607.06450); which model has which: the graphs of
/// llama.cpp (src/models). Immutable.</para>
/// </remarks>
internal sealed class OutputHead
{
    /// <summary>Architectures whose last block is followed by one norm, one matrix, and what the file's own keys say.</summary>
    private static readonly FrozenSet<string> Known = FrozenSet.Create(
        "apertus", "arcee", "arctic", "baichuan", "bitnet", "bloom", "chatglm", "codeshell", "cohere2", "command-r", "dbrx", "deepseek",
        "deepseek2", "dots1", "ernie4_5", "ernie4_5-moe", "exaone", "exaone4", "falcon", "falcon-h1", "gemma", "gemma2", "gemma3", "glm4",
        "glm4moe", "gpt-oss", "gpt2", "gptneox", "granite", "granitemoe", "granitehybrid", "grok", "hunyuan-dense", "hunyuan-moe",
        "internlm2", "jais", "jamba", "llama", "llama4", "mamba", "mamba2", "mistral3", "mpt", "nemotron", "nemotron_h", "olmo", "olmo2",
        "olmoe", "openelm", "orion", "phi2", "phi3", "plamo", "qwen", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "qwen3next", "refact",
        "seed_oss", "smollm3", "stablelm", "starcoder", "starcoder2", "xverse");

    private static readonly FrozenSet<string> Multiplied = FrozenSet.Create("command-r", "cohere2", "grok");
    private static readonly FrozenSet<string> Divided = FrozenSet.Create("granite", "granitemoe", "granitehybrid");
    private static readonly FrozenSet<string> Capped = FrozenSet.Create("gemma2", "gemma3", "grok");

    private OutputHead(GgufFile model, GgufTensor matrix)
    {
        (Model, Matrix) = (model, matrix);
        Width = (int)matrix.Dimension(0);
        Vocabulary = (int)matrix.Dimension(1);
    }

    /// <summary>The file.</summary>
    public GgufFile Model { get; }

    /// <summary>The vocabulary matrix U (V, D): output.weight, or the embeddings where the model has them serve as both.</summary>
    public GgufTensor Matrix { get; }

    /// <summary>D.</summary>
    public int Width { get; }

    /// <summary>V.</summary>
    public int Vocabulary { get; }

    /// <summary>Whether the norm takes the mean off.</summary>
    public required bool Centred { get; init; }

    /// <summary>Added to the mean square.</summary>
    public required double Epsilon { get; init; }

    /// <summary>g (D); ones where the norm has no weight.</summary>
    public required float[] NormWeight { get; init; }

    /// <summary>b (D), or null.</summary>
    public required float[]? NormBias { get; init; }

    /// <summary>(V), or null.</summary>
    public required float[]? Bias { get; init; }

    /// <summary>Factor on the logits.</summary>
    public required double Scale { get; init; }

    /// <summary>Where the logits level off, or 0.</summary>
    public required double Cap { get; init; }

    /// <summary>Reads what the file says.</summary>
    /// <exception cref="InputFileException">The architecture is not known here, the file lacks something, or it cannot be read.</exception>
    public static OutputHead Of(GgufFile model)
    {
        string name = model.Architecture;
        if (!Known.Contains(name))
        {
            throw new InputFileException(model.Path, $"is of architecture \"{InputFile.OneLine(name)}\", whose final norm and output "
                + "are not known here; no token can be read from its states");
        }

        if (!model.Tensors.TryGetValue(WeightName.Output, out GgufTensor? matrix)
            && !model.Tensors.TryGetValue(WeightName.TokenEmbedding, out matrix))
            throw new InputFileException(model.Path, "has neither output.weight nor token_embd.weight; it is not a complete model");

        bool centred = IsCentred(model);
        long width = matrix.Dimension(0);
        float[]? weight = Vector(model, "output_norm.weight", width), normBias = Vector(model, "output_norm.bias", width);
        if (weight is null && name != "olmo") throw new InputFileException(model.Path, "has no output_norm.weight");
        if (!centred && normBias is not null)
            throw new InputFileException(model.Path, "has an output_norm.bias beside an RMS norm, which is not known here");
        return new OutputHead(model, matrix)
        {
            Centred = centred,
            Epsilon = Number(model, $"{name}.attention.{(centred ? "layer_norm_epsilon" : "layer_norm_rms_epsilon")}") ?? 0,
            NormWeight = weight ?? [.. Enumerable.Repeat(1f, (int)width)],
            NormBias = normBias,
            Bias = Vector(model, "output.bias", matrix.Dimension(1)),
            Scale = LogitScale(model),
            Cap = LogitCap(model),
        };
    }

    /// <summary>The final norm of states, summed in float64.</summary>
    /// <param name="states">(T, D).</param>
    /// <param name="normalized">(T, D), overwritten.</param>
    /// <param name="withBias">Whether the norm's bias is added.</param>
    public void Normalize(ReadOnlySpan<float> states, Span<float> normalized, bool withBias)
    {
        for (; states.Length > 0; states = states[Width..], normalized = normalized[Width..])
        {
            ReadOnlySpan<float> state = states[..Width];
            double mean = 0, squares = 0;
            for (int d = 0; Centred && d < state.Length; d++) mean += state[d];
            mean /= Width;
            foreach (float value in state) squares += (value - mean) * (value - mean);
            double factor = 1 / Math.Sqrt(squares / Width + Epsilon);
            for (int d = 0; d < state.Length; d++)
            {
                double bias = withBias && NormBias is not null ? NormBias[d] : 0;
                normalized[d] = (float)(NormWeight[d] * ((state[d] - mean) * factor) + bias);
            }
        }
    }

    private static bool IsCentred(GgufFile model)
    {
        string prefix = $"{model.Architecture}.attention.layer_norm";
        bool rms = model.Metadata.ContainsKey($"{prefix}_rms_epsilon"), centred = model.Metadata.ContainsKey($"{prefix}_epsilon");
        return rms != centred
            ? centred
            : throw new InputFileException(model.Path,
                $"has {(rms ? "both" : "neither of")} {prefix}_rms_epsilon and {prefix}_epsilon; one says what its final norm is");
    }

    private static double LogitScale(GgufFile model)
    {
        string name = model.Architecture, key = $"{name}.logit_scale";
        double? scale = Number(model, key);
        bool multiplied = Multiplied.Contains(name), divided = Divided.Contains(name);
        if (scale is null && multiplied) throw new InputFileException(model.Path, $"does not say its {key}");
        if (scale is null or 0) return 1;
        if (!multiplied && !divided)
            throw new InputFileException(model.Path, $"has {key} = {scale}, which is not known of this architecture");
        return divided ? 1 / scale.Value : scale.Value;
    }

    private static double LogitCap(GgufFile model)
    {
        string name = model.Architecture, key = $"{name}.final_logit_softcapping";
        double cap = Number(model, key) ?? (name == "gemma2" ? 30 : 0); // llama.cpp's default
        return cap == 0 || Capped.Contains(name)
            ? cap
            : throw new InputFileException(model.Path, $"has {key} = {cap}, which is not known of this architecture");
    }

    private static double? Number(GgufFile model, string key)
    {
        if (!model.Metadata.TryGetValue(key, out GgufValue? value)) return null;
        return !value.IsArray && value.IsFloat && double.IsFinite(value.AsNumber())
            ? value.AsNumber()
            : throw new InputFileException(model.Path, $"has a {key} that is not a number");
    }

    private static float[]? Vector(GgufFile model, string name, long length)
    {
        if (!model.Tensors.TryGetValue(name, out GgufTensor? tensor)) return null;
        return tensor.ElementCount == length
            ? model.ReadFloat32(tensor)
            : throw InputFile.BadTensor(model.Path, name, $"has {tensor.ElementCount} numbers where {length} are due");
    }
}
