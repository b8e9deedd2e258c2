using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>What the benchmark changes in how llama.cpp is used, so that it measures the same work.</summary>
public sealed class RawPrefillTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_copied_model_gives_the_hidden_states_of_a_mapped_one()
    {
        var tiny = new TinyModel(31);
        string path = Write(tiny);
        int[] tokens = tiny.RandomTokens(new Random(8), 30);

        float[] mapped = LastState(path, tokens, copied: false);

        Assert.Equal(mapped, LastState(path, tokens, copied: true));
    }

    [Theory]
    [InlineData(30)]
    [InlineData(100)]
    public void The_vocabulary_head_for_every_token_fits_prompts_longer_than_the_number_of_sequences(int length)
    {
        var tiny = new TinyModel(32);
        using var model = GgufModel.Load(Write(tiny), new ModelOptions { GpuLayers = 0 });
        var random = new Random(9);
        int[][] prompts = [tiny.RandomTokens(random, length), tiny.RandomTokens(random, 7)];
        using var raw = new RawPrefill(model, new CaptureOptions { Threads = 1, BatchTokens = 1 }, length) { EveryLogit = true };
        int batches = 0;

        raw.Run(prompts, packed: false, () => batches++);

        Assert.Equal(2, batches);
    }

    private static float[] LastState(string path, int[] tokens, bool copied)
    {
        using var model = GgufModel.Load(path, new ModelOptions { GpuLayers = 0, CopyWeights = copied });
        using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = 1 });
        var rows = new CollectingSink(source.HiddenSize);
        source.Capture([CapturePrompt.Last(tokens)], [2], rows);
        return rows.Rows[(0, 2, 0)];
    }

    private string Write(TinyModel tiny)
    {
        string path = _folder["model.gguf"];
        tiny.WriteGguf(path);
        return path;
    }
}
