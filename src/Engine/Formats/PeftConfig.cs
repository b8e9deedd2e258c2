using System.Text.Json;
using System.Text.RegularExpressions;

namespace EmScan.Engine.Formats;

/// <summary>
/// adapter_config.json of a PEFT LoRA adapter, as far as it decides what the weights mean.
/// </summary>
/// <remarks>
/// The rules are those of Hugging Face PEFT: rank_pattern and alpha_pattern match a module whose name is the pattern or ends in
/// ".pattern", as a regular expression, first match in the file's order; rsLoRA divides by sqrt(r).
/// </remarks>
internal sealed class PeftConfig
{
    /// <summary>Most bytes that a configuration can have.</summary>
    internal const int MaxBytes = 16 << 20;

    private static readonly TimeSpan MatchLimit = TimeSpan.FromSeconds(1);

    // Settings that change the forward pass; each is null, false or empty in a plain LoRA.
    private static readonly (string Key, string Meaning)[] Unsupported =
    [
        ("use_dora", "DoRA rescales the whole weight"),
        ("lora_bias", "a bias was trained beside the low-rank matrices"),
        ("layer_replication", "the adapted model has other layers than the base model"),
        ("alora_invocation_tokens", "Activated LoRA applies to a part of the tokens only"),
        ("use_qalora", "QALoRA pools the inputs of the low-rank matrices"),
        ("trainable_token_indices", "single token embeddings were trained"),
        ("target_parameters", "bare parameters (expert tensors) were trained"),
        ("use_bdlora", "the low-rank matrices are stored block-diagonally"),
        ("arrow_config", "Arrow routes between several adapters"),
        ("kasa_config", "KaSA changes the base weights"),
        ("monteclora_config", "MonteCLoRA samples its weights"),
    ];

    // Initialisations that leave the base model as it is, so that the adapter fits the unmodified one.
    private static readonly string[] HarmlessInitialisations = ["gaussian", "eva", "orthogonal", "mica"];

    private readonly string _path;
    private readonly ModuleSet _targets;
    private readonly ModuleSet _excluded;
    private readonly int[] _layersToTransform;
    private readonly Regex[] _layersPatterns;
    private readonly (Regex Pattern, int Value)[] _ranks;
    private readonly (Regex Pattern, double Value)[] _alphas;

    private PeftConfig(string path, JsonElement root)
    {
        _path = path;
        RequireLora(root);
        Rank = Integer(root, "r") ?? throw Bad("has no \"r\"");
        if (Rank < 1) throw Bad($"has r = {Rank}; a rank is at least 1");
        Alpha = Number(root, "lora_alpha") ?? throw Bad("has no \"lora_alpha\"");
        RankStabilised = Flag(root, "use_rslora");
        ModulesToSave = Strings(root, "modules_to_save");
        BaseModel = TextOrNull(root, "base_model_name_or_path");
        BaseRevision = TextOrNull(root, "revision");
        Obstacle = FindObstacle(root);
        UnknownSwitch = root.EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.True).Select(p => p.Name)
            .FirstOrDefault(key => key.StartsWith("use_", StringComparison.Ordinal) && key != "use_rslora" && !Unsupported.Any(u => u.Key == key));
        _ranks = [.. Patterns(root, "rank_pattern").Select(p => (p.Pattern, PositiveRank(p.Key, p.Value)))];
        _alphas = [.. Patterns(root, "alpha_pattern").Select(p => (p.Pattern, p.Value))];
        _targets = Modules(root, "target_modules");
        _excluded = Modules(root, "exclude_modules");
        _layersToTransform = Integers(root, "layers_to_transform");
        string[] layersPatterns = Strings(root, "layers_pattern");
        if (layersPatterns.Length == 0) layersPatterns = ["[^.]*"];
        _layersPatterns = [.. layersPatterns.Select(p => Compile("layers_pattern", $@"\A.*?\.(?:{p})\.(?<emscanlayer>\d+)\."))];
    }

    /// <summary>r: the rank where rank_pattern says nothing else.</summary>
    public int Rank { get; }

    /// <summary>lora_alpha, where alpha_pattern says nothing else.</summary>
    public double Alpha { get; }

    /// <summary>use_rslora: the factor is alpha / sqrt(r) instead of alpha / r.</summary>
    public bool RankStabilised { get; }

    /// <summary>Modules whose full weights were trained and saved.</summary>
    public string[] ModulesToSave { get; }

    /// <summary>base_model_name_or_path, if it is there.</summary>
    public string? BaseModel { get; }

    /// <summary>revision: the commit or branch of the base model on its hub, if it is there.</summary>
    public string? BaseRevision { get; }

    /// <summary>target_modules as the file has it: "all-linear", a regular expression, or names joined by commas; null when it is absent.</summary>
    public string? TargetText => _targets.IsAbsent ? null
        : _targets.AllLinear ? "all-linear"
        : _targets.Pattern is not null ? _targets.Text
        : string.Join(", ", _targets.Names.Order(StringComparer.Ordinal));

    /// <summary>Whether target_modules says anything.</summary>
    public bool HasTargets => !_targets.IsAbsent;

    /// <summary>The factors under which parts of the adapter have no effect: lora_alpha or an entry of alpha_pattern is 0.</summary>
    public bool HasZeroAlpha => Alpha == 0 || _alphas.Any(entry => entry.Value == 0);

    /// <summary>layers_to_transform; empty means all.</summary>
    public IReadOnlyList<int> LayersToTransform => _layersToTransform;

    /// <summary>A finished sentence about a setting under which the weights are no plain LoRA; null when there is none.</summary>
    public string? Obstacle { get; }

    /// <summary>A switch that is on and not known here; null when there is none. It may change what the matrices mean.</summary>
    public string? UnknownSwitch { get; }

    /// <summary>Reads and checks a configuration.</summary>
    /// <exception cref="InputFileException">It is missing, damaged, or describes something else than a plain LoRA.</exception>
    public static PeftConfig Read(string path) =>
        JsonInput.Parse(path, InputFile.ReadSmall(path, MaxBytes), root => new PeftConfig(path, root));

    /// <summary>The rank of a module by its name in the base model ("model.layers.0.self_attn.q_proj").</summary>
    public int RankOf(string module) => FirstMatch(_ranks, module, Rank);

    /// <summary>The alpha of a module.</summary>
    public double AlphaOf(string module) => FirstMatch(_alphas, module, Alpha);

    /// <summary>Whether PEFT would put the adapter on this module at all.</summary>
    public bool Targets(string module)
    {
        if (!_excluded.IsAbsent && Contains(_excluded, module)) return false;
        if (_targets.IsAbsent) return true;
        if (_targets.AllLinear) return module != "lm_head" && !module.EndsWith(".lm_head", StringComparison.Ordinal);
        return Contains(_targets, module) && (_targets.Pattern is not null || InTransformedLayer(module));
    }

    private bool Contains(ModuleSet set, string module) => set.Pattern is not null
        ? Match(set.Pattern, module).Success
        : set.Names.Any(name => module == name || module.EndsWith("." + name, StringComparison.Ordinal));

    private bool InTransformedLayer(string module)
    {
        if (_layersToTransform.Length == 0) return true;
        foreach (Regex pattern in _layersPatterns)
        {
            Match match = Match(pattern, module);
            if (match.Success)
                return int.TryParse(match.Groups["emscanlayer"].ValueSpan, out int layer) && _layersToTransform.Contains(layer);
        }

        return false;
    }

    private void RequireLora(JsonElement root)
    {
        string type = root.TryGetProperty("peft_type", out JsonElement typeElement) && typeElement.ValueKind == JsonValueKind.String
            ? typeElement.GetString()!
            : throw Bad("has no \"peft_type\"; it is not the configuration of a PEFT adapter");
        if (type != "LORA") throw Bad($"describes an adapter of type {InputFile.OneLine(type)}; only LORA adapters can be applied");
    }

    private static string? FindObstacle(JsonElement root)
    {
        foreach ((string key, string meaning) in Unsupported)
        {
            if (root.TryGetProperty(key, out JsonElement value) && IsSet(value))
                return $"sets {key}: {meaning}, which llama.cpp cannot apply; merge the adapter into the model and convert that";
        }

        if (!root.TryGetProperty("init_lora_weights", out JsonElement init) || init.ValueKind != JsonValueKind.String) return null;
        string method = init.GetString()!;
        return HarmlessInitialisations.Contains(method, StringComparer.OrdinalIgnoreCase)
            ? null
            : $"has init_lora_weights = \"{InputFile.OneLine(method)}\", which changes the base weights at initialisation, so the adapter "
                + "does not fit the original model; save it as a plain LoRA (PEFT: path_initial_model_for_weight_conversion)";
    }

    private static bool IsSet(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.False => false,
        JsonValueKind.Array => value.GetArrayLength() > 0,
        JsonValueKind.Object => value.EnumerateObject().Any(),
        _ => true,
    };

    private static string? TextOrNull(JsonElement root, string key) =>
        root.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text ? text : null;

    private double? Number(JsonElement root, string key) => JsonInput.Number(_path, root, key);

    private int? Integer(JsonElement root, string key) => JsonInput.Int32(_path, root, key);

    private bool Flag(JsonElement root, string key)
    {
        if (!root.TryGetProperty(key, out JsonElement value)) return false;
        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False or JsonValueKind.Null => false,
            _ => throw Bad($"has a \"{key}\" that is neither true nor false"),
        };
    }

    // null, one string, or a list of strings.
    private string[] Strings(JsonElement root, string key)
    {
        if (!root.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return [];
        if (value.ValueKind == JsonValueKind.String) return value.GetString() is { Length: > 0 } one ? [one] : [];
        if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().Any(item => item.ValueKind != JsonValueKind.String))
            throw Bad($"has a \"{key}\" that is not a list of names");
        return [.. value.EnumerateArray().Select(item => item.GetString()!)];
    }

    // null, one integer, or a list of integers.
    private int[] Integers(JsonElement root, string key)
    {
        if (!root.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return [];
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int one)) return [one];
        if (value.ValueKind != JsonValueKind.Array
            || value.EnumerateArray().Any(i => i.ValueKind != JsonValueKind.Number || !i.TryGetInt32(out _)))
            throw Bad($"has a \"{key}\" that is not a list of integers");
        return [.. value.EnumerateArray().Select(item => item.GetInt32())];
    }

    private List<(string Key, Regex Pattern, double Value)> Patterns(JsonElement root, string key)
    {
        var patterns = new List<(string, Regex, double)>();
        if (!root.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return patterns;
        if (value.ValueKind != JsonValueKind.Object) throw Bad($"has a \"{key}\" that is not an object");
        foreach (JsonProperty entry in value.EnumerateObject())
        {
            double number = Number(value, entry.Name) ?? throw Bad($"has an entry of \"{key}\" that is not a number");
            patterns.Add((entry.Name, Compile(key, $@"\A(?:.*\.)?(?:{entry.Name})\Z"), number));
        }

        return patterns;
    }

    private int PositiveRank(string key, double rank) => rank >= 1 && rank <= int.MaxValue && rank == Math.Floor(rank)
        ? (int)rank
        : throw Bad($"has the rank {rank} for \"{InputFile.OneLine(key)}\" in rank_pattern; a rank is a positive integer");

    private T FirstMatch<T>((Regex Pattern, T Value)[] patterns, string module, T fallback)
    {
        foreach ((Regex pattern, T value) in patterns)
            if (Match(pattern, module).Success) return value;
        return fallback;
    }

    private ModuleSet Modules(JsonElement root, string key)
    {
        if (!root.TryGetProperty(key, out JsonElement value) || value.ValueKind != JsonValueKind.String)
        {
            bool absent = value.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;
            return new ModuleSet(absent, AllLinear: false, null, Strings(root, key), "");
        }

        string text = value.GetString()!;
        return text == "all-linear"
            ? new ModuleSet(IsAbsent: false, AllLinear: true, null, [], text)
            : new ModuleSet(IsAbsent: false, AllLinear: false, Compile(key, $@"\A(?:{text})\z"), [], text);
    }

    private Match Match(Regex pattern, string module)
    {
        try
        {
            return pattern.Match(module);
        }
        catch (RegexMatchTimeoutException timeout)
        {
            throw new InputFileException(
                _path, $"has the pattern \"{InputFile.OneLine(pattern.ToString())}\", which takes too long to match", timeout);
        }
    }

    // Python and .NET agree on the syntax of regular expressions but for named groups.
    private Regex Compile(string key, string pattern)
    {
        try
        {
            string translated = pattern.Replace("(?P<", "(?<", StringComparison.Ordinal);
            return new Regex(translated, RegexOptions.CultureInvariant, MatchLimit);
        }
        catch (ArgumentException failure)
        {
            throw new InputFileException(
                _path, $"has a \"{key}\" with a pattern that is no regular expression: \"{InputFile.OneLine(pattern)}\"", failure);
        }
    }

    private InputFileException Bad(string problem) => new(_path, problem);

    // target_modules or exclude_modules: absent, "all-linear", a regular expression for the whole name, or names and ends of names.
    private sealed record ModuleSet(bool IsAbsent, bool AllLinear, Regex? Pattern, string[] Names, string Text);
}
