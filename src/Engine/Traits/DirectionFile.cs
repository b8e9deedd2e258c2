using System.Globalization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Traits;

/// <summary>Reads and writes <see cref="DirectionSet"/> as files.</summary>
internal static class DirectionFile
{
    private const string TensorPrefix = "layer_";

    public static void Write(DirectionSet set, string path)
    {
        long[] shape = [set.Traits.Count, set.HiddenSize];
        var tensors = set.Layers.Select(layer => ($"{TensorPrefix}{layer}", shape, set.Direction(layer).ToArray()));
        SafetensorsWriter.Write(path, [.. tensors], set.Metadata.ToFile(set.Traits));
    }

    public static DirectionSet Read(string path)
    {
        InputUse.Directions.Require(path);
        using var file = SafetensorsFile.Open(path);
        if (!file.Metadata.TryGetValue("traits", out string? names))
            throw new InputFileException(path, "is not a set of directions: it has no metadata entry 'traits' with their names");
        DirectionMetadata metadata = DirectionMetadata.FromFile(path, file.Metadata);
        string[] traits = names.Split(',');
        var layers = new Dictionary<int, float[]>();
        long hiddenSize = -1;
        foreach (SafetensorsTensor tensor in file.Tensors.Values)
        {
            string name = InputFile.OneLine(tensor.Name);
            if (!TryParseLayer(tensor.Name, out int layer))
                throw new InputFileException(path, $"is not a set of directions: their tensors are layer_0, layer_1, ..., not '{name}'");
            if (tensor.Shape.Length != 2 || tensor.Shape[0] != traits.Length || tensor.Shape[1] < 1)
            {
                throw new InputFileException(
                    path, $"the tensor '{name}' has shape {tensor.ShapeText}; for {traits.Length} traits it must be ({traits.Length}, D)");
            }

            if (hiddenSize >= 0 && tensor.Shape[1] != hiddenSize)
                throw new InputFileException(path, $"has directions of width {hiddenSize} and, in '{name}', of width {tensor.Shape[1]}");
            hiddenSize = tensor.Shape[1];
            layers.Add(layer, file.ReadFloat32(tensor.Name));
        }

        return Create(path, traits, hiddenSize, layers, metadata);
    }

    private static DirectionSet Create(
        string path, IReadOnlyList<string> traits, long hiddenSize, Dictionary<int, float[]> layers, DirectionMetadata metadata)
    {
        if (layers.Count == 0) throw new InputFileException(path, "has no tensors; it is not a set of directions");
        // Read as one array of K x D values, so D is within an int here.
        if (DirectionSet.Check(traits, (int)hiddenSize, layers, out _) is { } problem)
            throw new InputFileException(path, $"is not a set of directions: {InputFile.OneLine(problem)}");
        return new DirectionSet(traits, (int)hiddenSize, layers, metadata);
    }

    // layer_7, in the one way to write it: "layer_07" and "layer_+7" could name a layer twice.
    private static bool TryParseLayer(string name, out int layer)
    {
        layer = -1;
        return name.StartsWith(TensorPrefix, StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(TensorPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out layer)
            && name.Length == TensorPrefix.Length + layer.ToString(CultureInfo.InvariantCulture).Length;
    }
}
