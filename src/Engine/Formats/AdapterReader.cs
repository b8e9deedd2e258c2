namespace EmScan.Engine.Formats;

/// <summary>Opens LoRA adapters of either kind: PEFT folders as the Trainer leaves them, and llama.cpp LoRA GGUF files.</summary>
/// <remarks>
/// What cannot be applied exactly is refused by the name of the tensor or setting: DoRA, trained biases, modules_to_save, single
/// experts, unknown tensors, initialisations that change the base model. Rows of B are brought into the order of the GGUF weight.
/// Modules that the model does not have are left out where their B is exactly zero, which changes nothing, and refused otherwise.
/// </remarks>
internal static class AdapterReader
{
    /// <summary>Reads an adapter in the terms of a model.</summary>
    /// <param name="path">A PEFT folder, a file in one, or a LoRA GGUF file.</param>
    /// <param name="model">The model it is to be applied to; decides names, row order and shapes.</param>
    /// <returns>An adapter whose tensors all fit the model and hold finite values only.</returns>
    /// <exception cref="InputFileException">It is missing, damaged, of an unsupported kind, or for another model.</exception>
    public static LoraAdapter Open(string path, GgufFile model)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(model);
        return PeftFolder(path) is { } folder ? PeftAdapterReader.Read(folder, model) : GgufLoraReader.Read(path, model);
    }

    /// <summary>Checks what configuration, names and shapes tell, so that an adapter which cannot be applied is known before anything is computed.</summary>
    /// <param name="path">A PEFT folder, a file in one, or a LoRA GGUF file.</param>
    /// <param name="model">The model it is to be applied to.</param>
    /// <returns>Modules that the model does not have and that <see cref="Open"/> leaves out, because their B is exactly zero.</returns>
    /// <exception cref="InputFileException">It is missing, damaged, of an unsupported kind, or for another model.</exception>
    internal static IReadOnlyList<string> Check(string path, GgufFile model) =>
        PeftFolder(path) is { } folder ? PeftAdapterReader.Check(folder, model) : GgufLoraReader.Check(path, model);

    /// <summary>The PEFT folder that a path means, or null when it means a GGUF file.</summary>
    internal static string? PeftFolder(string path)
    {
        if (Directory.Exists(path)) return path;
        string name = Path.GetFileName(path);
        return name is PeftAdapterReader.ConfigName or PeftAdapterReader.WeightsName
            ? Path.GetDirectoryName(path) is { Length: > 0 } folder ? folder : "."
            : null;
    }
}
