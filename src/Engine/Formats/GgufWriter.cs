using System.Buffers.Binary;
using System.Text;

namespace EmScan.Engine.Formats;

/// <summary>Collects metadata and F32 tensors, and writes them as GGUF version 3, alignment 32.</summary>
/// <remarks>Not thread safe. Tensor data is asked for when its turn comes, so that what is derived need not all be in memory.</remarks>
internal sealed class GgufWriter
{
    private const int Alignment = 32;

    private readonly List<Action<Stream>> _metadata = [];
    private readonly List<(string Name, long[] Ne, Func<float[]> Data)> _tensors = [];

    /// <summary>Adds a text.</summary>
    internal void Text(string key, string value) => Add(key, GgufValueType.Text, stream => WriteString(stream, value));

    /// <summary>Adds a single.</summary>
    internal void Float32(string key, float value) => Add(key, GgufValueType.F32, stream => WriteUInt32(stream, BitConverter.SingleToUInt32Bits(value)));

    /// <summary>Adds an unsigned 32-bit integer.</summary>
    internal void UInt32(string key, uint value) => Add(key, GgufValueType.U32, stream => WriteUInt32(stream, value));

    /// <summary>Adds a tensor.</summary>
    /// <param name="name">Its name, at most 63 bytes.</param>
    /// <param name="ne">Dimensions in ggml's order, the contiguous one first.</param>
    /// <param name="data">Gives as many values as the dimensions say.</param>
    internal void Tensor(string name, long[] ne, Func<float[]> data) => _tensors.Add((name, ne, data));

    /// <summary>Writes the file's bytes to a stream, which need not be seekable.</summary>
    internal void Write(Stream stream)
    {
        using var header = new MemoryStream();
        header.Write("GGUF"u8);
        WriteUInt32(header, 3);
        WriteUInt64(header, (ulong)_tensors.Count);
        WriteUInt64(header, (ulong)_metadata.Count);
        foreach (Action<Stream> entry in _metadata) entry(header);
        ulong offset = 0;
        foreach ((string name, long[] ne, _) in _tensors)
        {
            WriteString(header, name);
            WriteUInt32(header, (uint)ne.Length);
            foreach (long dimension in ne) WriteUInt64(header, (ulong)dimension);
            WriteUInt32(header, 0); // F32
            WriteUInt64(header, offset);
            ulong bytes = (ulong)(ne.Aggregate(1L, (product, dimension) => product * dimension) * sizeof(float));
            offset += (bytes + Alignment - 1) / Alignment * Alignment;
        }

        WritePadding(header, header.Length);
        stream.Write(header.GetBuffer().AsSpan(0, (int)header.Length));
        foreach ((_, _, Func<float[]> data) in _tensors)
        {
            float[] values = data();
            LittleEndian.WriteSingles(stream, values);
            WritePadding(stream, (long)values.Length * sizeof(float));
        }
    }

    private void Add(string key, GgufValueType type, Action<Stream> value) => _metadata.Add(stream =>
    {
        WriteString(stream, key);
        WriteUInt32(stream, (uint)type);
        value(stream);
    });

    private static void WritePadding(Stream stream, long length)
    {
        Span<byte> zeros = stackalloc byte[Alignment];
        zeros.Clear();
        stream.Write(zeros[..(int)(-length & (Alignment - 1))]);
    }

    private static void WriteString(Stream stream, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        WriteUInt64(stream, (ulong)bytes.Length);
        stream.Write(bytes);
    }

    private static void WriteUInt32(Stream stream, uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        stream.Write(bytes);
    }

    private static void WriteUInt64(Stream stream, ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        stream.Write(bytes);
    }
}
