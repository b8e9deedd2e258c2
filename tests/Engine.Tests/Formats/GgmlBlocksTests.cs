using System.Buffers.Binary;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Formats;

/// <summary>
/// Decoded tensors against the formats' definitions, value by value in float64: a value's bits are looked up one at a time, as a number of
/// a bit field, never block by block as the product does.
/// </summary>
public sealed class GgmlBlocksTests
{
    private static readonly int[] Table = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    private static readonly double[] Fp4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

    public static TheoryData<string> Types =>
    [
        "F32", "F16", "BF16", "F64", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0",
        "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4",
    ];

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_value_is_the_one_of_the_definition(string name)
    {
        GgmlType type = Type(name);
        Random random = new(name.Length + type.BlockBytes);
        byte[] blocks = RandomBlocks(type, 40, random);
        var values = new float[40 * type.BlockSize];
        GgmlBlocks.Decode(type, blocks, values);
        for (int i = 0; i < values.Length; i++)
        {
            (double product, double offset) = Definition(name, blocks.AsSpan(i / type.BlockSize * type.BlockBytes), i % type.BlockSize);

            // At most a rounding each of scale, product and offset, and one of the difference.
            double tolerance = 3 * Math.ScaleB(1, -24) * (Math.Abs(product) + Math.Abs(offset));
            Assert.InRange(values[i] - (product + offset), -tolerance, tolerance);
        }

        Assert.True(values.Distinct().Count() > 8, "The blocks are too plain to tell anything.");
    }

    [Fact]
    public void Nothing_is_decodable_without_a_test() =>
        Assert.Equal(((IEnumerable<object[]>)Types).Select(row => (string)row[0]).Order(), GgmlBlocks.Decodable.Order());

    [Theory]
    [MemberData(nameof(Types))]
    public void Rows_of_a_file_come_in_any_pieces(string name)
    {
        using var folder = new TemporaryFolder();
        GgmlType type = Type(name);
        int columns = 256, rows = 9;
        byte[] blocks = RandomBlocks(type, columns * rows / type.BlockSize, new Random(5));
        var expected = new float[columns * rows];
        GgmlBlocks.Decode(type, blocks, expected);
        GgufFile file = GgufFile.Open(new GgufBuilder()
            .Tensor("before", [3], [1f, 2f, 3f]).Tensor("head", [(ulong)columns, (ulong)rows], type.Id, blocks).Write(folder));
        using GgufRows reader = new(file, file.Tensors["head"]);
        Assert.Equal((rows, columns), (reader.Count, reader.Columns));
        var got = new float[expected.Length];
        reader.Read(0, got.AsSpan(0, 4 * columns));
        reader.Read(4, got.AsSpan(4 * columns, columns));
        reader.Read(5, got.AsSpan(5 * columns));
        Assert.Equal(expected, got);
        Assert.Equal(expected, file.ReadFloat32(file.Tensors["head"]));
        Assert.Throws<ArgumentException>(() => reader.Read(8, new float[2 * columns]));
        Assert.Throws<ArgumentException>(() => reader.Read(0, new float[columns - 1]));
    }

    [Fact]
    public void A_type_that_cannot_be_decoded_is_named_with_its_tensor()
    {
        using var folder = new TemporaryFolder();
        GgufFile file = GgufFile.Open(new GgufBuilder().Tensor("output.weight", [256, 1], 18, new byte[98]).Write(folder));
        string message = Assert.Throws<InputFileException>(() => new GgufRows(file, file.Tensors["output.weight"])).Message;
        Assert.Contains("tensor \"output.weight\" is of type IQ3_XXS", message, StringComparison.Ordinal);
        Assert.Contains("Q6_K", message, StringComparison.Ordinal);
    }

    private static GgmlType Type(string name) => GgmlType.All.Single(type => type.Name == name);

    /// <summary>Random quants and scales; factors are random halves (or floats) of a usual size.</summary>
    private static byte[] RandomBlocks(GgmlType type, int count, Random random)
    {
        var blocks = new byte[count * type.BlockBytes];
        random.NextBytes(blocks);
        int[] halves = type.Name switch
        {
            "F16" or "Q4_0" or "Q5_0" or "Q8_0" or "IQ4_NL" or "IQ4_XS" => [0],
            "Q4_1" or "Q5_1" or "Q4_K" or "Q5_K" => [0, 2],
            "Q2_K" => [80, 82],
            "Q3_K" => [108],
            "Q6_K" => [208],
            _ => [],
        };
        for (int block = 0; block < count; block++)
        {
            Span<byte> bytes = blocks.AsSpan(block * type.BlockBytes, type.BlockBytes);
            float factor = (float)(random.NextDouble() - 0.5) * 0.1f;
            foreach (int offset in halves)
                BinaryPrimitives.WriteHalfLittleEndian(bytes[offset..], (Half)((random.NextDouble() - 0.5) * 0.1));
            switch (type.Name)
            {
                case "F32":
                    BinaryPrimitives.WriteSingleLittleEndian(bytes, factor);
                    break;
                case "F64":
                    BinaryPrimitives.WriteDoubleLittleEndian(bytes, factor);
                    break;
                case "BF16":
                    BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)(BitConverter.SingleToUInt32Bits(factor) >> 16));
                    break;
                case "MXFP4":
                    bytes[0] = (byte)random.Next(110, 140);
                    break;
            }
        }

        return blocks;
    }

    /// <summary>The value as product plus offset.</summary>
    private static (double Product, double Offset) Definition(string type, ReadOnlySpan<byte> b, int i)
    {
        switch (type)
        {
            case "F32":
                return (BinaryPrimitives.ReadSingleLittleEndian(b), 0);
            case "F64":
                return (BinaryPrimitives.ReadDoubleLittleEndian(b), 0);
            case "F16":
                return (Half(b, 0), 0);
            case "BF16":
                return (BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(b) << 16), 0);
            case "Q8_0":
                return (Half(b, 0) * Signed(b[2 + i]), 0);
            case "Q4_0":
                return (Half(b, 0) * (Nibble(b[2..], i) - 8), 0);
            case "Q4_1":
                return (Half(b, 0) * Nibble(b[4..], i), Half(b, 2));
            case "Q5_0":
                return (Half(b, 0) * (Nibble(b[6..], i) + (16 * Bits(b[2..], i, 1)) - 16), 0);
            case "Q5_1":
                return (Half(b, 0) * (Nibble(b[8..], i) + (16 * Bits(b[4..], i, 1))), Half(b, 2));
            case "IQ4_NL":
                return (Half(b, 0) * Table[Nibble(b[2..], i)], 0);
            case "MXFP4":
                {
                    int quant = Nibble(b[1..], i);
                    return (Math.Pow(2, b[0] - 127) * Fp4[quant % 8] * (quant < 8 ? 1 : -1), 0);
                }

            case "IQ4_XS":
                {
                    int group = i / 32;
                    int scale = Bits(b[4..], 4 * group, 4) + (16 * Bits(b[2..], 2 * group, 2)) - 32;
                    return (Half(b, 0) * scale * Table[Nibble(b[(8 + (16 * group))..], i % 32)], 0);
                }

            case "Q2_K":
                return (Half(b, 80) * (b[i / 16] % 16) * TwoBits(b[16..], i), -Half(b, 82) * (b[i / 16] / 16));
            case "Q3_K":
                {
                    int group = i / 16;
                    int scale = Bits(b[96..], (8 * (group % 8)) + (4 * (group / 8)), 4)
                        + (16 * Bits(b[104..], (8 * (group % 4)) + (2 * (group / 4)), 2)) - 32;
                    int third = Bits(b, (8 * (i % 32)) + (i / 32), 1);
                    return (Half(b, 108) * scale * (TwoBits(b[32..], i) + (4 * third) - 4), 0);
                }

            case "Q4_K":
            case "Q5_K":
                {
                    (int scale, int offset) = SixBits(b[4..], i / 32);
                    int quant = type == "Q4_K"
                        ? Nibble(b[(16 + (32 * (i / 64)))..], i % 64, 32)
                        : Nibble(b[(48 + (32 * (i / 64)))..], i % 64, 32) + (16 * Bits(b[16..], (8 * (i % 32)) + (i / 32), 1));
                    return (Half(b, 0) * scale * quant, -Half(b, 2) * offset);
                }

            case "Q6_K":
                {
                    int half = i / 128, within = i % 128;
                    int low = Nibble(b[((64 * half) + (within % 64 / 32 * 32))..], (within / 64 * 32) + (within % 32), 32);
                    int high = Bits(b[128..], (8 * ((32 * half) + (within % 32))) + (2 * (within / 32)), 2);
                    return (Half(b, 208) * Signed(b[192 + (i / 16)]) * (low + (16 * high) - 32), 0);
                }

            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "no definition");
        }
    }

    /// <summary>Two bits of value i of 256: byte i % 32 of each half holds those of values 32 apart.</summary>
    private static int TwoBits(ReadOnlySpan<byte> quants, int i) =>
        Bits(quants, (8 * ((i / 128 * 32) + (i % 32))) + (2 * (i % 128 / 32)), 2);

    /// <summary>Scale and offset of group 0 to 7 of Q4_K and Q5_K, as ggml's comment draws their 12 bytes.</summary>
    private static (int Scale, int Offset) SixBits(ReadOnlySpan<byte> b, int group) => group < 4
        ? (Bits(b, 8 * group, 6), Bits(b, 32 + (8 * group), 6))
        : (Bits(b, 64 + (8 * (group - 4)), 4) + (16 * Bits(b, (8 * (group - 4)) + 6, 2)),
            Bits(b, 68 + (8 * (group - 4)), 4) + (16 * Bits(b, 32 + (8 * (group - 4)) + 6, 2)));

    /// <summary>Four bits: the first half of the values in the low bits, the second in the high ones.</summary>
    private static int Nibble(ReadOnlySpan<byte> quants, int i, int half = 16) => Bits(quants, (8 * (i % half)) + (i / half * 4), 4);

    /// <summary>A field of bits, counted from the lowest of the first byte.</summary>
    private static int Bits(ReadOnlySpan<byte> bytes, int first, int count)
    {
        int value = 0;
        for (int k = 0; k < count; k++) value += ((bytes[(first + k) / 8] >> ((first + k) % 8)) & 1) << k;
        return value;
    }

    private static int Signed(byte value) => value < 128 ? value : value - 256;

    private static double Half(ReadOnlySpan<byte> bytes, int offset) => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes[offset..]);
}
