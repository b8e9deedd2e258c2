using EmScan.Engine.Formats;

namespace EmScan.Engine.Tests.Support;

/// <summary>A random sparse autoencoder as a folder that emscan reads, and its activations written down from the formula, in float64.</summary>
internal sealed class RandomAutoencoder
{
    private readonly float[] _matrix;
    private readonly float[] _bias;
    private readonly float[] _decoderBias;

    internal RandomAutoencoder(int seed, int width, int latents)
    {
        (Width, Latents) = (width, latents);
        Random random = new(seed);
        float[] Numbers(int length, double size) => [.. Enumerable.Range(0, length).Select(_ => (float)(size * (random.NextDouble() - 0.5)))];
        (_matrix, _bias, _decoderBias) = (Numbers(width * latents, 0.4), Numbers(latents, 1), Numbers(width, 1));
    }

    internal int Width { get; }

    internal int Latents { get; }

    /// <summary>Writes it as one of a layer and, for what is to be refused, of another width.</summary>
    /// <returns>The folder.</returns>
    internal string Write(string folder, int layer, int? ofWidth = null)
    {
        int width = ofWidth ?? Width;
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "cfg.json"), $$"""{"architecture": "standard", "hook_name": "blocks.{{layer}}.hook_resid_post"}""");
        SafetensorsWriter.Write(
            Path.Combine(folder, "sae_weights.safetensors"),
            [("W_enc", [width, Latents], _matrix[..(width * Latents)]), ("b_enc", [Latents], _bias), ("b_dec", [width], _decoderBias[..width])],
            new Dictionary<string, string>());
        return folder;
    }

    /// <summary>relu((h - b_dec) W_enc + b_enc) of a hidden state.</summary>
    internal double[] Activations(ReadOnlySpan<float> state)
    {
        double[] latents = new double[Latents];
        for (int f = 0; f < Latents; f++)
        {
            double z = _bias[f];
            for (int d = 0; d < Width; d++) z += ((double)state[d] - _decoderBias[d]) * _matrix[(d * Latents) + f];
            latents[f] = Math.Max(0, z);
        }

        return latents;
    }
}
