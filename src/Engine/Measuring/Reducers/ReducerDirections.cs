using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace EmScan.Engine.Measuring;

/// <summary>Directions that a reducer projects on. Immutable.</summary>
internal sealed class ReducerDirections
{
    private readonly float[] _values;

    /// <summary>Copies directions.</summary>
    /// <param name="directions">(K, D) row-major.</param>
    /// <param name="count">K.</param>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
    internal ReducerDirections(ReadOnlySpan<float> directions, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (directions.Length == 0 || directions.Length % count != 0)
            throw new ArgumentException($"{directions.Length} values are not {count} directions of one length.", nameof(directions));
        _values = directions.ToArray();
        Count = count;
    }

    /// <summary>K.</summary>
    internal int Count { get; }

    /// <summary>SHA-256 of the values, hex, for a reducer's identity.</summary>
    internal string Digest => Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<float>(_values)));

    /// <summary>The values, (K, D) row-major.</summary>
    /// <param name="width">The model's hidden size.</param>
    /// <exception cref="ArgumentException">D is another.</exception>
    internal float[] OfWidth(int width) => _values.Length == (long)Count * width ? _values
        : throw new ArgumentException($"The directions have {_values.Length / Count} values, but the model's hidden size is {width}.", nameof(width));
}
