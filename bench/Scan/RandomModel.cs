using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using EmScan.Engine.Formats;

namespace EmScan.Bench.Scan;

/// <summary>Writes a llama with random weights in Q8_0: as fast or slow as a trained one of its shape.</summary>
internal static class RandomModel
{
    private const int BlockValues = 32;
    private const int BlockBytes = 34; // A half-precision scale, then 32 signed bytes.
    private const int TypeF32 = 0, TypeQ8 = 8;
    private const int Alignment = 32;
    private const int ChunkBytes = 1 << 20;

    /// <summary>Bytes of the file, but for the header and the norms.</summary>
    internal static long SizeOf(ModelShape shape) => shape.Parameters / BlockValues * BlockBytes;

    /// <summary>Writes the file, a piece at a time.</summary>
    internal static void Write(string path, ModelShape shape, int seed)
    {
        Tensor[] tensors = [.. Tensors(shape)];
        using FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 16);
        file.Write(Header(shape, tensors));
        Pad(file);
        ulong state = (ulong)seed;
        foreach (Tensor tensor in tensors)
        {
            if (tensor.IsNorm) WriteOnes(file, tensor.Columns);
            else WriteQuantized(file, tensor, ref state);
            Pad(file);
        }
    }

    private static IEnumerable<Tensor> Tensors(ModelShape shape)
    {
        yield return new Tensor("token_embd.weight", shape.Hidden, shape.Vocabulary);
        yield return new Tensor("output_norm.weight", shape.Hidden, 0);
        yield return new Tensor("output.weight", shape.Hidden, shape.Vocabulary);
        for (int l = 0; l < shape.Layers; l++)
        {
            yield return new Tensor($"blk.{l}.attn_norm.weight", shape.Hidden, 0);
            yield return new Tensor($"blk.{l}.ffn_norm.weight", shape.Hidden, 0);
            yield return new Tensor($"blk.{l}.attn_q.weight", shape.Hidden, shape.Hidden);
            yield return new Tensor($"blk.{l}.attn_k.weight", shape.Hidden, shape.KvWidth);
            yield return new Tensor($"blk.{l}.attn_v.weight", shape.Hidden, shape.KvWidth);
            yield return new Tensor($"blk.{l}.attn_output.weight", shape.Hidden, shape.Hidden);
            yield return new Tensor($"blk.{l}.ffn_gate.weight", shape.Hidden, shape.Ffn);
            yield return new Tensor($"blk.{l}.ffn_up.weight", shape.Hidden, shape.Ffn);
            yield return new Tensor($"blk.{l}.ffn_down.weight", shape.Ffn, shape.Hidden);
        }
    }

    private static byte[] Header(ModelShape shape, Tensor[] tensors)
    {
        using var stream = new MemoryStream();
        using var header = new BinaryWriter(stream);
        header.Write("GGUF"u8);
        header.Write(3);
        header.Write((long)tensors.Length);
        header.Write((long)0); // Number of metadata entries, filled in below.
        int entries = WriteMetadata(header, shape);
        long offset = 0;
        foreach (Tensor tensor in tensors)
        {
            WriteText(header, tensor.Name);
            header.Write(tensor.IsNorm ? 1 : 2);
            header.Write((long)tensor.Columns);
            if (!tensor.IsNorm) header.Write((long)tensor.Rows);
            header.Write(tensor.IsNorm ? TypeF32 : TypeQ8);
            header.Write(offset);
            offset += (tensor.ByteCount + Alignment - 1) / Alignment * Alignment;
        }

        byte[] bytes = stream.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), entries);
        return bytes;
    }

    private static int WriteMetadata(BinaryWriter writer, ModelShape shape)
    {
        int entries = 0;
        WriteString("general.architecture", "llama");
        WriteUInt32("llama.context_length", 4096);
        WriteUInt32("llama.embedding_length", shape.Hidden);
        WriteUInt32("llama.block_count", shape.Layers);
        WriteUInt32("llama.feed_forward_length", shape.Ffn);
        WriteUInt32("llama.attention.head_count", shape.Heads);
        WriteUInt32("llama.attention.head_count_kv", shape.KvHeads);
        WriteUInt32("llama.rope.dimension_count", shape.Hidden / shape.Heads);
        WriteFloat32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
        WriteFloat32("llama.rope.freq_base", 10000);
        WriteUInt32("general.file_type", 7); // Mostly Q8_0.

        // A vocabulary of words, each behind the mark that llama.cpp puts before a word.
        WriteString("tokenizer.ggml.model", "bert");
        WriteKey("tokenizer.ggml.tokens", GgufValueType.Array);
        writer.Write((int)GgufValueType.Text);
        writer.Write((long)shape.Vocabulary);
        for (int i = 0; i < shape.Vocabulary; i++) WriteText(writer, $"\u2581word{i}");
        foreach (string name in (string[])["bos", "eos", "unknown", "padding", "seperator", "cls"])
            WriteUInt32($"tokenizer.ggml.{name}_token_id", 0);
        return entries;

        void WriteKey(string key, GgufValueType type)
        {
            entries++;
            WriteText(writer, key);
            writer.Write((int)type);
        }

        void WriteString(string key, string value)
        {
            WriteKey(key, GgufValueType.Text);
            WriteText(writer, value);
        }

        void WriteUInt32(string key, int value)
        {
            WriteKey(key, GgufValueType.U32);
            writer.Write(value);
        }

        void WriteFloat32(string key, float value)
        {
            WriteKey(key, GgufValueType.F32);
            writer.Write(value);
        }
    }

    private static void WriteOnes(FileStream file, int count)
    {
        float[] ones = new float[count];
        Array.Fill(ones, 1f);
        file.Write(MemoryMarshal.AsBytes<float>(ones));
    }

    // Uniform in -128 .. 127 has a standard deviation of 74; scaled so that a row of it keeps the size of its input.
    private static void WriteQuantized(FileStream file, Tensor tensor, ref ulong state)
    {
        var scale = (Half)(1 / (74 * Math.Sqrt(tensor.Columns)));
        byte[] chunk = new byte[ChunkBytes / (8 * BlockBytes) * (8 * BlockBytes)]; // Whole blocks, and whole words of 8 bytes.
        for (long left = tensor.ByteCount; left > 0; left -= chunk.Length)
        {
            Fill(MemoryMarshal.Cast<byte, ulong>(chunk.AsSpan()), ref state);
            for (int b = 0; b < chunk.Length; b += BlockBytes) BinaryPrimitives.WriteHalfLittleEndian(chunk.AsSpan(b), scale);
            file.Write(chunk, 0, (int)Math.Min(left, chunk.Length));
        }
    }

    // xorshift64* (Vigna, 2016) from a counter that is spread by an odd multiplier: gigabytes a second, where System.Random with a seed
    // gives a byte at a time.
    private static void Fill(Span<ulong> words, ref ulong state)
    {
        ulong x = (state * 0x9E3779B97F4A7C15) | 1;
        foreach (ref ulong word in words)
        {
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            word = BitOperations.RotateLeft(x * 0x2545F4914F6CDD1D, 32);
        }

        state++;
    }

    private static void WriteText(BinaryWriter writer, string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        writer.Write((long)utf8.Length);
        writer.Write(utf8);
    }

    private static void Pad(FileStream file)
    {
        while (file.Position % Alignment != 0) file.WriteByte(0);
    }

    private readonly record struct Tensor(string Name, int Columns, int Rows)
    {
        internal bool IsNorm => Rows == 0;

        internal long ByteCount => IsNorm ? Columns * 4L : (long)Columns / BlockValues * BlockBytes * Rows;
    }
}
