namespace EmScan.Engine.Formats;

/// <summary>A LoRA adapter in the terms of the GGUF model it belongs to, ready for llama.cpp.</summary>
/// <remarks>Immutable; safe to share between threads.</remarks>
internal sealed class LoraAdapter
{
    /// <summary>Creates an adapter.</summary>
    /// <param name="path">What it was read from, for messages.</param>
    /// <param name="architecture">general.architecture of the model it belongs to.</param>
    /// <param name="alpha">Every tensor's factor is alpha / R. Finite and not 0, which llama.cpp reads as "factor 1".</param>
    /// <param name="tensors">At least one; names are distinct.</param>
    /// <exception cref="ArgumentException">Alpha is 0 or not finite, there is no tensor, or a name occurs twice.</exception>
    public LoraAdapter(string path, string architecture, float alpha, IReadOnlyList<LoraTensor> tensors)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(architecture);
        ArgumentNullException.ThrowIfNull(tensors);
        if (alpha == 0 || !float.IsFinite(alpha))
            throw new ArgumentException($"Alpha must be finite and not 0; got {alpha}.", nameof(alpha));
        if (tensors.Count == 0) throw new ArgumentException("An adapter needs at least one tensor.", nameof(tensors));
        if (tensors.Select(t => t.Name).Distinct().Count() != tensors.Count)
            throw new ArgumentException("A tensor occurs twice.", nameof(tensors));
        Path = path;
        Architecture = architecture;
        Alpha = alpha;
        Tensors = tensors;
    }

    /// <summary>What it was read from.</summary>
    public string Path { get; }

    /// <summary>general.architecture of the model it belongs to.</summary>
    public string Architecture { get; }

    /// <summary>The file-wide alpha; a tensor's factor is alpha / R.</summary>
    public float Alpha { get; }

    /// <summary>The changes, one for each weight.</summary>
    public IReadOnlyList<LoraTensor> Tensors { get; }

    /// <summary>
    /// Frobenius norm of (alpha / R) B A for each weight, and for all together (root of the sum of squares), in float64.
    /// </summary>
    /// <returns>Norm by weight name, and the total.</returns>
    public (IReadOnlyDictionary<string, double> ByTensor, double Total) FrobeniusNorms()
    {
        var norms = new OrderedDictionary<string, double>(Tensors.Count);
        double sum = 0;
        foreach (LoraTensor tensor in Tensors)
        {
            double scale = (double)Alpha / tensor.Rank;
            double square = scale * scale * LowRankProduct.SquaredNorm(tensor.A, tensor.B, tensor.Rank);
            norms.Add(tensor.Name, Math.Sqrt(square));
            sum += square;
        }

        return (norms, Math.Sqrt(sum));
    }
}
