using System.Text.RegularExpressions;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>Names of base models, as adapters and GGUF files give them, and whether two of them can mean the same model.</summary>
/// <remarks>
/// Names are compared by their words: without the organisation, case, separators, and what only says how the weights are stored (Q4_K_M,
/// f16, AWQ, "-hf"). Two names differ when each has a word that the other lacks, or when one of them has a word more that makes another
/// model: a version, "instruct". Local paths that end in a word like "merged" name no model and are never compared.
/// </remarks>
internal static partial class BaseNames
{
    // Words that say how weights are stored or who published them, not which model it is.
    private static readonly HashSet<string> Storage =
    [
        "hf", "gguf", "ggml", "awq", "gptq", "exl", "bnb", "unsloth", "mlx", "bf", "fp", "f", "int", "bit", "imatrix", "meta", "dynamic",
        "quantized", "safetensors", "original", "bf16", "fp16", "fp8", "f16", "f32", "fp32", "v", "hqq", "aqlm", "autoround", "qat", "marlin", "actorder", "kv",
    ];

    // Words that folders are called by, whatever model is in them.
    private static readonly HashSet<string> Generic =
    [
        "model", "models", "base", "merged", "merge", "out", "output", "outputs", "checkpoint", "checkpoints", "snapshot", "snapshots", "final", "latest", "main",
        "tmp", "temp", "data", "ckpt", "weights", "pretrained", "init", "sft", "run", "runs", "llm", "hub", "cache", "lora", "adapter", "local", "workspace", "converted",
    ];

    // A word that one name has more than the other makes another model when it is one of these, or a number.
    private static readonly HashSet<string> Distinguishing = ["instruct", "chat", "it", "coder", "code", "math", "vision", "vl", "thinking", "reasoning", "distill", "guard"];

    /// <summary>The base model that a LoRA GGUF file names: its repository, else organisation and name, else nothing.</summary>
    public static string? OfAdapter(GgufFile file)
    {
        if (Repository(Text(file, "general.base_model.0.repo_url")) is { } repository) return repository;
        if (Text(file, "general.base_model.0.name") is not { } name) return null;
        return Text(file, "general.base_model.0.organization") is { } organisation ? $"{organisation}/{name}" : name;
    }

    /// <summary>
    /// The names that a GGUF model goes by, its own first: general.name, general.basename with size and finetune, the repositories it was
    /// made from, the models it is based on.
    /// </summary>
    public static IReadOnlyList<string> OfModel(GgufFile file)
    {
        var names = new List<string?> { Text(file, "general.name") };
        if (Text(file, "general.basename") is { } basename)
            names.Add(string.Join('-', new[] { basename, Text(file, "general.size_label"), Text(file, "general.finetune"), Text(file, "general.version") }.OfType<string>()));
        names.Add(Repository(Text(file, "general.repo_url")));
        names.Add(Repository(Text(file, "general.source.repo_url")) ?? Text(file, "general.source.huggingface.repository"));
        for (int i = 0; i < 8; i++)
            names.Add(Repository(Text(file, $"general.base_model.{i}.repo_url")) ?? Text(file, $"general.base_model.{i}.name"));
        return [.. names.OfType<string>().Where(name => !string.IsNullOrWhiteSpace(name)).Distinct()];
    }

    /// <summary>Whether two names cannot mean the same model. False also when one of them says too little.</summary>
    public static bool Differ(string first, string second)
    {
        HashSet<string> a = Words(first), b = Words(second);
        if (!Names(first, a) || !Names(second, b) || a.SetEquals(b)) return false;
        string[] onlyFirst = [.. a.Except(b)], onlySecond = [.. b.Except(a)];
        return (onlyFirst.Length > 0 && onlySecond.Length > 0) || onlyFirst.Concat(onlySecond).Any(w => Distinguishing.Contains(w) || Number().IsMatch(w));
    }

    /// <summary>Whether a name tells anything about which model is meant.</summary>
    public static bool Tells(string name) => Names(name, Words(name));

    // A path on somebody's disk names a model only where its last part has a size, as in "Llama-2-7b".
    private static bool Names(string name, HashSet<string> words) => words.Any(w => char.IsAsciiLetter(w[0]))
        && (!IsPath(name) || words.Any(w => Size().IsMatch(w)));

    private static bool IsPath(string name) =>
        name.StartsWith('.') || name.StartsWith('/') || name.StartsWith('~') || name.Contains('\\') || name.Count(c => c == '/') > 1;

    private static HashSet<string> Words(string name)
    {
        // Nothing is called that; but a file may hold it, and the patterns take their time.
        const int Longest = 1024;
        if (name.Length > Longest) name = name[^Longest..];

        // A folder of the hub's cache: models--org--name/snapshots/HASH.
        Match cached = Cached().Match(name);
        string last = cached.Success ? cached.Groups["name"].Value
            : name.TrimEnd('/', '\\').Split('/', '\\') is [.., var end] ? end : name;
        last = Extension().Replace(last, "").ToLowerInvariant();
        last = Quantization().Replace(last, "");
        IEnumerable<string> words = Separator().Split(last).SelectMany(word => LetterBeforeDigit().Split(word)).Where(word => word.Length > 0);
        return [.. words.Where(word => !Storage.Contains(word) && !Generic.Contains(word) && !Hash().IsMatch(word))];
    }

    // "https://huggingface.co/org/name" is org/name.
    private static string? Repository(string? url)
    {
        if (url == null || !Uri.TryCreate(url, UriKind.Absolute, out Uri? address)) return null;
        string path = address.AbsolutePath.Trim('/');
        return path.Contains('/', StringComparison.Ordinal) ? path : null;
    }

    private static string? Text(GgufFile file, string key) => file.FindText(key) is { Length: > 0 } text ? text : null;

    [GeneratedRegex(@"models--[^/\\]+?--(?<name>[^/\\]+)")]
    private static partial Regex Cached();

    [GeneratedRegex(@"\.(gguf|safetensors|bin|ggml)$", RegexOptions.IgnoreCase)]
    private static partial Regex Extension();

    // -q4_k_m, .IQ2_XS, -q8_0, -bf16, -f16, -ud-q4_k_xl, -gptq-int4, -exl2, -4.0bpw-h6, .w8a8, -128g, -i1
    [GeneratedRegex(@"(^|[-_. ])(ud-)?(i?q\d+(_[a-z0-9]+){0,3}|bf16|fp?16|fp?32|fp8|(mx|nv)?fp4|nf4|int[2-8]|[2-8]-?bits?|w\d+a\d+|exl[23]|\d+(\.\d+)?bpw(-h\d)?|(32|64|128)g|i1)(?=$|[-_. ])")]
    private static partial Regex Quantization();

    [GeneratedRegex(@"[-_. :()+,]+")]
    private static partial Regex Separator();

    [GeneratedRegex(@"(?<=[a-z])(?=\d)")]
    private static partial Regex LetterBeforeDigit();

    [GeneratedRegex(@"^\d+(x\d+)?[bmk]$")]
    private static partial Regex Size();

    [GeneratedRegex(@"^\d+$")]
    private static partial Regex Number();

    [GeneratedRegex(@"^[0-9a-f]{16,}$")]
    private static partial Regex Hash();
}
