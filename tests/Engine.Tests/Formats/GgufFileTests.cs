using System.Buffers.Binary;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Formats;

public sealed class GgufFileTests
{
    [Fact]
    public void Every_kind_of_value_is_read()
    {
        using var folder = new TemporaryFolder();
        var file = GgufFile.Open(new GgufBuilder()
            .Raw("u8", 0, [200]).Raw("i8", 1, [200]).U16("u16", 60000).Raw("i16", 3, [0xff, 0xff]).U32("u32", uint.MaxValue)
            .I32("i32", -5).F32("f32", 0.25f).Bool("bool", true).Text("text", "grüße").Raw("u64", 10, GgufBuilder.UInt64(ulong.MaxValue))
            .Raw("i64", 11, GgufBuilder.UInt64(unchecked((ulong)-7))).Raw("f64", 12, BitConverter.GetBytes(0.1))
            .Texts("texts", ["", "ab", "c"]).I32s("ints", 1, -2, 3).F32s("floats", 1.5f).Texts("none", [])
            .Write(folder));

        Assert.Equal(200, file.GetInteger("u8"));
        Assert.Equal(-56, file.GetInteger("i8"));
        Assert.Equal(60000, file.GetInteger("u16"));
        Assert.Equal(-1, file.GetInteger("i16"));
        Assert.Equal(uint.MaxValue, file.GetInteger("u32"));
        Assert.Equal(-5, file.GetInteger("i32"));
        Assert.Equal(0.25, file.Metadata["f32"].AsNumber());
        Assert.Equal(1, file.Metadata["bool"].AsInteger());
        Assert.Equal("grüße", file.GetText("text"));
        Assert.Equal(ulong.MaxValue, file.Metadata["u64"].AsInteger());
        Assert.Equal(-7, file.GetInteger("i64"));
        Assert.Equal(0.1, file.Metadata["f64"].AsNumber());
        Assert.Equal(["", "ab", "c"], Enumerable.Range(0, 3).Select(i => file.Metadata["texts"].AsText(i)));
        Assert.Equal([1, -2, 3], Enumerable.Range(0, 3).Select(i => file.GetInteger("ints", i)));
        Assert.Equal(0, file.Metadata["none"].Count);
        Assert.Null(file.GetInteger("absent"));
        Assert.Null(file.GetText("absent"));
        Assert.Contains("u64", Assert.Throws<InputFileException>(() => file.GetInteger("u64")).Message);
        Assert.Contains("where a string", Assert.Throws<InputFileException>(() => file.GetText("u8")).Message);
        Assert.Contains("none for block 3", Assert.Throws<InputFileException>(() => file.GetInteger("ints", 3)).Message);
    }

    [Fact]
    public void Tensors_of_float_types_are_read_as_float32()
    {
        using var folder = new TemporaryFolder();
        float[] values = [.. Enumerable.Range(0, 32).Select(i => (i - 16) * 0.5f)];
        var half = new byte[64];
        var brain = new byte[64];
        var q8 = new byte[34];
        BinaryPrimitives.WriteHalfLittleEndian(q8, (Half)0.5f);
        for (int i = 0; i < 32; i++)
        {
            BinaryPrimitives.WriteHalfLittleEndian(half.AsSpan(2 * i), (Half)values[i]);
            BinaryPrimitives.WriteUInt16LittleEndian(brain.AsSpan(2 * i), (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16));
            q8[2 + i] = (byte)(sbyte)(i - 16);
        }

        var file = GgufFile.Open(new GgufBuilder()
            .Tensor("f32", [4, 8], values).Tensor("f16", [32], 1, half).Tensor("bf16", [2, 2, 2, 4], 30, brain).Tensor("q8_0", [32], 8, q8)
            .Tensor("tq1_0", [256], 34, new byte[54]).Write(folder));
        Assert.Equal([4, 8], file.Tensors["f32"].Ne);
        foreach (string name in (string[])["f32", "f16", "bf16", "q8_0"]) Assert.Equal(values, file.ReadFloat32(file.Tensors[name]));
        Assert.Contains("TQ1_0", Assert.Throws<InputFileException>(() => file.ReadFloat32(file.Tensors["tq1_0"])).Message);
    }

    [Fact]
    public void A_larger_alignment_is_respected()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = new GgufBuilder().U32("general.alignment", 128).Tensor("a", [1], [3f]).Tensor("b", [1], [4f]).Build(alignment: 128);
        var file = GgufFile.Open(folder.Write("x", bytes));
        Assert.Equal(0, file.DataOffset % 128);
        Assert.Equal([4f], file.ReadFloat32(file.Tensors["b"]));
    }

    [Fact]
    public void The_parts_of_a_split_model_are_read_together()
    {
        using var folder = new TemporaryFolder();
        string first = Part(0, "a").Write(folder, "m-00001-of-00002.gguf");
        string second = Part(1, "b").Write(folder, "m-00002-of-00002.gguf");
        var file = GgufFile.Open(first);
        Assert.Equal(["a", "b"], file.Tensors.Keys);
        Assert.Equal([1f], file.ReadFloat32(file.Tensors["b"]));
        Assert.Contains("give the first", Assert.Throws<InputFileException>(() => GgufFile.Open(second)).Message);
        File.Delete(second);
        Assert.Contains("00002-of-00002.gguf: is missing: part 2 of 2 of this split model; put all 2 parts into one folder", Assert.Throws<InputFileException>(() => GgufFile.Open(first)).Message);

        static GgufBuilder Part(int number, string tensor) =>
            new GgufBuilder().U16("split.count", 2).U16("split.no", (ushort)number).Tensor(tensor, [1], [number]);
    }

    public static TheoryData<string, string> Breaches() => new()
    {
        { "magic", "does not begin with \"GGUF\"" },
        { "version 1", "is GGUF version 1" },
        { "big endian", "big-endian" },
        { "keys", "metadata keys, more than the file can hold" },
        { "tensors", "tensors, more than the file can hold" },
        { "array", "elements in \"array\", more than the file can hold" },
        { "nested", "array of arrays" },
        { "value type", "unknown value type 13" },
        { "long text", "claims a string of 100000000000 bytes" },
        { "alignment", "general.alignment = 24" },
        { "zero alignment", "general.alignment = 0" },
        { "five axes", "has 5 dimensions" },
        { "zero axis", "has a dimension of 0" },
        { "huge", "overflows" },
        { "type 4", "unknown type 4" },
        { "type 200", "unknown type 200" },
        { "half block", "not whole blocks of 32" },
        { "twice", "tensor \"a\" occurs twice" },
        { "overlap", "tensor \"b\" lies at data offset 0 where 32 is due" },
        { "hole", "tensor \"b\" lies at data offset 64 where 32 is due" },
        { "misaligned", "tensor \"b\" lies at data offset 36" },
        { "beyond the end", "tensor \"a\" (4000000000 bytes) ends beyond the end" },
        { "long name", "claims 64 bytes" },
    };

    [Theory]
    [MemberData(nameof(Breaches))]
    public void Every_breach_of_the_format_is_refused_in_one_sentence(string breach, string expected)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("x.gguf", Broken(breach));
        Assert.True(HostileInput.Refuses(path, p => GgufFile.Open(p)));
        Assert.Contains(expected, Assert.Throws<InputFileException>(() => GgufFile.Open(path)).Message);
    }

    [Fact]
    public void A_key_that_occurs_twice_is_refused()
    {
        using var folder = new TemporaryFolder();
        byte[] bytes = new GgufBuilder().U32("aa", 1).U32("ab", 2).Build();
        bytes[bytes.AsSpan().IndexOf("ab"u8) + 1] = (byte)'a';
        Assert.Contains("\"aa\" twice", Assert.Throws<InputFileException>(() => GgufFile.Open(folder.Write("x", bytes))).Message);
    }

    [Fact]
    public void Truncations_and_bit_flips_are_survived()
    {
        byte[] valid = new GgufBuilder().Text("general.architecture", "llama").Texts("t", ["a", "bb"]).F32s("s", 1,
            2).U32("general.alignment", 32)
            .Tensor("a", [4, 2], new float[8]).Tensor("b", [8], new float[8]).Build();
        HostileInput.EveryTruncationIsRefused(valid, p => GgufFile.Open(p));
        Assert.True(HostileInput.BitFlipsAreSurvived(valid, p => GgufFile.Open(p), 5000, seed: 3, within: valid.Length - 64) > 2500);
    }

    [Fact]
    public void A_vocabulary_of_200000_tokens_costs_a_few_arrays_not_an_object_each()
    {
        using var folder = new TemporaryFolder();
        const int Count = 200_000;
        string path = new GgufBuilder().Texts("tokens", Enumerable.Range(0, Count).Select(i => $"token{i}")).Write(folder);
        long before = GC.GetAllocatedBytesForCurrentThread();
        var file = GgufFile.Open(path);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal("token199999", file.Metadata["tokens"].AsText(Count - 1));
        Assert.True(allocated < 10L * Count * 11, $"{allocated} bytes");
    }

    [Fact]
    public void The_table_of_types_has_whole_bytes_and_distinct_names()
    {
        Assert.Equal(GgmlType.All.Count, GgmlType.All.Select(t => t.Name).Distinct().Count());
        Assert.All(GgmlType.All, type => Assert.InRange(8.0 * type.BlockBytes / type.BlockSize, 1, 64));

        // Bits per weight as llama.cpp documents them.
        Assert.Equal(8.5, 8.0 * GgmlType.Find(8)!.BlockBytes / GgmlType.Find(8)!.BlockSize);
        Assert.Equal(4.5, 8.0 * GgmlType.Find(12)!.BlockBytes / GgmlType.Find(12)!.BlockSize);
        Assert.Equal(6.5625, 8.0 * GgmlType.Find(14)!.BlockBytes / GgmlType.Find(14)!.BlockSize);
        Assert.Equal(1.6875, 8.0 * GgmlType.Find(34)!.BlockBytes / GgmlType.Find(34)!.BlockSize);
        Assert.Equal(4.25, 8.0 * GgmlType.Find(39)!.BlockBytes / GgmlType.Find(39)!.BlockSize);
        Assert.Null(GgmlType.Find(5));
    }

    private static byte[] Broken(string breach)
    {
        var one = new GgufBuilder().Tensor("a", [1], [1f]);
        GgufBuilder two = new GgufBuilder().Tensor("a", [1], [1f]).Tensor("b", [1], [1f]);
        byte[] longText = [.. GgufBuilder.UInt64(100_000_000_000), 0, 0, 0, 0, 0, 0, 0, 0];
        byte[] longArray = [.. GgufBuilder.UInt32(8), .. GgufBuilder.UInt64(1L << 40)];
        byte[] nested = [.. GgufBuilder.UInt32(9), .. GgufBuilder.UInt64(0)];
        switch (breach)
        {
            case "magic": return [.. "GGML"u8, .. one.Build()[4..]];
            case "version 1": one.Version = 1; return one.Build();
            case "big endian": one.Version = 3u << 24; return one.Build();
            case "keys": one.ClaimedKeys = 1UL << 60; return one.Build();
            case "tensors": one.ClaimedTensors = 1UL << 60; return one.Build();
            case "array": return new GgufBuilder().Raw("array", 9, longArray).Build();
            case "nested": return new GgufBuilder().Raw("nested", 9, nested).Build();
            case "value type": return new GgufBuilder().Raw("x", 13, [0]).Build();
            case "long text": return new GgufBuilder().Raw("x", 8, longText).Build();
            case "alignment": return one.U32("general.alignment", 24).Build();
            case "zero alignment": return one.U32("general.alignment", 0).Build();
            case "five axes": return new GgufBuilder().Tensor("a", [1, 1, 1, 1, 1], [1f]).Build();
            case "zero axis": return new GgufBuilder().Tensor("a", [4, 0], []).Build();
            case "huge": return new GgufBuilder().Tensor("a", [1UL << 40, 1UL << 40], [1f]).Build();
            case "type 4": return new GgufBuilder().Tensor("a", [1], 4, [0, 0, 0, 0]).Build();
            case "type 200": return new GgufBuilder().Tensor("a", [1], 200, [0, 0, 0, 0]).Build();
            case "half block": return new GgufBuilder().Tensor("a", [48], 8, new byte[51]).Build();
            case "twice": return new GgufBuilder().Tensor("a", [1], [1f]).Tensor("a", [1], [1f]).Build();
            case "overlap": two.OffsetErrors["b"] = -32; return two.Build();
            case "hole": two.OffsetErrors["b"] = 32; return two.Build();
            case "misaligned": two.OffsetErrors["b"] = 4; return two.Build();
            case "beyond the end": return new GgufBuilder().Tensor("a", [1_000_000_000], [1f]).Build();
            case "long name": return new GgufBuilder().Tensor(new string('n', 64), [1], [1f]).Build();
            default: throw new ArgumentOutOfRangeException(nameof(breach), breach, "Unknown breach.");
        }
    }
}
