using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>Logits of wanted positions beside hidden states, against a forward pass in float64.</summary>
public sealed class LogitTests : IDisposable
{
    // Exact mode on F32 weights: rounding of the network's own F32 arithmetic, relative to the norm of a row.
    private const double Exact = 1e-5;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<int, int[], int> Plans => new()
    {
        { 1, [], 0 },
        { 2, [1], 0 },
        { 3, [0, 3], 0 },
        { 4, [], 24 },
        { 5, [2], 24 },
    };

    [Theory]
    [MemberData(nameof(Plans))]
    public void Logits_equal_those_of_a_float64_forward_pass(int seed, int[] layers, int batchTokens)
    {
        var tiny = new TinyModel(200 + seed);
        tiny.WriteGguf(_folder["model.gguf"]);
        using GgufModel model = GgufModel.Load(_folder["model.gguf"]);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1, BatchTokens = batchTokens });
        var trained = new TinyAdapter(tiny, seed, projections: ["q_proj", "v_proj", "down_proj"]);
        using ILoadedAdapter adapter = source.LoadAdapter(trained.Write(_folder["adapter"]));

        // 200 wanted positions in all, more than one batch may have outputs; half of the prompts begin alike.
        var random = new Random(seed);
        int[] common = tiny.RandomTokens(random, 9);
        CapturePrompt[] prompts = [.. Enumerable.Range(0, 20).Select(i =>
        {
            int[] own = tiny.RandomTokens(random, 11);
            return CapturePrompt.From(i % 2 == 0 ? own : [.. common, .. own], i % 2 == 0 ? 1 : 10);
        })];
        CapturePlan plan = source.Plan(prompts, layers, logits: true);
        Assert.Equal(tiny.Layers, plan.LayersRun);
        Assert.InRange(plan.Outputs, 1, 128);
        Assert.True(plan.BatchCount > 1);
        foreach (bool adapted in (bool[])[false, true, false])
        {
            source.SetAdapters(adapted ? [new WeightedAdapter(adapter, 0.7f)] : []);
            var sink = new LogitSink(model);
            source.Capture(plan, sink);
            Assert.Equal(200, sink.Logits.Count);
            Assert.Equal(200 * layers.Length, sink.States.Rows.Count);
            var reference = adapted ? new TinyForward(tiny, [(trained, 0.7)]) : new TinyForward(tiny);
            for (int p = 0; p < prompts.Length; p++)
            {
                (double[][][] hidden, double[][] logits) = reference.Run(prompts[p].Tokens);
                for (int slot = 0; slot < prompts[p].Positions.Length; slot++)
                {
                    int position = prompts[p].Positions[slot];
                    Assert.InRange(HiddenStates.RelativeError(sink.Logits[(p, slot)], logits[position]), 0, Exact);
                    foreach (int layer in layers)
                        Assert.InRange(HiddenStates.RelativeError(sink.States.Rows[(p, layer, slot)], hidden[layer][position]), 0, Exact);
                }
            }
        }

        // Captures that stop early, before and after, find a context of their own size and nothing left behind.
        var rows = new CollectingSink(tiny.Hidden);
        source.Capture(prompts[..3], [1], rows);
        Assert.InRange(HiddenStates.RelativeError(rows.Rows[(0, 1, 0)], new TinyForward(tiny).Run(prompts[0].Tokens).Hidden[1][1]), 0, Exact);
    }

    [Fact]
    public void Taking_turns_as_on_a_GPU_gives_the_same_bits()
    {
        var tiny = new TinyModel(220);
        tiny.WriteGguf(_folder["model.gguf"]);
        using GgufModel model = GgufModel.Load(_folder["model.gguf"]);
        var random = new Random(2);
        int[] common = tiny.RandomTokens(random, 6);
        CapturePrompt[] prompts = [.. Enumerable.Range(0, 9).Select(_ => CapturePrompt.From([.. common, .. tiny.RandomTokens(random, 7)], 4))];
        LogitSink Run(bool takeTurns)
        {
            using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1, BatchTokens = 20, TakeTurns = takeTurns });
            var sink = new LogitSink(model);
            source.Capture(source.Plan(prompts, [0, 2], logits: true), sink);
            return sink;
        }

        LogitSink free = Run(takeTurns: false), turns = Run(takeTurns: true);
        Assert.Equal(81, free.Logits.Count);
        foreach (((int, int) key, float[] row) in free.Logits) Assert.Equal(row, turns.Logits[key]);
        foreach (((int, int, int) key, float[] row) in free.States.Rows) Assert.Equal(row, turns.States.Rows[key]);
    }

    [Fact]
    public void A_sink_that_takes_no_logits_is_refused()
    {
        var tiny = new TinyModel(230);
        tiny.WriteGguf(_folder["model.gguf"]);
        using GgufModel model = GgufModel.Load(_folder["model.gguf"]);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = 1 });
        CapturePlan plan = source.Plan([CapturePrompt.Last([8, 9])], [], logits: true);
        Assert.Contains("sink", Assert.Throws<ArgumentException>(() => source.Capture(plan, new CollectingSink(tiny.Hidden))).Message);
        Assert.Throws<ArgumentException>(() => source.Plan([CapturePrompt.Last([8, 9])], [], logits: false));
    }

    private sealed class LogitSink(GgufModel model) : ILogitSink
    {
        internal Dictionary<(int Prompt, int Slot), float[]> Logits { get; } = [];

        internal CollectingSink States { get; } = new(model.HiddenSize);

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) => States.Accept(promptIndex, layer, firstPosition, states);

        public void AcceptLogits(int promptIndex, int firstPosition, ReadOnlySpan<float> logits)
        {
            Assert.Equal(0, logits.Length % model.Vocabulary.Size);
            for (int i = 0; i < logits.Length / model.Vocabulary.Size; i++)
                Logits.Add((promptIndex, firstPosition + i), logits.Slice(i * model.Vocabulary.Size, model.Vocabulary.Size).ToArray());
        }
    }
}
