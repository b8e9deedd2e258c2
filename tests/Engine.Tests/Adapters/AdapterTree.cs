using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Adapters;

/// <summary>A folder with small adapters in it. They hold one module of a model with a single block, enough to be read.</summary>
internal sealed class AdapterTree : IDisposable
{
    private const int Width = 8;
    private readonly TemporaryFolder _folder = new();

    internal string Root => _folder["tree"];

    internal string Outside => _folder["outside"];

    internal AdapterTree()
    {
        Directory.CreateDirectory(Root);
        Directory.CreateDirectory(Outside);
    }

    internal string this[string relative] => Path.Combine(Root, relative);

    internal string Peft(string relative, int seed, long? globalStep = null)
    {
        string folder = Path.Combine(Root, relative);
        Directory.CreateDirectory(folder);
        (float[] a, float[] b) = Matrices(seed);
        SafetensorsWriter.Write(
            Path.Combine(folder, "adapter_model.safetensors"),
            [("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", [2, Width], a), ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", [Width, 2], b)],
            new Dictionary<string, string>());
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), """{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}""");
        if (globalStep is { } step) File.WriteAllText(Path.Combine(folder, "trainer_state.json"), $$"""{"global_step": {{step}}, "log_history": []}""");
        return folder;
    }

    /// <summary>The same matrices as <see cref="Peft"/> with this seed, as llama.cpp's conversion writes them: rows of B of q_proj in another order.</summary>
    internal string Gguf(string relative, int seed, bool negative = false)
    {
        string path = Path.Combine(Root, relative);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        (float[] a, float[] b) = Matrices(seed);
        float[] reordered = [.. Enumerable.Range(0, Width).Reverse().SelectMany(row => b[(2 * row)..(2 * row + 2)]).Select(v => negative ? -v : v)];
        using var writer = new GgufTestWriter();
        writer.Text("general.architecture", "llama");
        writer.Text("general.type", "adapter");
        writer.Text("adapter.type", "lora");
        writer.Float32("adapter.lora.alpha", 4);
        writer.Tensor("blk.0.attn_q.weight.lora_a", [Width, 2], a);
        writer.Tensor("blk.0.attn_q.weight.lora_b", [2, Width], reordered);
        writer.Write(path);
        return path;
    }

    internal void Age(string path)
    {
        DateTime old = DateTime.UtcNow.AddHours(-1);
        foreach (string file in Directory.GetFiles(path)) File.SetLastWriteTimeUtc(file, old);
        Directory.SetLastWriteTimeUtc(path, old);
    }

    private static (float[] A, float[] B) Matrices(int seed)
    {
        var random = new Random(seed);
        return ([.. Enumerable.Range(0, 2 * Width).Select(_ => random.NextSingle() - 0.3f)], [.. Enumerable.Range(0, 2 * Width).Select(_ => random.NextSingle() - 0.3f)]);
    }

    public void Dispose() => _folder.Dispose();
}
