using System.Numerics.Tensors;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Traits;

/// <summary>Trait directions of one base model: K unit vectors of width D at each of some layers, and where they come from.</summary>
/// <remarks>
/// <para>As a file: safetensors with one F32 tensor <c>layer_L</c> of shape (K, D) for each layer L, and metadata. <c>traits</c>, the K
/// names with commas between them, is all that is required to read it; emscan writes also <c>format</c> (emscan-directions),
/// <c>version</c>, <c>layer_convention</c>, and what it knows of <c>model_sha256</c>, <c>model_name</c>, <c>trait_set_sha256</c>,
/// <c>method</c>, <c>pooling</c>, <c>max_new_tokens</c>, <c>prompt_identity</c>, <c>precision</c>, <c>n0</c> (layer:norm,...),
/// <c>seed</c>, <c>chosen_layer</c>, <c>created_by</c>.</para>
/// <para>Layer l is the residual stream after block l, blocks counted from 0. Immutable and thread safe.</para>
/// </remarks>
internal sealed class DirectionSet
{
    /// <summary>A norm this close to 1 is rounding of F32 values: the bits stay as they are.</summary>
    private const double RoundingOfNorm = 1e-6;

    /// <summary>A norm this close to 1 comes from a lower precision and is repaired; farther off it is not a direction.</summary>
    internal const double LargestNormError = 1e-3;

    private readonly SortedDictionary<int, float[]> _layers;

    /// <summary>Makes a set from unit vectors.</summary>
    /// <param name="traits">K distinct names without commas; at least one.</param>
    /// <param name="hiddenSize">D, at least 1.</param>
    /// <param name="layers">Layer to directions, (K, D) row-major; at least one layer. Copied.</param>
    /// <param name="metadata">Where they come from, or null when that is not known.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a name is empty, has a comma or occurs twice, or a vector has a norm that is not finite, zero or off 1 by more
    /// than 1e-3; smaller errors of the norm are corrected.
    /// </exception>
    public DirectionSet(
        IReadOnlyList<string> traits, int hiddenSize, IReadOnlyDictionary<int, float[]> layers, DirectionMetadata? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(traits);
        ArgumentNullException.ThrowIfNull(layers);
        if (Check(traits, hiddenSize, layers, out _layers) is { } problem) throw new ArgumentException(problem);
        Traits = [.. traits];
        Layers = [.. _layers.Keys];
        HiddenSize = hiddenSize;
        Metadata = metadata ?? new DirectionMetadata();
    }

    private DirectionSet(DirectionSet other, DirectionMetadata metadata)
    {
        Traits = other.Traits;
        Layers = other.Layers;
        HiddenSize = other.HiddenSize;
        _layers = other._layers;
        Metadata = metadata;
    }

    /// <summary>The K trait names; row k of every matrix is trait k.</summary>
    public IReadOnlyList<string> Traits { get; }

    /// <summary>Width of the residual stream, D.</summary>
    public int HiddenSize { get; }

    /// <summary>Where the directions come from.</summary>
    public DirectionMetadata Metadata { get; }

    /// <summary>Layers that there are directions for, ascending.</summary>
    public IReadOnlyList<int> Layers { get; }

    /// <summary>The layer that these directions are meant for: their only one, or the one that was chosen for them; null where neither is so.</summary>
    internal int? MeantLayer => Layers.Count == 1 ? Layers[0] : Metadata.ChosenLayer;

    /// <summary>The unit vectors of one layer, (K, D) row-major, F32.</summary>
    /// <exception cref="EmScanException">There are no directions for this layer.</exception>
    public ReadOnlySpan<float> Direction(int layer) => Find(layer);

    /// <summary>The unit vector of one trait at one layer, (D), F32.</summary>
    /// <exception cref="EmScanException">There are no directions for this layer.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such trait.</exception>
    public ReadOnlySpan<float> Direction(int layer, int trait)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(trait);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(trait, Traits.Count);
        return Find(layer).AsSpan(trait * HiddenSize, HiddenSize);
    }

    /// <summary>Cosines between the traits' directions at one layer, (K, K) row-major, in [-1, 1], symmetric, exactly 1 on the
    /// diagonal.</summary>
    /// <exception cref="EmScanException">There are no directions for this layer.</exception>
    public double[] Cosines(int layer)
    {
        int k = Traits.Count;
        var unit = new double[k * HiddenSize];
        TensorPrimitives.ConvertTruncating<float, double>(Find(layer), unit);
        var cosines = new double[k * k];
        for (int i = 0; i < k; i++)
        {
            ReadOnlySpan<double> a = unit.AsSpan(i * HiddenSize, HiddenSize);
            for (int j = 0; j < i; j++)
                cosines[i * k + j] = cosines[j * k + i] = TensorPrimitives.CosineSimilarity(a, unit.AsSpan(j * HiddenSize, HiddenSize));
            cosines[i * k + i] = 1;
        }

        TensorPrimitives.Clamp(cosines, -1, 1, cosines);
        return cosines;
    }

    /// <summary>The same directions with other metadata.</summary>
    public DirectionSet WithMetadata(DirectionMetadata metadata)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        return new DirectionSet(this, metadata);
    }

    /// <summary>
    /// Says why these directions cannot be used where <paramref name="expected"/> is what would be extracted now; null when they can.
    /// </summary>
    /// <param name="expected">What is known now; an entry that is null is not compared, nor are names, n0, seed and program.</param>
    /// <param name="traits">The traits to measure, in order.</param>
    /// <param name="hiddenSize">Width of the model's residual stream.</param>
    /// <param name="layerCount">Number of blocks of the model.</param>
    /// <param name="requireRecorded">
    /// True for a cache, where an entry that the file does not have is a mismatch; false for a file that the user named, which may be one
    /// that another program wrote, and of which only what it says can be wrong.
    /// </param>
    /// <returns>One sentence without the file's name, or null.</returns>
    public string? Mismatch(
        DirectionMetadata expected, IReadOnlyList<string> traits, int hiddenSize, int layerCount, bool requireRecorded)
    {
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(traits);
        if (HiddenSize != hiddenSize)
            return $"the directions are for a model of hidden size {HiddenSize}, this model has {hiddenSize}";
        if (Layers[^1] >= layerCount)
            return $"the directions go up to layer {Layers[^1]}, this model has layers 0 to {layerCount - 1}";
        if (!Traits.SequenceEqual(traits))
            return $"the directions are for the traits {string.Join(", ", Traits)}, the trait set has {string.Join(", ", traits)}";
        foreach (((string key, string? recorded), (_, string? now)) in Metadata.IdentityEntries().Zip(expected.IdentityEntries()))
        {
            if (now is null || recorded == now) continue;
            if (recorded is not null) return $"the directions were extracted with {key} {recorded}, this is {now}";
            if (requireRecorded) return $"the directions do not say which {key} they were extracted with";
        }

        return null;
    }

    /// <summary>Writes the set as one safetensors file, replacing one that exists.</summary>
    /// <exception cref="InputFileException">The file cannot be written.</exception>
    public void Save(string path) => DirectionFile.Write(this, path);

    /// <summary>Writes a control vector (GGUF) for each trait into a folder, for llama.cpp and repeng; see <see cref="ControlVectorFile"/>.</summary>
    /// <param name="folder">The folder; made where it is missing.</param>
    /// <param name="architecture">The model's architecture.</param>
    /// <returns>The files, in the order of the traits.</returns>
    /// <exception cref="InputFileException">A file cannot be written.</exception>
    internal string[] SaveControlVectors(string folder, string architecture) => DirectionFile.WriteControlVectors(this, folder, architecture);

    /// <summary>Whether these are the same traits as others, in whatever order.</summary>
    internal bool HasTraits(IReadOnlyList<string> traits) => traits.Count == Traits.Count && traits.All(Traits.Contains);

    /// <summary>The same directions, in the order of these traits.</summary>
    /// <exception cref="ArgumentException">They are other traits.</exception>
    internal DirectionSet InOrder(IReadOnlyList<string> traits)
    {
        if (!HasTraits(traits)) throw new ArgumentException("These are other traits.", nameof(traits));
        if (traits.SequenceEqual(Traits)) return this;
        int[] rows = [.. traits.Select(trait => Traits.ToList().IndexOf(trait))];
        return new DirectionSet(traits, HiddenSize, _layers.ToDictionary(pair => pair.Key, pair => rows.SelectMany(row => pair.Value.AsSpan(row * HiddenSize, HiddenSize).ToArray()).ToArray()), Metadata);
    }

    /// <summary>Reads a safetensors file that emscan wrote, or one that has only <c>layer_L</c> tensors and the metadata entry
    /// <c>traits</c>; or a control vector in GGUF, or a folder of them, each a trait.</summary>
    /// <exception cref="InputFileException">The file cannot be read or is not a set of directions.</exception>
    public static DirectionSet Load(string path) => DirectionFile.Read(path);

    private float[] Find(int layer) => _layers.TryGetValue(layer, out float[]? directions)
        ? directions
        : throw new EmScanException($"There are no directions for layer {layer}, only for {string.Join(", ", Layers)}.");

    /// <summary>Copies the directions with small errors of the norm corrected; returns what keeps them from being a set, or null.</summary>
    internal static string? Check(
        IReadOnlyList<string> traits, int hiddenSize, IReadOnlyDictionary<int, float[]> layers, out SortedDictionary<int, float[]> unit)
    {
        unit = [];
        if (traits.Count == 0) return "There must be at least one trait";
        if (hiddenSize < 1) return $"The hidden size must be at least 1, not {hiddenSize}";
        if (layers.Count == 0) return "There must be at least one layer";
        for (int k = 0; k < traits.Count; k++)
        {
            if (string.IsNullOrWhiteSpace(traits[k])) return $"The name of trait {k} is empty";
            if (traits[k].Contains(',', StringComparison.Ordinal)) return $"The trait name '{traits[k]}' has a comma";
            if (traits.Take(k).Contains(traits[k])) return $"The trait '{traits[k]}' occurs twice";
        }

        foreach ((int layer, float[] directions) in layers)
        {
            if (layer < 0) return $"There is no layer {layer}; layers count from 0";
            if (directions.Length != (long)traits.Count * hiddenSize)
                return $"Layer {layer} has {directions.Length} values for {traits.Count} directions of {hiddenSize}";
            float[] copy = [.. directions];
            for (int k = 0; k < traits.Count; k++)
            {
                if (MakeUnit(copy.AsSpan(k * hiddenSize, hiddenSize)) is { } problem)
                    return $"The direction of '{traits[k]}' at layer {layer} {problem}";
            }

            unit.Add(layer, copy);
        }

        return null;
    }

    /// <summary>Corrects a small error of the norm in place; returns what is wrong with the vector otherwise.</summary>
    private static string? MakeUnit(Span<float> vector)
    {
        var wide = new double[vector.Length];
        TensorPrimitives.ConvertTruncating<float, double>(vector, wide);
        double norm = TensorPrimitives.Norm<double>(wide);
        if (!double.IsFinite(norm)) return "contains values that are not finite";
        if (norm == 0) return "is zero";
        if (Math.Abs(norm - 1) > LargestNormError) return $"has norm {norm:G6}; a direction is a unit vector";
        if (Math.Abs(norm - 1) > RoundingOfNorm) UnitVector.Round(wide).CopyTo(vector);
        return null;
    }
}
