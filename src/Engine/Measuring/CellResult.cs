using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace EmScan.Engine.Measuring;

/// <summary>What a reducer leaves of a cell: named arrays of numbers.</summary>
/// <remarks>
/// Encoded, little endian: the number of parts (u16), and for each part the length of its name (u8), the name (UTF-8), how its values are
/// stored (u8: 0 float64, 1 float32 where that loses nothing), their number (u32) and the values. Immutable as long as nobody writes to
/// the arrays.
/// </remarks>
internal sealed class CellResult
{
    private const byte Float64 = 0;
    private const byte Float32 = 1;

    private readonly (string Name, double[] Values)[] _parts;

    /// <summary>Makes a result.</summary>
    /// <param name="parts">Distinct names of at most 255 bytes, each with its numbers.</param>
    public CellResult(params (string Name, double[] Values)[] parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        _parts = parts;
    }

    /// <summary>The numbers of a part.</summary>
    /// <exception cref="KeyNotFoundException">There is no such part.</exception>
    public double[] this[string name] => Find(name) ?? throw new KeyNotFoundException($"A cell's result has no part '{name}'.");

    /// <summary>The numbers of a part, or null when there is no such part.</summary>
    public double[]? Find(string name) => Array.Find(_parts, p => p.Name == name).Values;

    /// <summary>The one number of a part, or null when there is no such part.</summary>
    public double? Number(string name) => Find(name) is { } values ? values[0] : null;

    /// <summary>Whether all numbers are finite.</summary>
    internal bool IsFinite => Array.TrueForAll(_parts, part => Array.TrueForAll(part.Values, double.IsFinite));

    /// <summary>Whether both hold the same numbers under the same names.</summary>
    public bool SameNumbers(CellResult other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return _parts.Length == other._parts.Length
            && _parts.Zip(other._parts).All(pair => pair.First.Name == pair.Second.Name && pair.First.Values.AsSpan().SequenceEqual(pair.Second.Values));
    }

    /// <summary>The result as bytes.</summary>
    internal byte[] Encode()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(checked((ushort)_parts.Length));
        foreach ((string name, double[] values) in _parts)
        {
            byte[] utf8 = Encoding.UTF8.GetBytes(name);
            writer.Write(checked((byte)utf8.Length));
            writer.Write(utf8);
            bool single = Array.TrueForAll(values, v => BitConverter.DoubleToInt64Bits((float)v) == BitConverter.DoubleToInt64Bits(v));
            writer.Write(single ? Float32 : Float64);
            writer.Write((uint)values.Length);
            if (single) writer.Write(MemoryMarshal.AsBytes<float>(Array.ConvertAll(values, v => (float)v)));
            else writer.Write(MemoryMarshal.AsBytes<double>(values));
        }

        return stream.ToArray();
    }

    /// <summary>Reads back what <see cref="Encode"/> wrote; null when these bytes are no result.</summary>
    internal static CellResult? Decode(ReadOnlySpan<byte> bytes)
    {
        if (!Take(ref bytes, sizeof(ushort), out ReadOnlySpan<byte> count)) return null;
        var parts = new (string, double[])[BinaryPrimitives.ReadUInt16LittleEndian(count)];
        for (int i = 0; i < parts.Length; i++)
        {
            if (!Take(ref bytes, 1, out ReadOnlySpan<byte> nameLength) || !Take(ref bytes, nameLength[0], out ReadOnlySpan<byte> name)
                || !Take(ref bytes, 1, out ReadOnlySpan<byte> kind) || !Take(ref bytes, sizeof(uint), out ReadOnlySpan<byte> length))
            {
                return null;
            }

            long values = BinaryPrimitives.ReadUInt32LittleEndian(length);
            long size = values * (kind[0] == Float32 ? sizeof(float) : sizeof(double));
            if (kind[0] > Float32 || !Take(ref bytes, size, out ReadOnlySpan<byte> data)) return null;
            parts[i] = (Encoding.UTF8.GetString(name), kind[0] == Float32 ? Widen(data) : MemoryMarshal.Cast<byte, double>(data).ToArray());
        }

        return bytes.IsEmpty ? new CellResult(parts) : null;
    }

    private static double[] Widen(ReadOnlySpan<byte> data) => Array.ConvertAll(MemoryMarshal.Cast<byte, float>(data).ToArray(), v => (double)v);

    private static bool Take(ref ReadOnlySpan<byte> bytes, long count, out ReadOnlySpan<byte> taken)
    {
        taken = default;
        if (count > bytes.Length) return false;
        taken = bytes[..(int)count];
        bytes = bytes[(int)count..];
        return true;
    }
}
