using System.Runtime.InteropServices;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>Rows that wait for a sparse autoencoder's encoder, which takes many at a time. Not thread safe.</summary>
/// <param name="encoder">The encoder.</param>
/// <param name="blockRows">So many rows are worth encoding.</param>
internal sealed class LatentRows(ISparseEncoder encoder, int blockRows)
{
    private readonly List<float> _waiting = [];
    private float[] _activations = [];

    /// <summary>Whether a block is complete.</summary>
    internal bool IsFull => Count >= blockRows;

    private int Count => _waiting.Count / encoder.Dimension;

    /// <summary>Rows whose activations are at most so many numbers.</summary>
    internal static int BlockRows(ISparseEncoder encoder, int numbers) => Math.Clamp(numbers / encoder.Latents, 1, Lens.MostRows);

    /// <summary>Adds rows, (n, D).</summary>
    internal void Add(ReadOnlySpan<float> rows) => _waiting.AddRange(rows);

    /// <summary>Encodes what waits, if anything does, and forgets it.</summary>
    /// <returns>(N, F), until the next call.</returns>
    internal ReadOnlySpan<float> Encode()
    {
        int length = Count * encoder.Latents;
        if (length == 0) return [];
        if (_activations.Length < length) _activations = new float[length];
        Span<float> activations = _activations.AsSpan(0, length);
        encoder.Encode(CollectionsMarshal.AsSpan(_waiting), activations);
        _waiting.Clear();
        return activations;
    }
}
