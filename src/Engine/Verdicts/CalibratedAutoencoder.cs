using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts;

/// <summary>The sparse autoencoder whose latents a calibration's detector reads. Its layer is the calibration's.</summary>
/// <param name="Name">What people call it.</param>
/// <param name="Digest">SHA-256 of what encodes, hex (<see cref="SparseAutoencoder.Digest"/>).</param>
/// <param name="Latents">F.</param>
internal sealed record CalibratedAutoencoder(string Name, string Digest, int Latents)
{
    /// <summary>As much of a digest as people compare.</summary>
    private const int Shown = 12;

    /// <summary>Names an autoencoder.</summary>
    internal static CalibratedAutoencoder Of(SparseAutoencoder autoencoder) => new(autoencoder.Name, autoencoder.Digest, autoencoder.Encoder.Latents);

    /// <inheritdoc/>
    public override string ToString() => $"'{Name}' ({Latents} latents, digest {Digest[..Math.Min(Shown, Digest.Length)]})";
}

/// <summary>A calibration reads the latents of a sparse autoencoder, and none was given.</summary>
/// <param name="source">The calibration, as its user knows it.</param>
/// <param name="made">The autoencoder that it was made with.</param>
/// <param name="layer">Its layer.</param>
internal sealed class AutoencoderMissingException(string source, CalibratedAutoencoder made, int layer)
    : EmScanException($"{source}: reads the latents of the sparse autoencoder {made} at layer {layer}, and none was given");
