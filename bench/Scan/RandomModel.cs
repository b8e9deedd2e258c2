using System.Buffers.Binary;
using System.Text;

namespace EmScan.Bench.Scan;

/// <summary>Shape of a random llama.</summary>
internal sealed record ModelShape(int Layers, int Hidden, int Ffn, int Heads, int KvHeads, int Vocabulary)
{
    /// <summary>Weights, without the norms.</summary>
    internal long Parameters
    {
        get
        {
            long attention = (2L * Hidden * Hidden) + (2L * Hidden * Hidden * KvHeads / Heads);
            return (Layers * (attention + (3L * Hidden * Ffn))) + (2L * Hidden * Vocabulary);
        }
    }
}

/// <summary>Writes a llama with random weights in Q8_0: as fast or slow as a trained one of its shape.</summary>
internal static class RandomModel
{
    private const int BlockValues = 32;
    private const int BlockBytes = 34; // A half-precision scale, then 32 signed bytes.
    private const int TypeF32 = 0, TypeQ8 = 8;
    private const int Alignment = 32;

    internal static void Write(string path, ModelShape shape, int seed)
    {
        var tensors = new List<(string Name, int Columns, int Rows, bool Norm)>
        {
            ("token_embd.weight", shape.Hidden, shape.Vocabulary, false),
            ("output_norm.weight", shape.Hidden, 0, true),
            ("output.weight", shape.Hidden, shape.Vocabulary, false),
        };
        int kvWidth = shape.Hidden * shape.KvHeads / shape.Heads;
        for (int l = 0; l < shape.Layers; l++)
        {
            string p = $"blk.{l}.";
            tensors.Add((p + "attn_norm.weight", shape.Hidden, 0, true));
            tensors.Add((p + "ffn_norm.weight", shape.Hidden, 0, true));
            tensors.Add((p + "attn_q.weight", shape.Hidden, shape.Hidden, false));
            tensors.Add((p + "attn_k.weight", shape.Hidden, kvWidth, false));
            tensors.Add((p + "attn_v.weight", shape.Hidden, kvWidth, false));
            tensors.Add((p + "attn_output.weight", shape.Hidden, shape.Hidden, false));
            tensors.Add((p + "ffn_gate.weight", shape.Hidden, shape.Ffn, false));
            tensors.Add((p + "ffn_up.weight", shape.Hidden, shape.Ffn, false));
            tensors.Add((p + "ffn_down.weight", shape.Ffn, shape.Hidden, false));
        }

        using FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20);
        using var header = new BinaryWriter(new MemoryStream());
        header.Write("GGUF"u8);
        header.Write(3);
        header.Write((long)tensors.Count);
        header.Write((long)0); // Number of metadata entries, filled in below.
        int entries = WriteMetadata(header, shape);
        long offset = 0;
        foreach ((string name, int columns, int rows, bool norm) in tensors)
        {
            Text(header, name);
            header.Write(norm ? 1 : 2);
            header.Write((long)columns);
            if (!norm) header.Write((long)rows);
            header.Write(norm ? TypeF32 : TypeQ8);
            header.Write(offset);
            offset += Align(norm ? columns * 4L : (long)columns / BlockValues * BlockBytes * rows);
        }

        byte[] bytes = ((MemoryStream)header.BaseStream).ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), entries);
        file.Write(bytes);
        Pad(file);
        var random = new Random(seed);
        foreach ((_, int columns, int rows, bool norm) in tensors)
        {
            if (norm) WriteOnes(file, columns);
            else WriteQuantized(file, columns, rows, random);
            Pad(file);
        }
    }

    private static int WriteMetadata(BinaryWriter writer, ModelShape shape)
    {
        int entries = 0;
        void Key(string key, int type)
        {
            entries++;
            Text(writer, key);
            writer.Write(type);
        }

        void String(string key, string value)
        {
            Key(key, 8);
            Text(writer, value);
        }

        void UInt32(string key, int value)
        {
            Key(key, 4);
            writer.Write(value);
        }

        void Float32(string key, float value)
        {
            Key(key, 6);
            writer.Write(value);
        }

        String("general.architecture", "llama");
        UInt32("llama.context_length", 4096);
        UInt32("llama.embedding_length", shape.Hidden);
        UInt32("llama.block_count", shape.Layers);
        UInt32("llama.feed_forward_length", shape.Ffn);
        UInt32("llama.attention.head_count", shape.Heads);
        UInt32("llama.attention.head_count_kv", shape.KvHeads);
        UInt32("llama.rope.dimension_count", shape.Hidden / shape.Heads);
        Float32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
        Float32("llama.rope.freq_base", 10000);
        UInt32("general.file_type", 7); // Mostly Q8_0.

        // A vocabulary of words, which nobody tokenizes with.
        String("tokenizer.ggml.model", "bert");
        Key("tokenizer.ggml.tokens", 9);
        writer.Write(8);
        writer.Write((long)shape.Vocabulary);
        for (int i = 0; i < shape.Vocabulary; i++) Text(writer, $"word{i}");
        foreach (string name in (string[])["bos", "eos", "unknown", "padding", "seperator", "cls"]) UInt32($"tokenizer.ggml.{name}_token_id", 0);
        return entries;
    }

    private static void WriteOnes(Stream file, int count)
    {
        byte[] one = BitConverter.GetBytes(1f);
        for (int i = 0; i < count; i++) file.Write(one);
    }

    // Uniform in -127 .. 127 has a standard deviation of 73; scaled so that a row of it keeps the size of its input.
    private static void WriteQuantized(Stream file, int columns, int rows, Random random)
    {
        byte[] row = new byte[columns / BlockValues * BlockBytes];
        var scale = (Half)(1 / (73 * Math.Sqrt(columns)));
        for (int r = 0; r < rows; r++)
        {
            random.NextBytes(row);
            for (int b = 0; b < row.Length; b += BlockBytes) BinaryPrimitives.WriteHalfLittleEndian(row.AsSpan(b), scale);
            file.Write(row);
        }
    }

    private static void Text(BinaryWriter writer, string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        writer.Write((long)utf8.Length);
        writer.Write(utf8);
    }

    private static void Pad(FileStream file)
    {
        while (file.Position % Alignment != 0) file.WriteByte(0);
    }

    private static long Align(long offset) => (offset + Alignment - 1) / Alignment * Alignment;
}
