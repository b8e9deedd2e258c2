using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace EmScan.Engine.Formats;

/// <summary>Writes F32 tensors as one safetensors file.</summary>
/// <remarks>
/// The same input gives the same bytes: tensors in the given order, metadata sorted by key, header padded with spaces to a multiple of
/// 8 so that the data is aligned. Written beside the target, flushed to the disk and renamed, so no reader sees a half-written file.
/// </remarks>
internal static class SafetensorsWriter
{
    /// <summary>Writes the file, replacing one that exists.</summary>
    /// <param name="path">Target; its folder must exist.</param>
    /// <param name="tensors">Name, shape (row-major) and values of each tensor; names are distinct and not "__metadata__".</param>
    /// <param name="metadata">Free text by key; may be empty.</param>
    /// <exception cref="ArgumentException">A name occurs twice or is reserved, or values do not fill the shape.</exception>
    /// <exception cref="InputFileException">The file cannot be written.</exception>
    public static void Write(
        string path, IReadOnlyList<(string Name, long[] Shape, float[] Data)> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(metadata);
        ReadOnlyMemory<byte> header = Header(tensors, metadata);
        AtomicFile.Write(path, stream =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
            stream.Write(length);
            stream.Write(header.Span);
            foreach ((_, _, float[] data) in tensors) LittleEndian.WriteSingles(stream, data);
        });
    }

    private static ReadOnlyMemory<byte> Header(
        IReadOnlyList<(string Name, long[] Shape, float[] Data)> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var names = new HashSet<string>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata.OrderBy(entry => entry.Key, StringComparer.Ordinal)) json.WriteString(key,
                    value);
                json.WriteEndObject();
            }

            long offset = 0;
            foreach ((string name, long[] shape, float[] data) in tensors)
            {
                if (name == "__metadata__") throw new ArgumentException("\"__metadata__\" is reserved by the format.", nameof(tensors));
                if (!names.Add(name)) throw new ArgumentException($"The tensor \"{name}\" occurs twice.", nameof(tensors));
                long count = shape.Aggregate(1L, (product, dimension) => checked(product * dimension));
                if (count != data.Length || shape.Any(dimension => dimension < 0))
                    throw new ArgumentException($"The tensor \"{name}\" has {data.Length} values for shape ({string.Join(", ", shape)}).",
                        nameof(tensors));
                json.WriteStartObject(name);
                json.WriteString("dtype", "F32");
                json.WriteStartArray("shape");
                foreach (long dimension in shape) json.WriteNumberValue(dimension);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                offset += sizeof(float) * count;
                json.WriteNumberValue(offset);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        int padding = -buffer.WrittenCount & 7;
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        return buffer.WrittenMemory;
    }
}
