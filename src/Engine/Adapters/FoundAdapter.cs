namespace EmScan.Engine.Adapters;

/// <summary>An adapter as the walk came across it, before it is known which run it belongs to.</summary>
/// <param name="Path">As it is reached from what the user gave.</param>
/// <param name="Real">The same place with every link followed.</param>
/// <param name="Base">Real path of the folder that the names below start from.</param>
/// <param name="Names">Names on the way from there; of a file, the last is its name without the extension. Empty for the base itself.</param>
/// <param name="IsFile">True for a GGUF file, false for a PEFT folder.</param>
/// <param name="IsOnlyFile">True for a GGUF file that no other lies beside: its name then says nothing that its folder's number does not.</param>
internal sealed record FoundAdapter(string Path, string Real, string Base, string[] Names, bool IsFile, bool IsOnlyFile)
{
    /// <summary>The names joined by slashes.</summary>
    internal string Relative { get; } = string.Join('/', Names);
}
