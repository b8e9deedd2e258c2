using System.Globalization;
using System.Numerics.Tensors;
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

    /// <summary>Writes a control vector for each trait, NAME.gguf, into a folder, which is made where it is missing.</summary>
    /// <param name="set">The directions; those of layer 0, which control vectors cannot have, are left out.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="architecture">The model's, for the files' model_hint.</param>
    /// <returns>The files, in the order of the traits.</returns>
    /// <exception cref="InputFileException">A file cannot be written, or there are directions of layer 0 only.</exception>
    public static string[] WriteControlVectors(DirectionSet set, string folder, string architecture)
    {
        int[] layers = [.. set.Layers.Where(layer => layer > 0)];
        if (layers.Length == 0) throw new InputFileException(folder, "cannot be written: there are directions of layer 0 only, which control vectors cannot have");
        Dictionary<string, string> metadata = set.Metadata.ToFile(set.Traits);
        string[] files = new string[set.Traits.Count];
        for (int k = 0; k < files.Length; k++)
        {
            string name = string.Concat(set.Traits[k].Select(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' ? c : '_'));
            files[k] = Path.Combine(folder, $"{(files.Contains(Path.Combine(folder, $"{name}.gguf")) ? $"{name}-{k}" : name)}.gguf");
            metadata["trait"] = set.Traits[k];
            new ControlVectorFile(layers.ToDictionary(layer => layer, layer => set.Direction(layer, k).ToArray()), architecture, metadata).Write(files[k]);
        }

        return files;
    }

    public static DirectionSet Read(string path)
    {
        if (Directory.Exists(path) && ControlVectors(path) is { Length: > 0 } vectors) return ReadControlVectors(vectors, path);
        InputUse.Directions.Require(path);
        if (RecognisedFile.Of(path).Kind == FileKind.ControlVector) return ReadControlVectors([path], path);
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

    private static string[] ControlVectors(string folder)
    {
        try
        {
            return [.. Directory.EnumerateFiles(folder, "*.gguf").Where(file => RecognisedFile.Of(file).Kind == FileKind.ControlVector).Order(StringComparer.Ordinal)];
        }
        catch (Exception failure) when (InputFile.IsReadFailure(failure))
        {
            throw InputFile.Unreadable(folder, failure);
        }
    }

    // One trait for each file, at the layers that all of them have.
    private static DirectionSet ReadControlVectors(string[] files, string path)
    {
        (string File, ControlVectorFile Vector)[] read = [.. files.Select(file => (file, ControlVectorFile.Read(file)))];
        int width = read[0].Vector.Layers.First().Value.Length;
        if (read.FirstOrDefault(r => r.Vector.Layers.First().Value.Length != width) is { File: { } other, Vector: { } odd })
            throw new InputFileException(other, $"has directions of width {odd.Layers.First().Value.Length}, and {read[0].File} of width {width}; give those of one model");

        // Those of one extraction are in the order that it was made with.
        string[] order = read[0].Vector.Texts.TryGetValue("traits", out string? names) ? names.Split(',') : [];
        (string Trait, ControlVectorFile Vector)[] traits =
            [.. read.Select(r => (r.Vector.Texts.TryGetValue("trait", out string? trait) ? trait : Path.GetFileNameWithoutExtension(r.File).Replace(',', '_'), r.Vector))
                .OrderBy(r => Array.IndexOf(order, r.Item1) is >= 0 and var place ? place : int.MaxValue)];
        Dictionary<int, float[]> layers = traits.Select(t => t.Vector.Layers.Keys).Aggregate<IEnumerable<int>>((some, more) => some.Intersect(more))
            .ToDictionary(layer => layer, layer => traits.SelectMany(t => OfLengthOne(t.Vector.Layers[layer])).ToArray());
        if (layers.Count == 0) throw new InputFileException(path, "holds control vectors that have no layer in common");
        DirectionMetadata[] origins = [.. read.Select(r => DirectionMetadata.FromFile(r.File, r.Vector.Texts))];
        bool one = origins.All(o => o.IdentityEntries().SequenceEqual(origins[0].IdentityEntries()));
        return Create(path, [.. traits.Select(t => t.Trait)], width, layers, one ? origins[0] : new DirectionMetadata { ModelName = origins[0].ModelName });
    }

    // Other programs' vectors may carry a strength; what emscan wrote stays as it is, bit for bit.
    private static float[] OfLengthOne(float[] vector)
    {
        double[] wide = Array.ConvertAll(vector, v => (double)v);
        double norm = TensorPrimitives.Norm<double>(wide);
        return norm == 0 || Math.Abs(norm - 1) <= DirectionSet.LargestNormError ? vector : UnitVector.Round(wide);
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
