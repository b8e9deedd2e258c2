using System.Globalization;

namespace EmScan.Engine.Formats;

/// <summary>A control vector as llama.cpp and repeng keep it in GGUF: one vector for each of some layers, to be added to the residual stream.</summary>
/// <remarks>
/// <para><c>general.architecture</c> controlvector, <c>controlvector.model_hint</c> the model's architecture, <c>controlvector.layer_count</c> the
/// number of vectors, and F32 tensors <c>direction.N</c> of D values. llama.cpp adds scale x direction.N to the output of block N, blocks
/// counted from 0, at every token; it cannot hold a direction.0. repeng trains direction.N on the output of the same block, so N is the
/// layer N of <see cref="LayerConvention"/>. (llama.cpp's own cvector-generator takes direction.N from the block before.)</para>
/// <para>Positive scales lead to the positive pole. Texts under <c>emscan.</c> are emscan's; other programs pass over them.</para>
/// </remarks>
/// <param name="Layers">Layer, at least 1, to its vector, (D), as it lies in the file; ascending.</param>
/// <param name="ModelHint">The architecture of the model it was made for, or null.</param>
/// <param name="Texts">emscan's own texts, by their keys without the prefix.</param>
internal sealed record ControlVectorFile(IReadOnlyDictionary<int, float[]> Layers, string? ModelHint, IReadOnlyDictionary<string, string> Texts)
{
    private const string Architecture = "controlvector", TensorPrefix = "direction.", OwnPrefix = "emscan.";

    /// <summary>Reads a file.</summary>
    /// <exception cref="InputFileException">It cannot be read or is no control vector.</exception>
    internal static ControlVectorFile Read(string path)
    {
        GgufFile file = GgufFile.Open(path);
        var layers = new SortedDictionary<int, float[]>();
        foreach (GgufTensor tensor in file.Tensors.Values)
        {
            string name = InputFile.OneLine(tensor.Name);
            if (!tensor.Name.StartsWith(TensorPrefix, StringComparison.Ordinal)
                || !int.TryParse(tensor.Name.AsSpan(TensorPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int layer))
            {
                throw new InputFileException(path, $"is not a control vector: its tensors are direction.1, direction.2, ..., not '{name}'");
            }

            if (layer == 0) throw new InputFileException(path, "has a direction.0, which no control vector can have: llama.cpp adds them after blocks 1 and up");
            float[] vector = file.ReadFloat32(tensor);
            if (tensor.Dimension(0) != vector.Length || (layers.Count > 0 && layers.First().Value.Length != vector.Length))
                throw InputFile.BadTensor(path, tensor.Name, $"has {tensor.ElementCount} values in {tensor.ElementCount / tensor.Dimension(0)} rows, where one vector of the model's width is expected");
            if (!layers.TryAdd(layer, InputFile.RequireFinite(path, tensor.Name, vector))) throw InputFile.BadTensor(path, tensor.Name, "names a layer a second time");
        }

        if (layers.Count == 0) throw new InputFileException(path, "has no tensors; it is not a control vector");
        Dictionary<string, string> texts = file.Metadata
            .Where(pair => pair.Key.StartsWith(OwnPrefix, StringComparison.Ordinal) && pair.Value is { IsArray: false, ElementType: GgufValueType.Text })
            .ToDictionary(pair => pair.Key[OwnPrefix.Length..], pair => pair.Value.AsText());
        return new ControlVectorFile(layers, file.Metadata.ContainsKey($"{Architecture}.model_hint") ? file.GetText($"{Architecture}.model_hint") : null, texts);
    }

    /// <summary>Writes the file, replacing one that exists.</summary>
    /// <exception cref="InputFileException">It cannot be written.</exception>
    internal void Write(string path)
    {
        var file = new GgufWriter();
        file.Text("general.architecture", Architecture);
        file.Text($"{Architecture}.model_hint", ModelHint ?? "");
        file.UInt32($"{Architecture}.layer_count", (uint)Layers.Count);
        foreach ((string key, string value) in Texts) file.Text(OwnPrefix + key, value);
        foreach ((int layer, float[] vector) in Layers.OrderBy(pair => pair.Key))
            file.Tensor(string.Create(CultureInfo.InvariantCulture, $"{TensorPrefix}{layer}"), [vector.Length], () => vector);
        AtomicFile.Write(path, file.Write);
    }
}
