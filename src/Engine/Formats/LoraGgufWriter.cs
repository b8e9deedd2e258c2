using System.Buffers.Binary;
using System.Text;

namespace EmScan.Engine.Formats;

/// <summary>Writes an adapter as the LoRA GGUF file that llama.cpp's llama_adapter_lora_init loads.</summary>
/// <remarks>
/// GGUF version 3, alignment 32, F32. Each weight gives NAME.lora_a with ne = [in, R] and NAME.lora_b with ne = [R, out];
/// llama.cpp applies factor * B A with factor = alpha / R (R = ne[0] of lora_b). For the embedding table it gathers rows of lora_a, so
/// that A is stored transposed there: ne = [R, vocabulary].
/// </remarks>
internal static class LoraGgufWriter
{
    private const int Alignment = 32;

    /// <summary>Writes the file beside its target and renames it, so that no reader sees a part of it.</summary>
    /// <exception cref="InputFileException">The file cannot be written.</exception>
    public static void Write(string path, LoraAdapter adapter)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(adapter);
        AtomicFile.Write(path, stream => Write(stream, adapter));
    }

    /// <summary>Writes the file's bytes to a stream, which need not be seekable.</summary>
    public static void Write(Stream stream, LoraAdapter adapter)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(adapter);
        using var header = new MemoryStream();
        header.Write("GGUF"u8);
        WriteUInt32(header, 3);
        WriteUInt64(header, (ulong)(2 * adapter.Tensors.Count));
        WriteUInt64(header, 4);
        WriteText(header, "general.type", "adapter");
        WriteText(header, "general.architecture", adapter.Architecture);
        WriteText(header, "adapter.type", "lora");
        WriteKey(header, "adapter.lora.alpha", GgufValueType.F32);
        WriteUInt32(header, BitConverter.SingleToUInt32Bits(adapter.Alpha));

        ulong offset = 0;
        foreach (LoraTensor tensor in adapter.Tensors)
        {
            (long, long) shapeA = tensor.IsTokenEmbedding ? (tensor.Rank, tensor.InputSize) : (tensor.InputSize, tensor.Rank);
            WriteTensorInfo(header, tensor.Name + ".lora_a", shapeA, ref offset);
            WriteTensorInfo(header, tensor.Name + ".lora_b", (tensor.Rank, tensor.OutputSize), ref offset);
        }

        WritePadding(header, header.Length);
        stream.Write(header.GetBuffer().AsSpan(0, (int)header.Length));
        foreach (LoraTensor tensor in adapter.Tensors)
        {
            WriteData(stream, tensor.IsTokenEmbedding ? Transpose(tensor.A, tensor.Rank) : tensor.A);
            WriteData(stream, tensor.B);
        }
    }

    // (rows, n) to (n, rows), row-major.
    internal static float[] Transpose(float[] matrix, int rows)
    {
        int columns = matrix.Length / rows;
        var result = new float[matrix.Length];
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++) result[column * rows + row] = matrix[row * columns + column];
        return result;
    }

    private static void WriteData(Stream stream, float[] data)
    {
        LittleEndian.WriteSingles(stream, data);
        WritePadding(stream, (long)data.Length * sizeof(float));
    }

    private static void WriteTensorInfo(Stream stream, string name, (long Contiguous, long Rows) shape, ref ulong offset)
    {
        WriteString(stream, name);
        WriteUInt32(stream, 2);
        WriteUInt64(stream, (ulong)shape.Contiguous);
        WriteUInt64(stream, (ulong)shape.Rows);
        WriteUInt32(stream, 0); // F32
        WriteUInt64(stream, offset);
        ulong bytes = (ulong)(shape.Contiguous * shape.Rows * sizeof(float));
        offset += (bytes + Alignment - 1) / Alignment * Alignment;
    }

    private static void WritePadding(Stream stream, long length)
    {
        Span<byte> zeros = stackalloc byte[Alignment];
        zeros.Clear();
        stream.Write(zeros[..(int)(-length & (Alignment - 1))]);
    }

    private static void WriteText(Stream stream, string key, string value)
    {
        WriteKey(stream, key, GgufValueType.Text);
        WriteString(stream, value);
    }

    private static void WriteKey(Stream stream, string key, GgufValueType type)
    {
        WriteString(stream, key);
        WriteUInt32(stream, (uint)type);
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
