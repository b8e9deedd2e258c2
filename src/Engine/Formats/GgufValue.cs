using System.Buffers.Binary;
using System.Text;

namespace EmScan.Engine.Formats;

/// <summary>The value types of GGUF metadata, with the numbers that files store.</summary>
internal enum GgufValueType
{
    /// <summary>Unsigned 8-bit integer.</summary>
    U8 = 0,

    /// <summary>Signed 8-bit integer.</summary>
    I8 = 1,

    /// <summary>Unsigned 16-bit integer.</summary>
    U16 = 2,

    /// <summary>Signed 16-bit integer.</summary>
    I16 = 3,

    /// <summary>Unsigned 32-bit integer.</summary>
    U32 = 4,

    /// <summary>Signed 32-bit integer.</summary>
    I32 = 5,

    /// <summary>IEEE 754 single.</summary>
    F32 = 6,

    /// <summary>One byte, 0 or 1.</summary>
    Bool = 7,

    /// <summary>UTF-8 text with its length.</summary>
    Text = 8,

    /// <summary>Values of one type.</summary>
    Array = 9,

    /// <summary>Unsigned 64-bit integer.</summary>
    U64 = 10,

    /// <summary>Signed 64-bit integer.</summary>
    I64 = 11,

    /// <summary>IEEE 754 double.</summary>
    F64 = 12,
}

/// <summary>
/// One metadata value: a scalar (one element) or an array. Elements stay as the file's bytes and are decoded when asked for, so a
/// vocabulary of 200,000 strings costs two arrays.
/// </summary>
/// <remarks>Immutable and safe to share between threads.</remarks>
internal sealed class GgufValue
{
    private readonly byte[] _bytes;
    private readonly int[]? _ends;

    internal GgufValue(GgufValueType elementType, bool isArray, int count, byte[] bytes, int[]? ends)
    {
        ElementType = elementType;
        IsArray = isArray;
        Count = count;
        _bytes = bytes;
        _ends = ends;
    }

    /// <summary>Type of the scalar, or of the array's elements.</summary>
    public GgufValueType ElementType { get; }

    /// <summary>Whether the value is an array.</summary>
    public bool IsArray { get; }

    /// <summary>Number of elements; 1 for a scalar.</summary>
    public int Count { get; }

    /// <summary>Whether the elements are integers of any width.</summary>
    public bool IsInteger => SizeOf(ElementType) > 0 && !IsFloat && ElementType != GgufValueType.Bool;

    /// <summary>Whether the elements are floating-point numbers.</summary>
    public bool IsFloat => ElementType is GgufValueType.F32 or GgufValueType.F64;

    /// <summary>The UTF-8 bytes of a string element.</summary>
    /// <exception cref="InvalidOperationException">The elements are not strings.</exception>
    public ReadOnlySpan<byte> Utf8(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count);
        if (_ends is null) throw new InvalidOperationException($"The elements are {ElementType}, not strings.");
        int start = index == 0 ? 0 : _ends[index - 1];
        return _bytes.AsSpan(start, _ends[index] - start);
    }

    /// <summary>A string element; bytes that are not UTF-8 become U+FFFD.</summary>
    /// <exception cref="InvalidOperationException">The elements are not strings.</exception>
    public string AsText(int index = 0) => Encoding.UTF8.GetString(Utf8(index));

    /// <summary>A numeric element as a double; integers beyond 2^53 are rounded, a bool is 0 or 1.</summary>
    /// <exception cref="InvalidOperationException">The elements are strings.</exception>
    public double AsNumber(int index = 0) => ElementType switch
    {
        GgufValueType.F32 => BinaryPrimitives.ReadSingleLittleEndian(Element(index)),
        GgufValueType.F64 => BinaryPrimitives.ReadDoubleLittleEndian(Element(index)),
        _ => (double)AsInteger(index),
    };

    /// <summary>An integer or bool element.</summary>
    /// <exception cref="InvalidOperationException">The elements are not integers.</exception>
    public Int128 AsInteger(int index = 0)
    {
        ReadOnlySpan<byte> bytes = Element(index);
        return ElementType switch
        {
            GgufValueType.U8 or GgufValueType.Bool => bytes[0],
            GgufValueType.I8 => (sbyte)bytes[0],
            GgufValueType.U16 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
            GgufValueType.I16 => BinaryPrimitives.ReadInt16LittleEndian(bytes),
            GgufValueType.U32 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            GgufValueType.I32 => BinaryPrimitives.ReadInt32LittleEndian(bytes),
            GgufValueType.U64 => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
            GgufValueType.I64 => BinaryPrimitives.ReadInt64LittleEndian(bytes),
            _ => throw new InvalidOperationException($"The elements are {ElementType}, not integers."),
        };
    }

    /// <summary>Bytes of one element in a file; 0 for strings and arrays.</summary>
    internal static int SizeOf(GgufValueType type) => type switch
    {
        GgufValueType.U8 or GgufValueType.I8 or GgufValueType.Bool => 1,
        GgufValueType.U16 or GgufValueType.I16 => 2,
        GgufValueType.U32 or GgufValueType.I32 or GgufValueType.F32 => 4,
        GgufValueType.U64 or GgufValueType.I64 or GgufValueType.F64 => 8,
        _ => 0,
    };

    private ReadOnlySpan<byte> Element(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count);
        int size = SizeOf(ElementType);
        if (size == 0) throw new InvalidOperationException($"The elements are {ElementType}, not numbers.");
        return _bytes.AsSpan(index * size, size);
    }
}
