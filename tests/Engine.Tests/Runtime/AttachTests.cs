using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;
using LLama;
using LLama.Common;
using LLama.Native;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>A model that a host has loaded through LLamaSharp: shared, never freed.</summary>
public sealed class AttachTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly TinyModel _tiny = new(320);

    public AttachTests() => _tiny.WriteGguf(ModelPath);

    private string ModelPath => _folder["model.gguf"];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void States_with_and_without_an_adapter_are_those_of_an_own_load_and_the_weights_stay_the_hosts()
    {
        using LLamaWeights weights = Host();
        string adapter = new TinyAdapter(_tiny, 2).Write(_folder["adapter"]);
        CapturePrompt[] prompts = [CapturePrompt.From(_tiny.RandomTokens(new Random(3), 20), 0)];
        Dictionary<(int, int, int), float[]> Rows(GgufModel model)
        {
            using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
            using ILoadedAdapter loaded = source.LoadAdapter(adapter);
            var rows = new CollectingSink(_tiny.Hidden);
            source.Capture(prompts, [1], rows);
            source.SetAdapters([new WeightedAdapter(loaded, 1)]);
            source.Capture(prompts, [3], rows);
            source.SetAdapters([]);
            return rows.Rows;
        }

        Dictionary<(int, int, int), float[]> own, shared;
        using (GgufModel model = GgufModel.Load(ModelPath)) own = Rows(model);
        GgufModel attached = GgufModel.Attach(weights, ModelPath);
        shared = Rows(attached);
        Assert.Equal(40, own.Count);
        foreach (((int, int, int) key, float[] row) in own) Assert.Equal(row, shared[key]);

        attached.Dispose();
        attached.Dispose();
        Assert.Throws<ObjectDisposedException>(() => new LlamaActivationSource(attached).Capture(prompts, [1], new CollectingSink(_tiny.Hidden)));
        Assert.False(weights.NativeHandle.IsClosed);
        using GgufModel again = GgufModel.Attach(weights, ModelPath, "cpu");
        Assert.Equal(own.Count, Rows(again).Count);
    }

    [Fact]
    public void A_host_may_dispose_its_weights_first()
    {
        LLamaWeights weights = Host();
        using GgufModel model = GgufModel.Attach(weights, ModelPath);
        weights.Dispose();
        using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = 1 });
        var rows = new CollectingSink(_tiny.Hidden);
        source.Capture([CapturePrompt.Last([8, 9])], [1], rows);
        Assert.Single(rows.Rows);
    }

    [Fact]
    public void The_file_of_another_model_and_a_device_that_is_not_there_are_refused()
    {
        using LLamaWeights weights = Host();
        new TinyModel(321, ffn: 56).WriteGguf(_folder["other.gguf"]);
        Assert.Contains("not the file of the model given", Assert.Throws<InputFileException>(() => GgufModel.Attach(weights, _folder["other.gguf"])).Message);
        Assert.Contains("no device 'CUDA7'", Assert.Throws<LlamaException>(() => GgufModel.Attach(weights, ModelPath, "CUDA7")).Message);
        Assert.False(weights.NativeHandle.IsClosed);
    }

    private LLamaWeights Host() =>
        LLamaWeights.LoadFromFile(new ModelParams(ModelPath) { GpuLayerCount = 0, LoadMode = LLamaLoadMode.MemoryMap });
}
