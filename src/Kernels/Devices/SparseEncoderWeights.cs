namespace EmScan.Kernels;

/// <summary>What a sparse autoencoder does to the values before they are its activations.</summary>
public enum SparseActivation
{
    /// <summary>max(0, z).</summary>
    Relu,

    /// <summary>max(0, z) of the k largest z of a state, 0 of the others (Gao et al. 2024, arXiv 2406.04093).</summary>
    TopK,

    /// <summary>z where it is above the latent's own threshold, else 0 (Rajamanoharan et al. 2024, arXiv 2407.14435).</summary>
    JumpRelu,
}

/// <summary>
/// The encoder of a sparse autoencoder: <c>z[f] = bias[f] + sum over d of state[d] * weights[f, d]</c>, and what is done to z.
/// </summary>
/// <remarks>Immutable as long as its memory is not changed, and so thread safe.</remarks>
public sealed class SparseEncoderWeights
{
    /// <summary>Takes the weights; they are not copied.</summary>
    /// <param name="weights">(F, D) float32, a latent's weights together.</param>
    /// <param name="bias">(F) float32.</param>
    /// <param name="activation">What is done to z.</param>
    /// <param name="k">k of <see cref="SparseActivation.TopK"/>, at least 1; of no meaning otherwise.</param>
    /// <param name="thresholds">(F) float32, of <see cref="SparseActivation.JumpRelu"/>; empty otherwise.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or k is not from 1 to F.</exception>
    public SparseEncoderWeights(
        ReadOnlyMemory<float> weights,
        ReadOnlyMemory<float> bias,
        SparseActivation activation,
        int k = 0,
        ReadOnlyMemory<float> thresholds = default)
    {
        if (bias.Length == 0 || weights.Length == 0 || weights.Length % bias.Length != 0)
            throw new ArgumentException($"{weights.Length} weights do not belong to {bias.Length} latents.", nameof(weights));
        if (activation == SparseActivation.TopK && (k < 1 || k > bias.Length))
            throw new ArgumentException($"k is {k}; it must be from 1 to {bias.Length}, the number of latents.", nameof(k));
        if (thresholds.Length != (activation == SparseActivation.JumpRelu ? bias.Length : 0))
            throw new ArgumentException($"There are {thresholds.Length} thresholds for {bias.Length} latents.", nameof(thresholds));
        Weights = weights;
        Bias = bias;
        Activation = activation;
        K = k;
        Thresholds = thresholds;
    }

    /// <summary>(F, D).</summary>
    public ReadOnlyMemory<float> Weights { get; }

    /// <summary>(F).</summary>
    public ReadOnlyMemory<float> Bias { get; }

    /// <summary>What is done to z.</summary>
    public SparseActivation Activation { get; }

    /// <summary>How many latents of a state are kept, for <see cref="SparseActivation.TopK"/>.</summary>
    public int K { get; }

    /// <summary>(F), or empty.</summary>
    public ReadOnlyMemory<float> Thresholds { get; }

    /// <summary>Number of latents, F.</summary>
    public int Latents => Bias.Length;

    /// <summary>Width of a state, D.</summary>
    public int Dimension => Weights.Length / Latents;
}
