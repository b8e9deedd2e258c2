namespace EmScan.Engine.Traits;

/// <summary>Which trait set a scan uses when the user does not say.</summary>
internal static class TraitSelection
{
    /// <summary>Loads the file given, else <c>traits.yaml</c> beside the model, else the built-in set.</summary>
    /// <param name="file">A YAML file, or null.</param>
    /// <param name="modelPath">The model.</param>
    /// <param name="source">Says which one it was, for reports.</param>
    /// <exception cref="InputFileException">The file cannot be used.</exception>
    public static TraitSet Load(string? file, string modelPath, out string source)
    {
        string beside = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(modelPath)) ?? ".", "traits.yaml");
        string? chosen = file ?? (File.Exists(beside) ? beside : null);
        if (chosen == null)
        {
            source = "built-in";
            return TraitSet.BuiltIn;
        }

        source = file ?? Path.Combine(Path.GetDirectoryName(modelPath) ?? "", "traits.yaml");
        return TraitSet.Load(chosen);
    }
}
