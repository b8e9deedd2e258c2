using System.Buffers.Binary;
using System.Globalization;

namespace EmScan.Engine.Formats;

/// <summary>
/// The header of a GGUF file, version 2 or 3: metadata, tensor descriptions, where the data lies. Tensor data is read only on request.
/// </summary>
/// <remarks>
/// Opening checks what llama.cpp's own reader checks (and refuses without a sentence): known types, at most four dimensions, whole
/// blocks, unique keys and names, tensors that follow one another at the file's alignment, and data that lies inside the file.
/// Whether the file is a usable model is the question of <see cref="GgufModelValidator"/>. Immutable and safe to share between threads.
/// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
/// </remarks>
internal sealed class GgufFile
{
    private const uint Magic = 0x46554747; // "GGUF"
    private const int MaxTensorNameBytes = 63;
    private const int MaxKeyBytes = 65535;

    private GgufFile(
        string path, uint version, OrderedDictionary<string, GgufValue> metadata, OrderedDictionary<string, GgufTensor> tensors,
            long dataOffset)
    {
        Path = path;
        Version = version;
        Metadata = metadata;
        Tensors = tensors;
        DataOffset = dataOffset;
    }

    /// <summary>The path the file was opened from.</summary>
    public string Path { get; }

    /// <summary>Version of the format, 2 or 3.</summary>
    public uint Version { get; }

    /// <summary>Metadata by key, in the file's order.</summary>
    public IReadOnlyDictionary<string, GgufValue> Metadata { get; }

    /// <summary>Tensors by name, in the file's order.</summary>
    public IReadOnlyDictionary<string, GgufTensor> Tensors { get; }

    /// <summary>First byte of the tensor data.</summary>
    public long DataOffset { get; }

    /// <summary>The value of general.architecture, "llama", "qwen2", ...; empty when the file does not say.</summary>
    public string Architecture => GetText("general.architecture") ?? "";

    /// <summary>Number of blocks, L; 0 where the header does not say.</summary>
    public long BlockCount => GetInteger($"{Architecture}.block_count") ?? 0;

    /// <summary>Opens a file and checks its header. The first part of a split model opens all parts and lists their tensors.</summary>
    /// <exception cref="InputFileException">The file or one of its parts is missing, cannot be read or breaks the format.</exception>
    public static GgufFile Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        GgufFile first = OpenPart(path, out OrderedDictionary<string, GgufTensor> tensors);
        long parts = first.GetInteger("split.count") ?? 1;
        if (parts is 0 or 1) return first;

        // split.no counts from 0.
        string suffix = $"-{1:D5}-of-{parts:D5}.gguf";
        if ((first.GetInteger("split.no") ?? 0) != 0 || !path.EndsWith(suffix, StringComparison.Ordinal))
            throw new InputFileException(path,
                $"is one of {parts} parts of a split model; give the first, whose name ends in \"{suffix}\"");
        for (int i = 2; i <= parts; i++)
        {
            string partPath = $"{path[..^suffix.Length]}-{i:D5}-of-{parts:D5}.gguf";
            if (!File.Exists(partPath)) throw new InputFileException(partPath, $"is missing: part {i} of {parts} of this split model; put all {parts} parts into one folder");
            GgufFile part = OpenPart(partPath, out _);
            if (part.GetInteger("split.no") != i - 1 || part.GetInteger("split.count") != parts)
                throw new InputFileException(partPath, $"is not part {i} of {parts} of the split model");
            foreach (GgufTensor tensor in part.Tensors.Values)
                if (!tensors.TryAdd(tensor.Name, tensor))
                    throw InputFile.BadTensor(partPath, tensor.Name, "also occurs in an earlier part");
        }

        return first;
    }

    /// <summary>The files that a model is in: the parts of a split model, by llama.cpp's naming (PREFIX-00001-of-00003.gguf), as far as they are there; else
    /// the file alone.</summary>
    /// <param name="path">The model's file, or its first part.</param>
    internal static IReadOnlyList<string> PartsOf(string path)
    {
        const string First = "-00001-of-", End = ".gguf";
        int name = path.Length - First.Length - 5 - End.Length;
        if (name < 0 || !path.EndsWith(End, StringComparison.Ordinal) || string.CompareOrdinal(path, name, First, 0, First.Length) != 0
            || !int.TryParse(path.AsSpan(name + First.Length, 5), NumberStyles.None, CultureInfo.InvariantCulture, out int count))
        {
            return [path];
        }

        return [path, .. Enumerable.Range(2, Math.Max(0, count - 1)).Select(i => $"{path[..name]}-{i:D5}-of-{count:D5}{End}").Where(File.Exists)];
    }

    private static GgufFile OpenPart(string path, out OrderedDictionary<string, GgufTensor> tensors)
    {
        using FileStream stream = InputFile.OpenStream(path, bufferSize: 1 << 16);
        long length = stream.Length;
        if (length < 4) throw Instead(path, $"has {length} bytes; this is not a GGUF file");
        var reader = new GgufReader(stream, path, length);
        if (reader.UInt32() != Magic) throw Instead(path, "does not begin with \"GGUF\"; this is not a GGUF file");
        uint version = reader.UInt32();
        if (version is not (2 or 3))
        {
            throw new InputFileException(path, BinaryPrimitives.ReverseEndianness(version) is 2 or 3
                ? "is a big-endian GGUF file; convert it for little-endian machines"
                : $"is GGUF version {version}; versions 2 and 3 can be read");
        }

        ulong tensorCount = reader.UInt64();
        ulong keyCount = reader.UInt64();
        OrderedDictionary<string, GgufValue> metadata = ReadMetadata(reader, path, keyCount);
        uint alignment = Alignment(path, metadata);
        tensors = ReadTensors(reader, path, tensorCount, alignment, length, out long dataOffset);
        return new GgufFile(path, version, metadata, tensors, dataOffset);
    }

    /// <summary>A text value, or null when the key is absent.</summary>
    /// <exception cref="InputFileException">The key holds another type.</exception>
    public string? GetText(string key)
    {
        if (!Metadata.TryGetValue(key, out GgufValue? value)) return null;
        if (value.IsArray || value.ElementType != GgufValueType.Text) throw WrongType(key, value, "a string");
        return value.AsText();
    }

    /// <summary>A text value, or null when the key is absent or holds another type.</summary>
    internal string? FindText(string key) =>
        Metadata.TryGetValue(key, out GgufValue? value) && !value.IsArray && value.ElementType == GgufValueType.Text ? value.AsText() : null;

    /// <summary>An integer value of any width, or null when the key is absent.</summary>
    /// <exception cref="InputFileException">The key holds another type, or a number beyond 64 bits.</exception>
    public long? GetInteger(string key)
    {
        if (!Metadata.TryGetValue(key, out GgufValue? value)) return null;
        if (value.IsArray || !value.IsInteger) throw WrongType(key, value, "an integer");
        return value.AsInteger() <= long.MaxValue
            ? (long)value.AsInteger()
            : throw new InputFileException(Path, $"has the absurd value {value.AsInteger()} for {key}");
    }

    /// <summary>An integer value that may differ per block: one number for all blocks or an array with one entry each.</summary>
    /// <returns>The number for the block, or null when the key is absent.</returns>
    /// <exception cref="InputFileException">The key holds another type or too short an array.</exception>
    public long? GetInteger(string key, int block)
    {
        if (!Metadata.TryGetValue(key, out GgufValue? value)) return null;
        if (!value.IsArray) return GetInteger(key);
        if (!value.IsInteger) throw WrongType(key, value, "integers");
        if (block >= value.Count) throw new InputFileException(Path, $"has {value.Count} entries for {key}, none for block {block}");
        return (long)Int128.Min(value.AsInteger(block), long.MaxValue);
    }

    /// <summary>Reads a whole tensor as float32, the first dimension contiguous; of a large one read <see cref="GgufRows"/>.</summary>
    /// <exception cref="InputFileException">A type that cannot be decoded, more than 2^31 elements, or the disk refuses.</exception>
    public float[] ReadFloat32(GgufTensor tensor)
    {
        using GgufRows rows = new(this, tensor);
        if (tensor.ElementCount > Array.MaxLength || tensor.ByteCount > Array.MaxLength)
            throw InputFile.BadTensor(Path, tensor.Name, $"has {tensor.ElementCount} elements, too many for one array");
        var values = new float[tensor.ElementCount];
        rows.Read(0, values);
        return values;
    }

    private static OrderedDictionary<string, GgufValue> ReadMetadata(GgufReader reader, string path, ulong count)
    {
        // A key takes at least 8 bytes of length, 4 of type and 1 of value.
        if (count > (ulong)(reader.Remaining / 13))
            throw new InputFileException(path, $"claims {count} metadata keys, more than the file can hold; it is damaged or truncated");
        var metadata = new OrderedDictionary<string, GgufValue>();
        for (ulong i = 0; i < count; i++)
        {
            string key = reader.Text("a metadata key", MaxKeyBytes);
            if (!metadata.TryAdd(key, reader.Value(key)))
                throw new InputFileException(path, $"has the metadata key \"{InputFile.OneLine(key)}\" twice");
        }

        return metadata;
    }

    private static uint Alignment(string path, OrderedDictionary<string, GgufValue> metadata)
    {
        if (!metadata.TryGetValue("general.alignment", out GgufValue? value)) return 32;
        if (value.IsArray || value.ElementType != GgufValueType.U32)
            throw new InputFileException(path, "has a general.alignment that is not a 32-bit unsigned integer");
        var alignment = (uint)value.AsInteger();
        if (!uint.IsPow2(alignment))
            throw new InputFileException(path, $"has general.alignment = {alignment}, which is not a power of two");
        return alignment;
    }

    private static OrderedDictionary<string, GgufTensor> ReadTensors(
        GgufReader reader, string path, ulong count, uint alignment, long fileLength, out long dataOffset)
    {
        // A description takes at least 8 bytes of name length, 4 of dimension count, 4 of type and 8 of offset.
        if (count > (ulong)(reader.Remaining / 24))
            throw new InputFileException(path, $"claims {count} tensors, more than the file can hold; it is damaged or truncated");
        var relative = new OrderedDictionary<string, GgufTensor>();
        long end = 0;
        for (ulong i = 0; i < count; i++)
        {
            GgufTensor tensor = ReadTensor(reader, path);
            if (tensor.Offset != end)
                throw InputFile.BadTensor(path, tensor.Name,
                    $"lies at data offset {tensor.Offset} where {end} is due (overlap, hole or misalignment)");
            if (!relative.TryAdd(tensor.Name, tensor)) throw InputFile.BadTensor(path, tensor.Name, "occurs twice");
            if (tensor.ByteCount > fileLength - end) throw Truncated(path, tensor, fileLength);
            end = Pad(end + tensor.ByteCount, alignment);
        }

        dataOffset = Pad(reader.Position, alignment);
        var tensors = new OrderedDictionary<string, GgufTensor>(relative.Count);
        foreach (GgufTensor tensor in relative.Values)
        {
            if (tensor.ByteCount > fileLength - dataOffset - tensor.Offset) throw Truncated(path, tensor, fileLength);
            tensors.Add(tensor.Name, tensor with { Offset = dataOffset + tensor.Offset });
        }

        return tensors;
    }

    private static GgufTensor ReadTensor(GgufReader reader, string path)
    {
        string name = reader.Text("a tensor name", MaxTensorNameBytes);
        uint axes = reader.UInt32();
        if (axes > 4) throw InputFile.BadTensor(path, name, $"has {axes} dimensions; ggml knows at most 4");
        var ne = new long[axes];
        for (int i = 0; i < ne.Length; i++)
        {
            ulong dimension = reader.UInt64();
            if (dimension is 0 or > long.MaxValue) throw InputFile.BadTensor(path, name, $"has a dimension of {dimension}");
            ne[i] = (long)dimension;
        }

        uint id = reader.UInt32();
        GgmlType type = GgmlType.Find(id) ?? throw InputFile.BadTensor(path, name,
            $"has the unknown type {id}; a newer llama.cpp may know it");
        ulong offset = reader.UInt64();
        if (offset > long.MaxValue) throw InputFile.BadTensor(path, name, $"has the absurd offset {offset}");
        if (axes > 0 && ne[0] % type.BlockSize != 0)
            throw InputFile.BadTensor(path, name,
                $"has rows of {ne[0]} values, which are not whole blocks of {type.BlockSize} ({type.Name})");
        if (axes == 0 && type.BlockSize != 1) throw InputFile.BadTensor(path, name, $"is a scalar of the block type {type.Name}");
        try
        {
            long elements = 1;
            foreach (long dimension in ne) elements = checked(elements * dimension);
            return new GgufTensor(path, name, type, ne, (long)offset, checked(elements / type.BlockSize * type.BlockBytes));
        }
        catch (OverflowException overflow)
        {
            throw new InputFileException(path, $"tensor \"{InputFile.OneLine(name)}\" claims a size that overflows", overflow);
        }
    }

    private InputFileException WrongType(string key, GgufValue value, string expected) =>
        new(Path, $"has {key} as {value.ElementType}{(value.IsArray ? " array" : "")}, where {expected} is expected");

    /// <summary>What the file is, if that is known, in the place of what it is not.</summary>
    private static InputFileException Instead(string path, string problem) => RecognisedFile.Of(path) is { Kind: not FileKind.Unknown } found
        ? new InputFileException(path, InputUse.Gguf.Sentence(path, found))
        : new InputFileException(path, problem);

    private static InputFileException Truncated(string path, GgufTensor tensor, long fileLength) =>
        InputFile.BadTensor(path, tensor.Name,
            $"({tensor.ByteCount} bytes) ends beyond the end of the file at byte {fileLength}; the file is truncated");

    private static long Pad(long position, uint alignment) => (position + alignment - 1) & ~((long)alignment - 1);
}
