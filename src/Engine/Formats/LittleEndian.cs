using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace EmScan.Engine.Formats;

/// <summary>Numbers in the byte order of every format here, read as and written from F32.</summary>
internal static class LittleEndian
{
    /// <summary>float32 values.</summary>
    public static void ReadSingles(ReadOnlySpan<byte> bytes, Span<float> values)
    {
        if (BitConverter.IsLittleEndian) bytes[..(sizeof(float) * values.Length)].CopyTo(MemoryMarshal.AsBytes(values));
        else
            for (int i = 0; i < values.Length; i++) values[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes[(4 * i)..]);
    }

    /// <summary>float16 values, exactly.</summary>
    public static void ReadHalves(ReadOnlySpan<byte> bytes, Span<float> values)
    {
        if (BitConverter.IsLittleEndian)
            TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(bytes[..(2 * values.Length)]), values);
        else
            for (int i = 0; i < values.Length; i++) values[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(bytes[(2 * i)..]);
    }

    /// <summary>bfloat16 values, the upper halves of float32, exactly.</summary>
    public static void ReadBFloats(ReadOnlySpan<byte> bytes, Span<float> values)
    {
        int i = 0;
        if (BitConverter.IsLittleEndian)
        {
            ReadOnlySpan<ushort> upper = MemoryMarshal.Cast<byte, ushort>(bytes[..(2 * values.Length)]);
            for (; i <= values.Length - Vector128<ushort>.Count; i += Vector128<ushort>.Count)
            {
                (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Create(upper[i..]));
                (low << 16).AsSingle().CopyTo(values[i..]);
                (high << 16).AsSingle().CopyTo(values[(i + Vector128<uint>.Count)..]);
            }
        }

        for (; i < values.Length; i++)
            values[i] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]) << 16);
    }

    /// <summary>float64 values, rounded to nearest.</summary>
    public static void ReadDoubles(ReadOnlySpan<byte> bytes, Span<float> values)
    {
        for (int i = 0; i < values.Length; i++) values[i] = (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes[(8 * i)..]);
    }

    /// <summary>Writes F32 values, without a copy where the machine is little-endian.</summary>
    public static void WriteSingles(Stream stream, ReadOnlySpan<float> values)
    {
        if (BitConverter.IsLittleEndian)
        {
            stream.Write(MemoryMarshal.AsBytes(values));
            return;
        }

        Span<byte> bytes = stackalloc byte[sizeof(float)];
        foreach (float value in values)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
            stream.Write(bytes);
        }
    }
}
