using System.Buffers.Binary;
using System.Text;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Formats;

public sealed class SafetensorsTests
{
    [Fact]
    public void What_is_written_is_read_back_bit_for_bit()
    {
        using var folder = new TemporaryFolder();
        var random = new Random(1);
        var tensors = new List<(string, long[], float[])>
        {
            ("b", [3, 4], Values(random, 12)),
            ("a", [], [float.NaN]),
            ("empty", [0, 5], []),
            ("é \"quoted\"", [2, 1, 2], [float.NegativeInfinity, -0f, float.Epsilon, float.MaxValue]),
        };
        string path = folder["x.safetensors"];
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string> { ["z"] = "1", ["format"] = "pt\n✓" });

        using var file = SafetensorsFile.Open(path);
        Assert.Equal("pt\n✓", file.Metadata["format"]);
        Assert.Equal(["b", "a", "empty", "é \"quoted\""], file.Tensors.Keys);
        foreach ((string name, long[] shape, float[] data) in tensors)
        {
            Assert.Equal(shape, file.Tensors[name].Shape);
            Assert.Equal(Bits(data), Bits(file.ReadFloat32(name)));
        }
    }

    [Fact]
    public void The_same_input_gives_the_same_bytes_with_aligned_data_and_no_temporary_file()
    {
        using var folder = new TemporaryFolder();
        (string, long[], float[])[] tensors = [("w", [2], [1f, 2f])];
        SafetensorsWriter.Write(folder["1"], tensors, new Dictionary<string, string> { ["a"] = "1", ["b"] = "2" });
        SafetensorsWriter.Write(folder["2"], tensors, new Dictionary<string, string> { ["b"] = "2", ["a"] = "1" });
        byte[] bytes = File.ReadAllBytes(folder["1"]);
        Assert.Equal(bytes, File.ReadAllBytes(folder["2"]));
        Assert.Equal(0, BinaryPrimitives.ReadInt64LittleEndian(bytes) % 8);
        Assert.Equal(2, Directory.GetFiles(folder.Root).Length);
    }

    [Fact]
    public void Half_bfloat16_and_double_are_converted()
    {
        using var folder = new TemporaryFolder();
        var data = new byte[2 * 3 + 2 * 3 + 8 * 3];
        float[] values = [1.5f, -0.0009765625f, 98304f];
        for (int i = 0; i < 3; i++)
        {
            BinaryPrimitives.WriteHalfLittleEndian(data.AsSpan(2 * i), (Half)values[i]);
            BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(6 + 2 * i), (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16));
            BinaryPrimitives.WriteDoubleLittleEndian(data.AsSpan(12 + 8 * i), values[i]);
        }

        using var file = SafetensorsFile.Open(folder.Write("x", Bytes("""
            {"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[6,12]},
             "d":{"dtype":"F64","shape":[3],"data_offsets":[12,36]}}
            """, data)));
        Assert.Equal([1.5f, -0.0009765625f, float.PositiveInfinity], file.ReadFloat32("h")); // 98304 is beyond the largest half, 65504
        Assert.Equal(values, file.ReadFloat32("b"));
        Assert.Equal(values, file.ReadFloat32("d"));
    }

    [Fact]
    public void A_tensor_larger_than_the_conversion_buffer_is_read_whole()
    {
        using var folder = new TemporaryFolder();
        const int Count = 100_001;
        var data = new byte[2 * Count];
        for (int i = 0; i < Count; i++) BinaryPrimitives.WriteHalfLittleEndian(data.AsSpan(2 * i), (Half)(i % 2000));
        using var file = SafetensorsFile.Open(folder.Write("x", Bytes(
            $"{{\"h\":{{\"dtype\":\"F16\",\"shape\":[{Count}],\"data_offsets\":[0,{2 * Count}]}}}}", data)));
        Assert.Equal(Enumerable.Range(0, Count).Select(i => (float)(i % 2000)), file.ReadFloat32("h"));
    }

    [Fact]
    public void An_integer_tensor_is_listed_but_not_read_as_numbers()
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("x",
            Bytes("""{"n":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}""", new byte[8])));
        Assert.Equal("I64", file.Tensors["n"].DType);
        Assert.Contains("\"n\" has element type I64", Assert.Throws<InputFileException>(() => file.ReadFloat32("n")).Message);
        Assert.Contains("has no tensor \"m\"", Assert.Throws<InputFileException>(() => file.ReadFloat32("m")).Message);
    }

    [Theory]
    [InlineData("[]", 0, "does not begin with '{'")]
    [InlineData(" {}", 0, "does not begin with '{'")]
    [InlineData("{}", 4, "4 bytes at its end that belong to no tensor")]
    [InlineData("{", 0, "damaged header")]
    [InlineData("""{"a":1}""", 0, "tensor \"a\" is not described")]
    [InlineData("""{"__metadata__":{"a":1}}""", 0, "entry \"a\" that is not a string")]
    [InlineData("""{"__metadata__":[]}""", 0, "__metadata__ that is not an object")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8,
        "damaged header")]
    [InlineData("""{"a":{"shape":[1],"data_offsets":[0,4]}}""", 4, "no dtype")]
    [InlineData("""{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}""", 4, "unknown dtype \"F7\"")]
    [InlineData("""{"a":{"dtype":"F32","data_offsets":[0,4]}}""", 4, "no shape")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "\"-1\"")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}""", 4, "\"1.5\"")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "no data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""", 4, "two data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, "before its begin")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "needs 8 bytes")]
    [InlineData("""{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}""", 1, "whole number of bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}""", 4, "overflows")]
    [InlineData("""{"a":{"dtype":"F32","shape":[25000000000],"data_offsets":[0,100000000000]}}""", 4, "truncated")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "leaves a hole after byte 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", 12,
        "tensor \"b\" begins at byte 8 and leaves a hole")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8,
        "tensor \"b\" begins at byte 4 inside")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 5, "1 bytes at its end")]
    public void Every_breach_of_the_format_is_refused_in_one_sentence(string header, int dataBytes, string expected)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("x.safetensors", Bytes(header, new byte[dataBytes]));
        var failure = Assert.Throws<InputFileException>(() => SafetensorsFile.Open(path).Dispose());
        Assert.StartsWith(path, failure.Message);
        Assert.Contains(expected, failure.Message);
    }

    [Theory]
    [InlineData(100_000_001UL, "does not begin as a safetensors file does")]
    [InlineData(ulong.MaxValue, "does not begin as a safetensors file does")]
    [InlineData(99_000_000UL, "truncated")]
    public void A_header_length_that_cannot_be_true_is_refused_before_anything_is_allocated(ulong length, string expected)
    {
        using var folder = new TemporaryFolder();
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        string path = folder.Write("x", bytes);
        Assert.True(HostileInput.Refuses(path, p => SafetensorsFile.Open(p).Dispose()));
        Assert.Contains(expected, Assert.Throws<InputFileException>(() => SafetensorsFile.Open(path)).Message);
    }

    [Fact]
    public void A_missing_file_and_a_folder_are_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("does not exist", Assert.Throws<InputFileException>(() => SafetensorsFile.Open(folder["none"])).Message);
        Assert.Contains("is a folder", Assert.Throws<InputFileException>(() => SafetensorsFile.Open(folder.Root)).Message);
    }

    [Fact]
    public void Truncations_and_bit_flips_are_survived()
    {
        using var folder = new TemporaryFolder();
        string path = folder["x"];
        SafetensorsWriter.Write(path, [("first", [2, 3], new float[6]), ("second", [4], new float[4])], new Dictionary<string,
            string>
        { ["k"] = "v" });
        byte[] valid = File.ReadAllBytes(path);
        HostileInput.EveryTruncationIsRefused(valid, ReadAll);
        Assert.True(HostileInput.BitFlipsAreSurvived(valid, ReadAll, 3000, seed: 7, within: valid.Length - 40) > 1500);
    }

    [Fact]
    public void Bad_arguments_of_the_writer_are_refused()
    {
        var none = new Dictionary<string, string>();
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write("x", [("a", [1], [1f]), ("a", [1], [1f])], none));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write("x", [("a", [2], [1f])], none));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write("x", [("__metadata__", [1], [1f])], none));
        Assert.False(File.Exists("x"));
    }

    [Fact]
    public void A_target_that_cannot_be_written_is_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(Path.Combine(folder.Root, "file"), "");
        string path = Path.Combine(folder.Root, "file", "x");
        Assert.Contains("cannot be written",
            Assert.Throws<InputFileException>(() => SafetensorsWriter.Write(path, [], new Dictionary<string, string>())).Message);
    }

    private static void ReadAll(string path)
    {
        using var file = SafetensorsFile.Open(path);
        foreach (SafetensorsTensor tensor in file.Tensors.Values) file.ReadFloat32(tensor.Name);
    }

    private static byte[] Bytes(string header, byte[] data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
        return [.. length, .. json, .. data];
    }

    private static float[] Values(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];

    private static int[] Bits(float[] values) => [.. values.Select(BitConverter.SingleToInt32Bits)];
}
