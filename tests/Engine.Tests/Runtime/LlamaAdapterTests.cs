using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Runtime;

public sealed class LlamaAdapterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_file_for_llama_holds_what_was_written_and_is_gone_afterwards(bool allowMemory)
    {
        byte[] content = new byte[300_000];
        new Random(1).NextBytes(content);
        string path;
        using (MemoryFile file = MemoryFile.Write(stream => stream.Write(content), allowMemory))
        {
            path = file.Path;
            Assert.Equal(allowMemory && OperatingSystem.IsLinux(), path.StartsWith("/proc/", StringComparison.Ordinal));
            using var read = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            byte[] bytes = new byte[content.Length + 1];
            Assert.Equal(content.Length, read.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
            Assert.Equal(content, bytes[..^1]);
        }

        Assert.False(File.Exists(path));
    }

    [Fact]
    public void A_write_that_fails_leaves_no_file_behind_and_says_what_to_do()
    {
        EmScanException e = Assert.Throws<EmScanException>(() => MemoryFile.Write(_ => throw new IOException("disk full"), allowMemory: false));
        Assert.Contains("disk full", e.Message);
        Assert.False(File.Exists(e.Message[..e.Message.IndexOf(".gguf", StringComparison.Ordinal)] + ".gguf"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Leaving_out_what_lies_behind_the_measured_layer_changes_nothing_there(int layer)
    {
        var tiny = new TinyModel(3);
        tiny.WriteGguf(_folder["model.gguf"]);
        using GgufModel model = GgufModel.Load(_folder["model.gguf"]);
        string path = new TinyAdapter(tiny, 1, projections: ["q_proj", "o_proj", "down_proj"]).Write(_folder["adapter"]);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        int[] tokens = tiny.RandomTokens(new Random(5), 30);
        Dictionary<(int, int, int), float[]> Rows(ILoadedAdapter adapter)
        {
            using (adapter)
            {
                source.SetAdapters([new WeightedAdapter(adapter, 1)]);
                var rows = new CollectingSink(tiny.Hidden);
                source.Capture([CapturePrompt.From(tokens, 0)], [layer], rows);
                source.SetAdapters([]);
                return rows.Rows;
            }
        }

        Dictionary<(int, int, int), float[]> whole = Rows(source.LoadAdapter(path)), part = Rows(source.LoadAdapter(path, layer));
        Assert.Equal(30, whole.Count);
        foreach (((int, int, int) key, float[] row) in whole) Assert.Equal(row, part[key]);

        LoraAdapter cut = LlamaAdapter.UpTo(layer, AdapterReader.Open(path, model.File));
        Assert.Equal(3 * (layer + 1), cut.Tensors.Count);
        Assert.All(cut.Tensors, t => Assert.InRange(int.Parse(t.Name.Split('.')[1]), 0, layer));
    }

    [Fact]
    public void An_adapter_that_only_changes_later_layers_and_the_head_still_loads()
    {
        float[] a = [1, 2], b = [3, 4, 5];
        LoraTensor Tensor(string name) => new(name, 1, a, b, name);
        var adapter = new LoraAdapter("x", "llama", 1, [Tensor("blk.7.ffn_up.weight"), Tensor("output.weight")]);
        Assert.Equal("blk.7.ffn_up.weight", Assert.Single(LlamaAdapter.UpTo(3, adapter).Tensors).Name);
        Assert.Equal(2, LlamaAdapter.UpTo(int.MaxValue, adapter).Tensors.Count);
        var embedding = new LoraAdapter("x", "llama", 1, [Tensor("output.weight"), Tensor("token_embd.weight"), Tensor("blk.12.attn_q.weight")]);
        Assert.Equal("token_embd.weight", Assert.Single(LlamaAdapter.UpTo(3, embedding).Tensors).Name);
    }
}
