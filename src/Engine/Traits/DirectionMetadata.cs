using System.Globalization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Traits;

/// <summary>Where a set of directions comes from. A property is null when the file does not say.</summary>
/// <remarks>Immutable and thread safe, as long as nobody writes to <see cref="N0"/>.</remarks>
internal sealed record DirectionMetadata
{
    private const string FormatName = "emscan-directions";
    private const string FormatVersion = "1";

    /// <summary>SHA-256 of the base model's file, 64 hex digits.</summary>
    public string? ModelSha256 { get; init; }

    /// <summary>Name of the base model, for people.</summary>
    public string? ModelName { get; init; }

    /// <summary><see cref="TraitSet.ContentHash"/> of the trait set.</summary>
    public string? TraitSetSha256 { get; init; }

    /// <summary>Pooling, by the name of <see cref="ExtractionNames"/>.</summary>
    public string? Pooling { get; init; }

    /// <summary>Most tokens generated for a prompt where the pooling is over generated tokens; null for the other poolings.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>Estimator, by the name of <see cref="ExtractionNames"/>.</summary>
    public string? Method { get; init; }

    /// <summary>Everything the rendering of prompts depends on: <see cref="Runtime.IPromptEncoder.Identity"/>.</summary>
    public string? PromptIdentity { get; init; }

    /// <summary>Numeric mode of the forward passes, by the runtime's name for it.</summary>
    public string? Precision { get; init; }

    /// <summary>Layer to n0, the mean L2 norm of the evaluation prompts' hidden states at step 0, in activation units.</summary>
    public IReadOnlyDictionary<int, double>? N0 { get; init; }

    /// <summary>Seed of everything random in the extraction (validity figures only; no direction depends on it).</summary>
    public int? Seed { get; init; }

    /// <summary>The layer that was chosen for measuring, where one was; no direction depends on it.</summary>
    public int? ChosenLayer { get; init; }

    /// <summary>Program and version that wrote the file.</summary>
    public string? CreatedBy { get; init; }

    /// <summary>The metadata of a safetensors file, with the keys listed at <see cref="DirectionSet"/>.</summary>
    internal Dictionary<string, string> ToFile(IReadOnlyList<string> traits)
    {
        var file = new Dictionary<string, string>
        {
            ["format"] = FormatName,
            ["version"] = FormatVersion,
            ["traits"] = string.Join(',', traits),
            ["layer_convention"] = LayerConvention.Text,
        };
        foreach ((string key, string? value) in TextEntries())
        {
            if (value is not null) file[key] = value;
        }

        if (N0 is not null)
        {
            IEnumerable<string> pairs = N0.OrderBy(pair => pair.Key)
                .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key}:{pair.Value:R}"));
            file["n0"] = string.Join(',', pairs);
        }

        if (ChosenLayer is { } layer) file["chosen_layer"] = layer.ToString(CultureInfo.InvariantCulture);
        if (Seed is { } seed) file["seed"] = seed.ToString(CultureInfo.InvariantCulture);
        return file;
    }

    /// <summary>Reads the metadata of a safetensors file; one that was not written by emscan gives nulls.</summary>
    internal static DirectionMetadata FromFile(string path, IReadOnlyDictionary<string, string> file)
    {
        if (!file.TryGetValue("format", out string? format)) return new DirectionMetadata();
        if (format != FormatName)
            throw new InputFileException(path, $"is in the format '{InputFile.OneLine(format)}'; directions are in '{FormatName}'");
        string? version = Find("version");
        if (version != FormatVersion)
        {
            throw new InputFileException(
                path, $"has version '{InputFile.OneLine(version)}' of '{FormatName}', not {FormatVersion}; extract the directions again");
        }

        if (Find("layer_convention") is { } convention && convention != LayerConvention.Text)
            throw new InputFileException(path, $"counts layers in another way ({InputFile.OneLine(convention)}); extract them again");
        return new DirectionMetadata
        {
            ModelSha256 = Find("model_sha256"),
            ModelName = Find("model_name"),
            TraitSetSha256 = Find("trait_set_sha256"),
            Pooling = Find("pooling"),
            MaxNewTokens = FindInteger("max_new_tokens"),
            Method = Find("method"),
            PromptIdentity = Find("prompt_identity"),
            Precision = Find("precision"),
            CreatedBy = Find("created_by"),
            N0 = Find("n0") is { } n0 ? ParseN0(path, n0) : null,
            Seed = FindInteger("seed"),
            ChosenLayer = FindInteger("chosen_layer"),
        };

        string? Find(string key) => file.TryGetValue(key, out string? value) ? value : null;

        int? FindInteger(string key)
        {
            if (Find(key) is not { } text) return null;
            if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value)) return value;
            throw new InputFileException(path, $"the metadata entry {key} is '{InputFile.OneLine(text)}', not a whole number");
        }
    }

    /// <summary>The entries that are plain text, by their key in the file; those that decide whether a cached file still holds come
    /// first.</summary>
    internal IEnumerable<(string Key, string? Value)> TextEntries() => IdentityEntries().Concat(
    [
        ("model_name", ModelName),
        ("created_by", CreatedBy),
    ]);

    /// <summary>The entries that a direction depends on.</summary>
    internal IEnumerable<(string Key, string? Value)> IdentityEntries() =>
    [
        ("model_sha256", ModelSha256),
        ("trait_set_sha256", TraitSetSha256),
        ("method", Method),
        ("pooling", Pooling),
        ("max_new_tokens", MaxNewTokens?.ToString(CultureInfo.InvariantCulture)),
        ("prompt_identity", PromptIdentity),
        ("precision", Precision),
    ];

    private static Dictionary<int, double> ParseN0(string path, string text)
    {
        var n0 = new Dictionary<int, double>();
        foreach (string pair in text.Split(','))
        {
            string[] parts = pair.Split(':');
            if (parts.Length != 2
                || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int layer)
                || !double.TryParse(parts[1], NumberStyles.Float, CultureInfo.InvariantCulture, out double norm)
                || !(norm > 0) || !double.IsFinite(norm) || !n0.TryAdd(layer, norm))
            {
                throw new InputFileException(path, $"the metadata entry n0 is '{InputFile.OneLine(text)}', not a list of layer:norm");
            }
        }

        return n0;
    }
}
