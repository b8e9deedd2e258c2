using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Adapters;

public sealed class SyntheticAdapterTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void It_loads_and_changes_the_model_a_little()
    {
        var tiny = new TinyModel(4, "qwen2");
        tiny.WriteGguf(_folder["model.gguf"]);
        using GgufModel model = GgufModel.Load(_folder["model.gguf"]);
        LoraAdapter adapter = SyntheticAdapter.Create(model.File, 5, 1);
        Assert.Equal(2 * tiny.Layers, adapter.Tensors.Count);
        Assert.All(adapter.Tensors, t => Assert.Equal(5, t.Rank));
        LoraGgufWriter.Write(_folder["adapter.gguf"], adapter);

        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        using ILoadedAdapter loaded = source.LoadAdapter(_folder["adapter.gguf"]);
        CapturePrompt[] prompt = [CapturePrompt.Last(tiny.RandomTokens(new Random(1), 20))];
        CollectingSink before = new(tiny.Hidden), after = new(tiny.Hidden);
        source.Capture(prompt, [3], before);
        source.SetAdapters([new WeightedAdapter(loaded, 1)]);
        source.Capture(prompt, [3], after);
        source.SetAdapters([]);
        Assert.InRange(HiddenStates.RelativeError(after.Rows[(0, 3, 0)], before.Rows[(0, 3, 0)]), 1e-6, 0.3);
    }

    [Theory]
    [InlineData("attn_qkv", "blk.0.attn_qkv.weight")]
    [InlineData("ffn_down", "blk.0.ffn_down.weight")]
    public void Architectures_without_query_and_value_matrices_get_it_where_they_can(string name, string expected)
    {
        LoraTensor tensor = Assert.Single(SyntheticAdapter.Create(ModelWith(name), 2, 1).Tensors);
        Assert.Equal((expected, 8, 16), (tensor.Name, tensor.InputSize, tensor.OutputSize));
    }

    [Fact]
    public void A_model_without_such_matrices_is_refused_by_name() =>
        Assert.Contains("model-ssm_in", Assert.Throws<InputFileException>(() => SyntheticAdapter.Create(ModelWith("ssm_in"), 2, 1)).Message);

    private GgufFile ModelWith(string name)
    {
        string path = _folder[$"model-{name}.gguf"];
        using var writer = new GgufTestWriter();
        writer.Text("general.architecture", "test");
        writer.Tensor($"blk.0.{name}.weight", [8, 16], new float[128]);
        writer.Write(path);
        return GgufFile.Open(path);
    }
}
