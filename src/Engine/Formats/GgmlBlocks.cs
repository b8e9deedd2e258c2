using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Runtime.Intrinsics;

namespace EmScan.Engine.Formats;

/// <summary>Decodes the blocks of ggml's tensor types to float32.</summary>
/// <remarks>
/// <para>A block holds quants q and one or two half-precision factors: d, and m where the least value is not bound to zero. In the
/// K types 256 values form 8 or 16 groups, and each group's own scale s and offset o are small integers:</para>
/// <code>
/// Q4_0  d (q - 8)      Q4_1  d q + m        Q5_0  d (q - 16)     Q5_1  d q + m        Q8_0  d q
/// Q2_K  d s q - m o    Q3_K  d (s - 32) (q - 4)                  Q4_K, Q5_K  d s q - m o      Q6_K  d s (q - 32)
/// IQ4_NL  d table[q]   IQ4_XS  d (s - 32) table[q]               MXFP4  2^(e - 128) table[q]
/// </code>
/// <para>Each value takes two or three float32 roundings, in the order in which ggml rounds, so the bits are those of ggml's own
/// conversion. Formats: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h. Thread safe: no state.</para>
/// </remarks>
internal static partial class GgmlBlocks
{
    private static readonly FrozenDictionary<string, Decoder> Decoders = new Dictionary<string, Decoder>
    {
        ["F32"] = LittleEndian.ReadSingles,
        ["F16"] = LittleEndian.ReadHalves,
        ["BF16"] = LittleEndian.ReadBFloats,
        ["F64"] = LittleEndian.ReadDoubles,
        ["Q4_0"] = Q4Zero,
        ["Q4_1"] = Q4One,
        ["Q5_0"] = Q5Zero,
        ["Q5_1"] = Q5One,
        ["Q8_0"] = Q8Zero,
        ["Q2_K"] = Q2K,
        ["Q3_K"] = Q3K,
        ["Q4_K"] = Q4K,
        ["Q5_K"] = Q5K,
        ["Q6_K"] = Q6K,
        ["IQ4_NL"] = Iq4Nl,
        ["IQ4_XS"] = Iq4Xs,
        ["MXFP4"] = Mxfp4,
    }.ToFrozenDictionary();

    private delegate void Decoder(ReadOnlySpan<byte> blocks, Span<float> values);

    // Steps that are closer together around zero, as weights are.
    private static ReadOnlySpan<sbyte> Iq4Values => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    // Four bits: sign, two of exponent, one of mantissa; twice the value.
    private static ReadOnlySpan<sbyte> Mxfp4Values => [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    /// <summary>Names of the types that can be decoded.</summary>
    public static IEnumerable<string> Decodable => Decoders.Keys;

    /// <summary>Whether a type can be decoded.</summary>
    public static bool CanDecode(GgmlType type) => Decoders.ContainsKey(type.Name);

    /// <summary>Decodes whole blocks.</summary>
    /// <param name="type">One that <see cref="CanDecode"/> knows.</param>
    /// <param name="blocks">The blocks, one after another.</param>
    /// <param name="values">As many values as the blocks hold, overwritten.</param>
    /// <exception cref="ArgumentException">The type cannot be decoded, or the lengths do not agree.</exception>
    public static void Decode(GgmlType type, ReadOnlySpan<byte> blocks, Span<float> values)
    {
        if (!Decoders.TryGetValue(type.Name, out Decoder? decoder))
            throw new ArgumentException($"The type {type.Name} cannot be decoded.", nameof(type));
        if (values.Length % type.BlockSize != 0 || (long)blocks.Length * type.BlockSize != (long)values.Length * type.BlockBytes)
            throw new ArgumentException($"{blocks.Length} bytes do not hold {values.Length} values of type {type.Name}.", nameof(blocks));
        decoder(blocks, values);
    }

    private static void Q4Zero(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[18..], values = values[32..])
        {
            float d = Half(blocks);
            Vector128<byte> quants = Vector128.Create(blocks.Slice(2, 16));
            Store(Bits(quants, 0, 15).AsSByte() - Vector128.Create((sbyte)8), d, values);
            Store(Bits(quants, 4, 15).AsSByte() - Vector128.Create((sbyte)8), d, values[16..]);
        }
    }

    private static void Q4One(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[20..], values = values[32..])
        {
            float d = Half(blocks), m = Half(blocks[2..]);
            ReadOnlySpan<byte> quants = blocks.Slice(4, 16);
            Span<float> low = values[..16], high = values.Slice(16, 16);
            for (int i = 0; i < quants.Length; i++)
            {
                low[i] = d * (quants[i] & 15) + m;
                high[i] = d * (quants[i] >> 4) + m;
            }
        }
    }

    private static void Q5Zero(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[22..], values = values[32..])
        {
            float d = Half(blocks);
            uint fifth = BinaryPrimitives.ReadUInt32LittleEndian(blocks[2..]);
            ReadOnlySpan<byte> quants = blocks.Slice(6, 16);
            Span<float> low = values[..16], high = values.Slice(16, 16);
            for (int i = 0; i < quants.Length; i++)
            {
                low[i] = d * (((quants[i] & 15) | FifthBit(fifth, i)) - 16);
                high[i] = d * (((quants[i] >> 4) | FifthBit(fifth, i + 16)) - 16);
            }
        }
    }

    private static void Q5One(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[24..], values = values[32..])
        {
            float d = Half(blocks), m = Half(blocks[2..]);
            uint fifth = BinaryPrimitives.ReadUInt32LittleEndian(blocks[4..]);
            ReadOnlySpan<byte> quants = blocks.Slice(8, 16);
            Span<float> low = values[..16], high = values.Slice(16, 16);
            for (int i = 0; i < quants.Length; i++)
            {
                low[i] = d * ((quants[i] & 15) | FifthBit(fifth, i)) + m;
                high[i] = d * ((quants[i] >> 4) | FifthBit(fifth, i + 16)) + m;
            }
        }
    }

    private static void Q8Zero(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[34..], values = values[32..])
        {
            float d = Half(blocks);
            Store(Vector128.Create(blocks.Slice(2, 16)).AsSByte(), d, values);
            Store(Vector128.Create(blocks.Slice(18, 16)).AsSByte(), d, values[16..]);
        }
    }

    private static void Iq4Nl(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[18..], values = values[32..])
            FromTable(Half(blocks), Iq4Values, blocks.Slice(2, 16), values[..32]);
    }

    private static void Mxfp4(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[17..], values = values[32..])
            FromTable(MathF.ScaleB(1, blocks[0] - 128), Mxfp4Values, blocks.Slice(1, 16), values[..32]);
    }

    /// <summary>A field of each byte: shifted down, then masked. Bytes shift in pairs; what comes in from the other one is masked.</summary>
    private static Vector128<byte> Bits(Vector128<byte> bytes, int shift, byte mask) =>
        (bytes.AsUInt16() >> shift).AsByte() & Vector128.Create(mask);

    /// <summary>Writes 16 values, scale q.</summary>
    private static void Store(Vector128<sbyte> quants, float scale, Span<float> target)
    {
        (Vector128<short> lower, Vector128<short> upper) = Vector128.Widen(quants);
        (Vector128<int> a, Vector128<int> b) = Vector128.Widen(lower);
        (Vector128<int> c, Vector128<int> d) = Vector128.Widen(upper);
        Vector128<float> scales = Vector128.Create(scale);
        (scales * Vector128.ConvertToSingle(a)).CopyTo(target);
        (scales * Vector128.ConvertToSingle(b)).CopyTo(target[4..]);
        (scales * Vector128.ConvertToSingle(c)).CopyTo(target[8..]);
        (scales * Vector128.ConvertToSingle(d)).CopyTo(target[12..]);
    }

    /// <summary>Writes 16 values, scale q - offset, in two roundings.</summary>
    private static void Store(Vector128<sbyte> quants, float scale, float offset, Span<float> target)
    {
        Store(quants, scale, target);
        Vector128<float> offsets = Vector128.Create(offset);
        for (int i = 0; i < 16; i += 4) (Vector128.Create<float>(target.Slice(i, 4)) - offsets).CopyTo(target[i..]);
    }

    private static void FromTable(float scale, ReadOnlySpan<sbyte> table, ReadOnlySpan<byte> quants, Span<float> values)
    {
        for (int i = 0; i < quants.Length; i++)
        {
            values[i] = scale * table[quants[i] & 15];
            values[i + 16] = scale * table[quants[i] >> 4];
        }
    }

    private static int FifthBit(uint bits, int index) => (int)((bits >> index) & 1) << 4;

    private static float Half(ReadOnlySpan<byte> bytes) => (float)BinaryPrimitives.ReadHalfLittleEndian(bytes);
}
