namespace EmScan.Engine.Runtime;

/// <summary>
/// What is added to the residual stream: for each steered layer l, h_l becomes h_l + v_l at every token (method.md: h + a*v).
/// </summary>
/// <remarks>Immutable as long as nobody writes to the arrays.</remarks>
internal sealed class ControlVector
{
    /// <summary>Creates a control vector.</summary>
    /// <param name="hiddenSize">D.</param>
    /// <param name="vectors">Layer to vector, (D) each, in the model's activation units. llama.cpp cannot steer layer 0.</param>
    /// <exception cref="ArgumentException">No layer, layer 0 or a negative one, or a vector of another length or with NaN or infinity in it.</exception>
    public ControlVector(int hiddenSize, IReadOnlyDictionary<int, float[]> vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (vectors.Count == 0) throw new ArgumentException("A control vector needs at least one layer.", nameof(vectors));
        foreach ((int layer, float[] vector) in vectors)
        {
            if (layer < 1) throw new ArgumentException($"Layer {layer} cannot be steered: llama.cpp adds control vectors after blocks 1 and up.", nameof(vectors));
            if (vector.Length != hiddenSize) throw new ArgumentException($"The vector of layer {layer} has {vector.Length} values, but the model's hidden size is {hiddenSize}.", nameof(vectors));
            if (!vector.All(float.IsFinite)) throw new ArgumentException($"The vector of layer {layer} holds NaN or infinity.", nameof(vectors));
        }

        HiddenSize = hiddenSize;
        Vectors = vectors;
    }

    /// <summary>D.</summary>
    public int HiddenSize { get; }

    /// <summary>Layer to vector, (D) each.</summary>
    public IReadOnlyDictionary<int, float[]> Vectors { get; }
}
