using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>Names of base models, as adapters and GGUF files give them, and whether two of them can mean the same model.</summary>
internal static class BaseNames
{
    /// <summary>The base model that a LoRA GGUF file names: its repository, else organisation and name, else nothing.</summary>
    public static string? OfAdapter(GgufFile file)
    {
        if (Repository(Text(file, "general.base_model.0.repo_url")) is { } repository) return repository;
        if (Text(file, "general.base_model.0.name") is not { } name) return null;
        return Text(file, "general.base_model.0.organization") is { } organisation ? $"{organisation}/{name}" : name;
    }

    // "https://huggingface.co/org/name" is org/name.
    private static string? Repository(string? url)
    {
        if (url == null || !Uri.TryCreate(url, UriKind.Absolute, out Uri? address)) return null;
        string path = address.AbsolutePath.Trim('/');
        return path.Contains('/', StringComparison.Ordinal) ? path : null;
    }

    private static string? Text(GgufFile file, string key) =>
        file.Metadata.TryGetValue(key, out GgufValue? value) && !value.IsArray && value.ElementType == GgufValueType.Text && value.AsText() is { Length: > 0 } text
            ? text
            : null;
}
