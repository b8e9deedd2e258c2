using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Formats;

/// <summary>
/// Reads safetensors: 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes without gaps.
/// </summary>
/// <remarks>
/// Everything is checked when the file is opened, as the reference implementation does: header of at most 100 MB that begins with '{', no
/// duplicate key, offsets that start at 0, leave no hole, never overlap and end exactly at the end of the file, byte counts that equal
/// shape times element size. Tensor bytes are read only when asked for. Safe to use from several threads.
/// Format: https://github.com/huggingface/safetensors (README, "Format").
/// </remarks>
internal sealed class SafetensorsFile : IDisposable
{
    private const long MaxHeaderBytes = 100_000_000;

    // Bits per element of every type the format knows.
    private static readonly FrozenDictionary<string, int> TypeBits = new Dictionary<string, int>
    {
        ["F4"] = 4,
        ["F6_E2M3"] = 6,
        ["F6_E3M2"] = 6,
        ["BOOL"] = 8,
        ["U8"] = 8,
        ["I8"] = 8,
        ["F8_E5M2"] = 8,
        ["F8_E4M3"] = 8,
        ["F8_E8M0"] = 8,
        ["F8_E5M2FNUZ"] = 8,
        ["F8_E4M3FNUZ"] = 8,
        ["I16"] = 16,
        ["U16"] = 16,
        ["F16"] = 16,
        ["BF16"] = 16,
        ["I32"] = 32,
        ["U32"] = 32,
        ["F32"] = 32,
        ["C64"] = 64,
        ["I64"] = 64,
        ["U64"] = 64,
        ["F64"] = 64,
    }.ToFrozenDictionary();

    private readonly SafeFileHandle _handle;

    private SafetensorsFile(
        string path, SafeFileHandle handle, Dictionary<string, string> metadata, OrderedDictionary<string, SafetensorsTensor> tensors)
    {
        Path = path;
        _handle = handle;
        Metadata = metadata;
        Tensors = tensors;
    }

    /// <summary>The path the file was opened from.</summary>
    public string Path { get; }

    /// <summary>The header's __metadata__, empty when there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Every tensor by name, in the order of the header.</summary>
    public IReadOnlyDictionary<string, SafetensorsTensor> Tensors { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="InputFileException">The file cannot be read or breaks the format; the sentence names the tensor.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        SafeFileHandle handle = InputFile.Open(path, out long length);
        try
        {
            byte[] header = ReadHeader(handle, path, length);
            var metadata = new Dictionary<string, string>();
            OrderedDictionary<string, SafetensorsTensor> tensors = ParseHeader(path, header, metadata);
            CheckLayout(path, tensors.Values, 8 + header.Length, length);
            return new SafetensorsFile(path, handle, metadata, tensors);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Reads a floating-point tensor (F32, F16, BF16, F64) as F32, row-major.</summary>
    /// <exception cref="InputFileException">No such tensor, another element type, or more than 2^31 elements.</exception>
    public float[] ReadFloat32(string name)
    {
        SafetensorsTensor tensor = Find(name);
        if (tensor.ElementCount > Array.MaxLength)
            throw new InputFileException(Path,
                $"tensor \"{InputFile.OneLine(name)}\" has {tensor.ElementCount} elements, too many for one array");
        RequireFloat(tensor);
        var values = new float[tensor.ElementCount];
        ReadFloat32(name, values);
        return values;
    }

    /// <summary>Reads a floating-point tensor (F32, F16, BF16, F64) as F32, row-major, into <paramref name="destination"/>.</summary>
    /// <param name="name">Name of the tensor.</param>
    /// <param name="destination">As long as the tensor has elements. F64 is rounded to F32; NaN and infinities are kept.</param>
    /// <exception cref="InputFileException">No such tensor, or another element type.</exception>
    /// <exception cref="ArgumentException">The destination has another length.</exception>
    public void ReadFloat32(string name, Span<float> destination)
    {
        SafetensorsTensor tensor = Find(name);
        RequireFloat(tensor);
        if (destination.Length != tensor.ElementCount)
            throw new ArgumentException($"The tensor has {tensor.ElementCount} elements, the destination {destination.Length}.",
                nameof(destination));
        if (tensor.DType == "F32" && BitConverter.IsLittleEndian)
        {
            InputFile.ReadExactly(_handle, Path, MemoryMarshal.AsBytes(destination), tensor.Offset);
            return;
        }

        int size = TypeBits[tensor.DType] / 8;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(1 << 16);
        long offset = tensor.Offset;
        while (destination.Length > 0)
        {
            int count = Math.Min(destination.Length, buffer.Length / size);
            ReadOnlySpan<byte> bytes = buffer.AsSpan(0, count * size);
            InputFile.ReadExactly(_handle, Path, buffer.AsSpan(0, count * size), offset);
            Decode(tensor.DType, bytes, destination[..count]);
            destination = destination[count..];
            offset += count * size;
        }

        ArrayPool<byte>.Shared.Return(buffer);
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _handle.Dispose();

    private static void Decode(string dtype, ReadOnlySpan<byte> bytes, Span<float> destination)
    {
        switch (dtype)
        {
            case "F32":
                LittleEndian.ReadSingles(bytes, destination);
                break;
            case "F16":
                LittleEndian.ReadHalves(bytes, destination);
                break;
            case "BF16":
                LittleEndian.ReadBFloats(bytes, destination);
                break;
            default:
                LittleEndian.ReadDoubles(bytes, destination);
                break;
        }
    }

    private SafetensorsTensor Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return Tensors.TryGetValue(name, out SafetensorsTensor? tensor)
            ? tensor
            : throw new InputFileException(Path, $"has no tensor \"{InputFile.OneLine(name)}\"");
    }

    private void RequireFloat(SafetensorsTensor tensor)
    {
        if (tensor.DType is not ("F32" or "F16" or "BF16" or "F64"))
            throw InputFile.BadTensor(Path, tensor.Name, $"has element type {tensor.DType}; F32, F16, BF16 and F64 can be read");
    }

    private static byte[] ReadHeader(SafeFileHandle handle, string path, long length)
    {
        if (length < 8) throw Instead(path, $"has {length} bytes; a safetensors file begins with 8 bytes of header length");
        Span<byte> prefix = stackalloc byte[8];
        InputFile.ReadExactly(handle, path, prefix, 0);
        ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (headerLength > MaxHeaderBytes)
            throw Instead(path, $"does not begin as a safetensors file does, with the length of a header of at most {MaxHeaderBytes} bytes");
        if ((long)headerLength > length - 8)
            throw Instead(path, $"claims a header of {headerLength} bytes but only {length - 8} follow; the file is truncated");
        var header = new byte[headerLength];
        InputFile.ReadExactly(handle, path, header, 8);
        if (header.Length == 0 || header[0] != (byte)'{')
            throw Instead(path, "has a header that does not begin with '{'; this is not a safetensors file");
        return header;
    }

    /// <summary>What the file is, if that is known, in the place of what is wrong with its header.</summary>
    private static InputFileException Instead(string path, string problem) => RecognisedFile.Of(path) is { Kind: not (FileKind.Unknown or FileKind.OtherText) } found
        ? new InputFileException(path, InputUse.Safetensors.Sentence(path, found))
        : new InputFileException(path, problem);

    private static OrderedDictionary<string, SafetensorsTensor> ParseHeader(string path, byte[] header, Dictionary<string, string> metadata)
    {
        try
        {
            using var document = JsonDocument.Parse(header, new JsonDocumentOptions { AllowDuplicateProperties = false });
            var tensors = new OrderedDictionary<string, SafetensorsTensor>();
            foreach (JsonProperty entry in document.RootElement.EnumerateObject())
            {
                if (entry.Name == "__metadata__") ParseMetadata(path, entry.Value, metadata);
                else tensors.Add(entry.Name, ParseTensor(path, entry.Name, entry.Value, 8 + header.Length));
            }

            return tensors;
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            // Also a key twice, and (InvalidOperationException) a string that is not valid UTF-8.
            throw new InputFileException(path, "has a damaged header: its JSON is cut off, has a key twice, or is not UTF-8; fetch or save the file again", failure);
        }
    }

    private static void ParseMetadata(string path, JsonElement element, Dictionary<string, string> metadata)
    {
        if (element.ValueKind != JsonValueKind.Object) throw new InputFileException(path, "has a __metadata__ that is not an object");
        foreach (JsonProperty entry in element.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.String)
                throw new InputFileException(path, $"has a __metadata__ entry \"{InputFile.OneLine(entry.Name)}\" that is not a string");
            metadata.Add(entry.Name, entry.Value.GetString()!);
        }
    }

    private static SafetensorsTensor ParseTensor(string path, string name, JsonElement element, long dataStart)
    {
        if (element.ValueKind != JsonValueKind.Object) throw InputFile.BadTensor(path, name, "is not described by an object");
        if (!element.TryGetProperty("dtype", out JsonElement dtypeElement) || dtypeElement.ValueKind != JsonValueKind.String)
            throw InputFile.BadTensor(path, name, "has no dtype");
        string dtype = dtypeElement.GetString()!;
        if (!TypeBits.TryGetValue(dtype, out int bits))
            throw InputFile.BadTensor(path, name, $"has the unknown dtype \"{InputFile.OneLine(dtype)}\"");

        long[] shape = Integers(path, name, element, "shape");
        long[] offsets = Integers(path, name, element, "data_offsets");
        if (offsets.Length != 2) throw InputFile.BadTensor(path, name, "needs two data_offsets, begin and end");
        if (offsets[1] < offsets[0]) throw InputFile.BadTensor(path, name, $"ends at byte {offsets[1]}, before its begin at {offsets[0]}");

        try
        {
            long total = bits;
            foreach (long dimension in shape) total = checked(total * dimension);
            if (total % 8 != 0) throw InputFile.BadTensor(path, name, "does not fill a whole number of bytes");
            if (total / 8 != offsets[1] - offsets[0])
                throw InputFile.BadTensor(path, name,
                    $"needs {total / 8} bytes for shape ({string.Join(", ", shape)}) of {dtype}, not {offsets[1] - offsets[0]}");
            return new SafetensorsTensor(name, dtype, shape, checked(dataStart + offsets[0]), offsets[1] - offsets[0]);
        }
        catch (OverflowException overflow)
        {
            throw new InputFileException(path, $"tensor \"{InputFile.OneLine(name)}\" claims a size that overflows", overflow);
        }
    }

    private static long[] Integers(string path, string name, JsonElement element, string key)
    {
        if (!element.TryGetProperty(key, out JsonElement list) || list.ValueKind != JsonValueKind.Array)
            throw InputFile.BadTensor(path, name, $"has no {key}");
        var values = new long[list.GetArrayLength()];
        int count = 0;
        foreach (JsonElement item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out long value) || value < 0)
                throw InputFile.BadTensor(path, name,
                    $"has a {key} with \"{InputFile.OneLine(item.GetRawText())}\", which is not a non-negative integer");
            values[count++] = value;
        }

        return values;
    }

    // Tensor bytes must tile the file from the end of the header to its last byte.
    private static void CheckLayout(string path, IEnumerable<SafetensorsTensor> tensors, long dataStart, long fileLength)
    {
        long end = dataStart;
        foreach (SafetensorsTensor tensor in tensors.OrderBy(t => t.Offset).ThenBy(t => t.ByteCount))
        {
            long begin = tensor.Offset - dataStart;
            if (tensor.Offset < end)
                throw InputFile.BadTensor(path, tensor.Name,
                    $"begins at byte {begin} inside the tensor before it, which ends at {end - dataStart}");
            if (tensor.Offset > end)
                throw InputFile.BadTensor(path, tensor.Name, $"begins at byte {begin} and leaves a hole after byte {end - dataStart}");
            if (tensor.ByteCount > fileLength - end)
                throw InputFile.BadTensor(path, tensor.Name,
                    $"needs {tensor.ByteCount} bytes but the file has {fileLength - end} left; the file is truncated");
            end += tensor.ByteCount;
        }

        if (end != fileLength) throw new InputFileException(path, $"has {fileLength - end} bytes at its end that belong to no tensor");
    }
}
