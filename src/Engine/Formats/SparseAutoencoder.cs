using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using EmScan.Kernels;

namespace EmScan.Engine.Formats;

/// <summary>The encoder of a sparse autoencoder on the residual stream after a block, as SAELens saves it.</summary>
/// <remarks>
/// A folder with cfg.json and sae_weights.safetensors (W_enc (D, F), b_enc (F), b_dec (D), threshold (F) of jumprelu; W_dec is not needed
/// to encode). Read are the architectures standard, topk and jumprelu; what is not, such as gated encoders and activations that are
/// normalised first, is refused by name. SAELens subtracts b_dec from its input unless apply_b_dec_to_input is false; here it is folded
/// into the bias, b_enc - b_dec W_enc, in float64. Layout: https://github.com/jbloomAus/SAELens. Immutable.
/// </remarks>
internal sealed class SparseAutoencoder
{
    private const int MostConfigurationBytes = 1 << 20;

    private SparseAutoencoder(string path, int layer, SparseEncoderWeights encoder)
    {
        (Path, Layer, Encoder) = (path, layer, encoder);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (ReadOnlyMemory<float> part in (ReadOnlyMemory<float>[])[encoder.Weights, encoder.Bias, encoder.Thresholds]) Append(hash, part);
        hash.AppendData(BitConverter.GetBytes(encoder.K));
        Digest = Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The weights' file.</summary>
    public string Path { get; }

    /// <summary>Its folder's name, which is what people call it.</summary>
    public string Name => System.IO.Path.GetFileName(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path)) ?? "");

    /// <summary>The block behind which it reads the residual stream, from 0.</summary>
    public int Layer { get; }

    /// <summary>Weights, bias and activation.</summary>
    public SparseEncoderWeights Encoder { get; }

    /// <summary>SHA-256 of what encodes, hex: two of the same give the same activations.</summary>
    public string Digest { get; }

    /// <summary>Reads a sparse autoencoder.</summary>
    /// <param name="path">The folder, or the weights in it.</param>
    /// <exception cref="InputFileException">A file is missing, malformed, or of a kind that is not supported.</exception>
    public static SparseAutoencoder Read(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        string weightsPath = Directory.Exists(path) ? System.IO.Path.Combine(path, "sae_weights.safetensors") : path;
        string configurationPath = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(weightsPath) ?? "", "cfg.json");
        using var weights = SafetensorsFile.Open(weightsPath);
        Configuration configuration = JsonInput.Parse(
            configurationPath, InputFile.ReadSmall(configurationPath, MostConfigurationBytes), json => Parse(configurationPath, json));

        SafetensorsTensor matrix = weights.Tensors.GetValueOrDefault("W_enc")
            ?? throw new InputFileException(weightsPath, "has no tensor \"W_enc\"; it is not a sparse autoencoder as SAELens saves it");
        if (matrix.Shape.Length != 2 || matrix.Shape[0] < 1 || matrix.Shape[1] < 1 || matrix.ElementCount > Array.MaxLength)
            throw InputFile.BadTensor(weightsPath, "W_enc", $"has the shape {matrix.ShapeText}, not (width, latents)");
        int width = (int)matrix.Shape[0], latents = (int)matrix.Shape[1];
        float[] encoder = Transposed(InputFile.RequireFinite(weightsPath, "W_enc", weights.ReadFloat32("W_enc")), width, latents);
        float[] bias = Vector(weights, "b_enc", latents);
        if (configuration.SubtractsDecoderBias) Fold(Vector(weights, "b_dec", width), encoder, bias);
        float[] thresholds = configuration.Activation == SparseActivation.JumpRelu ? Vector(weights, "threshold", latents) : [];
        if (configuration.Activation == SparseActivation.TopK && configuration.K > latents)
            throw new InputFileException(configurationPath, $"keeps {configuration.K} latents of {latents}");
        return new SparseAutoencoder(
            weightsPath, configuration.Layer, new SparseEncoderWeights(encoder, bias, configuration.Activation, configuration.K, thresholds));
    }

    /// <summary>Makes sure that it can be of a model.</summary>
    /// <param name="width">D of the model.</param>
    /// <param name="layers">L of the model.</param>
    /// <exception cref="InputFileException">It is of another width, or of a layer that the model does not have.</exception>
    internal void RequireFor(int width, int layers)
    {
        if (Encoder.Dimension != width) throw new InputFileException(Path, $"is for a width of {Encoder.Dimension}; this model's is {width}");
        RequireLayer(layers);
    }

    /// <summary>Makes sure that a model has its layer.</summary>
    /// <exception cref="InputFileException">It has not.</exception>
    internal void RequireLayer(long layers)
    {
        if (Layer >= layers) throw new InputFileException(Path, $"is for layer {Layer}; this model's last is {layers - 1}");
    }

    private static Configuration Parse(string path, JsonElement json)
    {
        string architecture = JsonInput.Text(path, json, "architecture") ?? "standard";
        string activation = JsonInput.Text(path, json, "activation_fn") ?? JsonInput.Text(path, json, "activation_fn_str") ?? "relu";
        string normalised = JsonInput.Text(path, json, "normalize_activations") ?? "none";
        if (normalised != "none")
            throw new InputFileException(path, $"normalises activations (\"{InputFile.OneLine(normalised)}\"), which is not supported; fold it into the weights first");
        if (True(path, json, "finetuning_scaling_factor"))
            throw new InputFileException(path, "has a finetuning scaling factor, which is not supported; fold it into the weights first");
        SparseActivation kind = (architecture, activation) switch
        {
            ("topk", _) or ("standard", "topk") => SparseActivation.TopK,
            ("jumprelu", _) => SparseActivation.JumpRelu,
            ("standard", "relu") => SparseActivation.Relu,
            _ => throw new InputFileException(path, $"is of architecture \"{InputFile.OneLine(architecture)}\" with activation "
                + $"\"{InputFile.OneLine(activation)}\"; standard with relu or topk, topk, and jumprelu can be read"),
        };
        int k = 0;
        if (kind == SparseActivation.TopK)
        {
            long? given = JsonInput.Integer(path, json, "k");
            if (given is null && json.TryGetProperty("activation_fn_kwargs", out JsonElement options) && options.ValueKind == JsonValueKind.Object)
                given = JsonInput.Integer(path, options, "k");
            k = given is > 0 and <= int.MaxValue
                ? (int)given
                : throw new InputFileException(path, "does not say how many latents are kept, \"k\"");
        }

        // Older files have the flag off only where they say so.
        bool subtracts = !json.TryGetProperty("apply_b_dec_to_input", out _) || True(path, json, "apply_b_dec_to_input");
        return new Configuration(kind, k, subtracts, LayerOf(path, json));
    }

    private static int LayerOf(string path, JsonElement json)
    {
        string? hook = JsonInput.Text(path, json, "hook_name");
        if (hook is null && json.TryGetProperty("metadata", out JsonElement metadata) && metadata.ValueKind == JsonValueKind.Object)
            hook = JsonInput.Text(path, metadata, "hook_name");
        string[] parts = (hook ?? throw new InputFileException(path, "does not say its \"hook_name\"")).Split('.');
        bool named = parts.Length == 3 && parts[0] == "blocks" && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out _);
        int block = named ? int.Parse(parts[1], CultureInfo.InvariantCulture) : -1;
        int layer = named ? parts[2] switch { "hook_resid_post" => block, "hook_resid_pre" => block - 1, _ => -1 } : -1;
        return layer >= 0 ? layer : throw new InputFileException(path,
            $"reads \"{InputFile.OneLine(hook)}\"; only the residual stream after a block can be read, blocks.N.hook_resid_post");
    }

    private static bool True(string path, JsonElement json, string key)
    {
        if (!json.TryGetProperty(key, out JsonElement value) || value.ValueKind is JsonValueKind.Null or JsonValueKind.False) return false;
        return value.ValueKind == JsonValueKind.True ? true : throw new InputFileException(path, $"has a \"{key}\" that is neither true nor false");
    }

    private static float[] Vector(SafetensorsFile file, string name, int length)
    {
        if (!file.Tensors.TryGetValue(name, out SafetensorsTensor? tensor)) throw new InputFileException(file.Path, $"has no tensor \"{name}\"");
        return tensor.ElementCount == length
            ? InputFile.RequireFinite(file.Path, name, file.ReadFloat32(name))
            : throw InputFile.BadTensor(file.Path, name, $"has {tensor.ElementCount} numbers where {length} are due");
    }

    private static float[] Transposed(float[] matrix, int rows, int columns)
    {
        var result = new float[matrix.Length];
        const int Tile = 32; // both matrices a few cache lines at a time
        for (int top = 0; top < rows; top += Tile)
        {
            for (int left = 0; left < columns; left += Tile)
            {
                for (int r = top; r < Math.Min(top + Tile, rows); r++)
                {
                    for (int c = left; c < Math.Min(left + Tile, columns); c++) result[(c * rows) + r] = matrix[(r * columns) + c];
                }
            }
        }

        return result;
    }

    private static void Fold(float[] decoderBias, float[] encoder, float[] bias)
    {
        for (int f = 0; f < bias.Length; f++)
        {
            double product = 0;
            for (int d = 0; d < decoderBias.Length; d++) product += (double)decoderBias[d] * encoder[(f * decoderBias.Length) + d];
            bias[f] = (float)(bias[f] - product);
        }
    }

    private static void Append(IncrementalHash hash, ReadOnlyMemory<float> numbers)
    {
        const int Piece = 1 << 26; // a span of bytes has at most 2^31
        for (int first = 0; first < numbers.Length; first += Piece)
            hash.AppendData(MemoryMarshal.AsBytes(numbers.Span.Slice(first, Math.Min(Piece, numbers.Length - first))));
    }

    private sealed record Configuration(SparseActivation Activation, int K, bool SubtractsDecoderBias, int Layer);
}
