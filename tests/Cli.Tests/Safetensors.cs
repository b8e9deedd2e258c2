using System.Text.Json;

namespace EmScan.Cli.Tests;

/// <summary>Reads files of directions without the engine.</summary>
internal static class Safetensors
{
    /// <summary>The directions of a layer, (K, D).</summary>
    internal static float[] ReadLayer(string file, int layer)
    {
        byte[] bytes = File.ReadAllBytes(file);
        int headerLength = (int)BitConverter.ToInt64(bytes);
        JsonElement entry = JsonDocument.Parse(bytes.AsMemory(8, headerLength)).RootElement.GetProperty($"layer_{layer}");
        int start = 8 + headerLength + entry.GetProperty("data_offsets")[0].GetInt32(), end = 8 + headerLength + entry.GetProperty("data_offsets")[1].GetInt32();
        float[] values = new float[(end - start) / 4];
        Buffer.BlockCopy(bytes, start, values, 0, end - start);
        return values;
    }
}
