using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Verdicts;
using EmScan.Kernels;

namespace EmScan.Engine.Running;

/// <summary>Latents of a sparse autoencoder, measured beside the drifts of a scan: in the same pass and at the same place, at its own layer.</summary>
/// <remarks>Owns the device.</remarks>
internal sealed class LatentMeasurement : IDisposable
{
    private readonly ISparseEncoder _encoder;
    private readonly string[] _names;
    private readonly double[] _base;

    private LatentMeasurement(SparseAutoencoder autoencoder, IKernelDevice device, ISparseEncoder encoder, double[] ofBase)
    {
        (Autoencoder, Device, _encoder, _base) = (autoencoder, device, encoder, ofBase);
        _names = [.. Enumerable.Range(0, ofBase.Length).Select(f => $"latent_{f}")];
    }

    internal SparseAutoencoder Autoencoder { get; }

    internal IKernelDevice Device { get; }

    /// <summary>Has every checkpoint that is scanned from now on measured with latents; measures those of the base.</summary>
    /// <exception cref="EmScanException">The base cannot be measured; the scanner measures what it did before, and the device stays open.</exception>
    internal static LatentMeasurement Begin(
        Scanner scanner, SparseAutoencoder autoencoder, IKernelDevice device, ShardWork? shared, CancellationToken cancellationToken)
    {
        ISparseEncoder encoder = device.Keep(autoencoder.Encoder);
        (int Layer, Reducer Reducer)? before = scanner.Beside;
        try
        {
            scanner.Beside = (autoencoder.Layer, new LatentMeanReducer(autoencoder, encoder));
            shared?.Once(scanner.Engine, scanner.CellsOf(Variant.Base)[1], "latents of the base model", null, cancellationToken);
            return new LatentMeasurement(autoencoder, device, encoder, scanner.MeasureBaseBeside(cancellationToken)["mean"]);
        }
        catch
        {
            scanner.Beside = before;
            encoder.Dispose();
            throw;
        }
    }

    /// <summary>How much more active they are than in the base.</summary>
    internal LatentChange Of(MeasuredPoint point) => new(_names, [.. point.Beside!["mean"].Zip(_base, (now, before) => now - before)]);

    public void Dispose()
    {
        _encoder.Dispose();
        Device.Dispose();
    }
}
