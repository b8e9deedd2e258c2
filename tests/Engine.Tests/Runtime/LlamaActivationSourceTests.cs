using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>
/// Hidden states from llama.cpp against a float64 forward pass on random models. Tolerances are relative to the row's norm: 1e-5 in exact
/// mode, where F32 arithmetic over 32 to 48 terms and 4 blocks leaves about 1e-6; 5e-3 in the default mode, whose F16 cache alone rounds at 5e-4.
/// </summary>
public sealed class LlamaActivationSourceTests : IDisposable
{
    private const double Exact = 1e-5;
    private const double Fast = 5e-3;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("llama", true, 1)]
    [InlineData("llama", false, 2)]
    [InlineData("qwen2", true, 3)]
    [InlineData("qwen2", false, 4)]
    public void Every_layer_at_every_position_equals_the_float64_forward_pass(string architecture, bool precise, int seed)
    {
        var tiny = new TinyModel(seed, architecture);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = precise, Threads = 1 });
        var random = new Random(seed);
        int[][] prompts = [.. Enumerable.Range(1, 9).Select(i => tiny.RandomTokens(random, (5 * i) + 1))];

        CollectingSink rows = Capture(source, [.. prompts.Select(p => CapturePrompt.From(p, 0))], [0, 1, 2, 3]);

        Assert.Equal(prompts.Sum(p => p.Length) * 4, rows.Rows.Count);
        AssertEqual(tiny, new TinyForward(tiny), prompts, rows, precise ? Exact : Fast);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_single_layer_with_the_graph_stopped_behind_it_gives_the_same_rows(int layer)
    {
        var tiny = new TinyModel(11);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        int[] tokens = tiny.RandomTokens(new Random(5), 40);
        var expected = new TinyForward(tiny).Run(tokens).Hidden;

        // Scattered positions, and twice: the second call finds the context as the first one left it.
        var prompt = new CapturePrompt(tokens, [0, 3, 4, 5, 17, 39]);
        for (int repeat = 0; repeat < 2; repeat++)
        {
            CollectingSink rows = Capture(source, [prompt, prompt], [layer]);
            Assert.Equal(12, rows.Rows.Count);
            foreach (((int _, int l, int slot), float[] row) in rows.Rows)
                Assert.InRange(HiddenStates.RelativeError(row, expected[l][prompt.Positions[slot]]), 0, Exact);
        }
    }

    [Theory]
    [InlineData(1, 512)]
    [InlineData(2, 512)]
    [InlineData(1, 64)]
    [InlineData(1, 7)]
    public void Many_prompts_in_a_batch_equal_single_prompts(int threads, int batchTokens)
    {
        var tiny = new TinyModel(21);
        using GgufModel model = Load(tiny);
        var random = new Random(7);
        CapturePrompt[] prompts = [.. Enumerable.Range(0, 150).Select(_ => CapturePrompt.Last(tiny.RandomTokens(random, random.Next(1, 30))))];

        using var single = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        using var packed = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = threads, BatchTokens = batchTokens });
        CollectingSink together = Capture(packed, prompts, [1, 3]);
        Assert.Equal(300, together.Rows.Count);
        for (int p = 0; p < prompts.Length; p++)
        {
            CollectingSink alone = Capture(single, [prompts[p]], [1, 3]);
            foreach (((int _, int layer, int slot), float[] row) in alone.Rows)
                Assert.InRange(HiddenStates.RelativeError(together.Rows[(p, layer, slot)], row), 0, Exact);
        }
    }

    [Theory]
    [InlineData("llama", 1, 512)]
    [InlineData("llama", 2, 48)]
    [InlineData("qwen2", 3, 20)]
    [InlineData("qwen2", 4, 7)]
    [InlineData("llama", 5, 1)]
    public void Shared_beginnings_give_every_prompt_its_own_rows(string architecture, int seed, int batchTokens)
    {
        var tiny = new TinyModel(seed, architecture);
        using GgufModel model = Load(tiny);
        var random = new Random(seed);
        using var plain = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1, BatchTokens = batchTokens });
        using ILoadedAdapter adapter = source.LoadAdapter(new TinyAdapter(tiny, seed).Write(_folder["adapter"]));
        for (int round = 0; round < 6; round++)
        {
            WeightedAdapter[] active = round % 2 == 0 ? [] : [new WeightedAdapter(adapter, 0.7f)];
            plain.SetAdapters(active);
            source.SetAdapters(active);
            CapturePrompt[] prompts = PromptSets.Random(random, 60, 40, tiny.Vocabulary);
            int[] layers = (round % 3) switch { 0 => [1], 1 => [0, 2], _ => [1, 3] };
            CapturePlan plan = source.Plan(prompts, layers);
            Assert.InRange(plan.Tokens, 1, plan.PromptTokens * 0.75);
            var together = new CollectingSink(tiny.Hidden);
            source.Capture(plan, together);
            Assert.Equal(prompts.Sum(p => p.Positions.Length) * layers.Length, together.Rows.Count);
            for (int p = 0; p < prompts.Length; p++)
            {
                foreach (((int _, int layer, int slot), float[] row) in Capture(plain, [prompts[p]], layers).Rows)
                    Assert.InRange(HiddenStates.RelativeError(together.Rows[(p, layer, slot)], row), 0, Exact);
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void System_prompts_times_questions_equal_the_float64_forward_pass(bool precise)
    {
        var tiny = new TinyModel(22);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = precise, Threads = 1, BatchTokens = 100 });
        CapturePrompt[] prompts = PromptSets.SystemTimesQuestion(new Random(5), 7, 30, tiny.Vocabulary);
        CapturePlan plan = source.Plan(prompts, [0, 1, 2, 3]);
        Assert.InRange(plan.BatchCount, 10, 40);
        var reference = new TinyForward(tiny);

        // The same plan twice: a plan is made once and serves every checkpoint.
        for (int repeat = 0; repeat < 2; repeat++)
        {
            var rows = new CollectingSink(tiny.Hidden);
            source.Capture(plan, rows);
            for (int p = 0; p < prompts.Length; p += 1 + (repeat * 30))
            {
                double[][][] expected = reference.Run(prompts[p].Tokens).Hidden;
                for (int layer = 0; layer < 4; layer++)
                    Assert.InRange(HiddenStates.RelativeError(rows.Rows[(p, layer, 0)], expected[layer][^1]), 0, precise ? Exact : Fast);
            }
        }
    }

    [Theory]
    [InlineData("llama", 71, 512, true)]
    [InlineData("llama", 72, 16, true)]
    [InlineData("qwen2", 73, 64, true)]
    [InlineData("qwen2", 74, 100, false)]
    public void Tokens_that_stop_at_their_keys_and_values_change_no_row(string architecture, int seed, int batchTokens, bool precise)
    {
        const int EndOfTurn = 5; // Not in the prompts.
        var tiny = new TinyModel(seed, architecture);
        using GgufModel model = Load(tiny);
        var random = new Random(seed);
        var options = new CaptureOptions { Precise = precise, Threads = 1, BatchTokens = batchTokens };
        using var stopping = new LlamaActivationSource(model, options);
        using var whole = new LlamaActivationSource(model, options with { StopAtCache = false });
        using ILoadedAdapter adapter = stopping.LoadAdapter(new TinyAdapter(tiny, seed).Write(_folder["adapter"]));
        for (int round = 0; round < 8; round++)
        {
            WeightedAdapter[] active = round % 2 == 0 ? [] : [new WeightedAdapter(adapter, 1)];
            stopping.SetAdapters(active);
            whole.SetAdapters(active);

            // Any positions at all; and last tokens that end a turn, as in a scan, so that no prompt begins another.
            CapturePrompt[] prompts = PromptSets.Random(random, 40, 50, tiny.Vocabulary);
            if (round % 4 < 2) prompts = [.. prompts.Select(p => CapturePrompt.Last([.. p.Tokens, EndOfTurn]))];
            int[] layers = (round % 3) switch { 0 => [0], 1 => [0, 2], _ => [1] };
            Assert.Equal(0, whole.Plan(prompts, layers).TokensStoppedAtCache);
            if (round % 4 < 2) Assert.InRange(stopping.Plan(prompts, layers).TokensStoppedAtCache, 1, long.MaxValue);
            CollectingSink expected = Capture(whole, prompts, layers), rows = Capture(stopping, prompts, layers);
            Assert.Equal(expected.Rows.Count, rows.Rows.Count);
            foreach (var (key, row) in expected.Rows) Assert.InRange(HiddenStates.RelativeError(rows.Rows[key], row), 0, precise ? Exact : Fast);
        }
    }

    [Theory]
    [InlineData(512)]
    [InlineData(24)]
    public void The_inputs_of_the_blocks_are_the_same_rows_to_the_bit_where_the_batches_are_the_same(int batchTokens)
    {
        var tiny = new TinyModel(61);
        using GgufModel model = Load(tiny);
        var random = new Random(61);
        var options = new CaptureOptions { Precise = true, Threads = 1, BatchTokens = batchTokens, StopAtCache = false };
        using var tapped = new LlamaActivationSource(model, options);
        using var copied = new LlamaActivationSource(model, options with { Method = CaptureMethod.BlockInputs });
        using ILoadedAdapter adapter = tapped.LoadAdapter(new TinyAdapter(tiny, 61).Write(_folder["adapter"]));
        for (int round = 0; round < 6; round++)
        {
            WeightedAdapter[] active = round % 2 == 0 ? [] : [new WeightedAdapter(adapter, 1)];
            tapped.SetAdapters(active);
            copied.SetAdapters(active);

            // From the third set on prompts are longer than the small batches, and than the context so far.
            CapturePrompt[] prompts = PromptSets.Random(random, 20, round < 2 ? 10 : 60, tiny.Vocabulary);
            int[] layers = (round % 3) switch { 0 => [1], 1 => [0, 1, 2], _ => [0, 2] };
            CollectingSink expected = Capture(tapped, prompts, layers), rows = Capture(copied, prompts, layers);
            Assert.Equal(4, copied.Plan(prompts, layers).LayersRun);
            Assert.Equal(expected.Rows.Count, rows.Rows.Count);
            foreach (var (key, row) in expected.Rows) Assert.Equal(row, rows.Rows[key]);
        }

        CapturePrompt[] one = [CapturePrompt.Last([1, 2])];
        Assert.Throws<ArgumentException>(() => Capture(copied, one, [3]));
        Assert.Throws<ArgumentException>(() => copied.Capture(tapped.Plan(one, [1]), new CollectingSink(tiny.Hidden)));
    }

    [Fact]
    public void The_inputs_of_the_blocks_of_an_architecture_that_does_not_keep_them_are_refused()
    {
        using GgufModel model = Load(new TinyModel(62, "qwen2"));
        string message = Assert.Throws<LlamaException>(() => new LlamaActivationSource(model, new CaptureOptions { Method = CaptureMethod.BlockInputs })).Message;
        Assert.Contains("qwen2", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_of_another_model_or_with_larger_batches_is_refused()
    {
        using GgufModel model = Load(new TinyModel(23)), deeper = Load(new TinyModel(23, layers: 5));
        using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = 1, BatchTokens = 64 });
        using var larger = new LlamaActivationSource(model, new CaptureOptions { Threads = 1, BatchTokens = 65 });
        using var other = new LlamaActivationSource(deeper, new CaptureOptions { Threads = 1, BatchTokens = 64 });
        CapturePrompt[] prompts = [CapturePrompt.Last([8, 9])];
        var sink = new CollectingSink(32);
        Assert.Throws<ArgumentException>(() => source.Capture(larger.Plan(prompts, [1]), sink));
        Assert.Throws<ArgumentException>(() => source.Capture(other.Plan(prompts, [1]), sink));
        larger.Capture(source.Plan(prompts, [1]), sink);
        Assert.Single(sink.Rows);
    }

    [Fact]
    public void A_prompt_longer_than_a_batch_is_cut_into_slices_without_a_seam()
    {
        var tiny = new TinyModel(31, context: 1024);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1, BatchTokens = 64 });
        int[] tokens = tiny.RandomTokens(new Random(3), 400);
        foreach (int[] layers in new int[][] { [1], [0, 2], [3] })
            AssertEqual(tiny, new TinyForward(tiny), [tokens], Capture(source, [CapturePrompt.From(tokens, 0)], layers), Exact);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("qwen2")]
    public void An_adapter_at_scale_t_equals_weights_merged_at_t(string architecture)
    {
        var tiny = new TinyModel(41, architecture);
        var adapter = new TinyAdapter(tiny, 1, projections: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        using ILoadedAdapter loaded = source.LoadAdapter(adapter.Write(_folder["adapter"]));
        int[][] prompts = [tiny.RandomTokens(new Random(9), 20)];
        foreach (float scale in new[] { 1f, 0.5f, -0.7f, 0f })
        {
            source.SetAdapters([new WeightedAdapter(loaded, scale)]);
            AssertEqual(tiny, new TinyForward(tiny, [(adapter, scale)]), prompts, Capture(source, [CapturePrompt.From(prompts[0], 0)], [0, 1, 2, 3]), Exact);
        }

        source.SetAdapters([]);
        AssertEqual(tiny, new TinyForward(tiny), prompts, Capture(source, [CapturePrompt.From(prompts[0], 0)], [0, 1, 2, 3]), Exact);
    }

    [Fact]
    public void Two_adapters_at_once_equal_weights_merged_with_both()
    {
        var tiny = new TinyModel(51);
        var first = new TinyAdapter(tiny, 1, rank: 4, alpha: 16);
        var second = new TinyAdapter(tiny, 2, rank: 2, alpha: 2, projections: ["k_proj", "down_proj"]);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        using ILoadedAdapter a = source.LoadAdapter(first.Write(_folder["first"])), b = source.LoadAdapter(second.Write(_folder["second"]));
        source.SetAdapters([new WeightedAdapter(a, 0.8f), new WeightedAdapter(b, -1.2f)]);
        int[][] prompts = [tiny.RandomTokens(new Random(9), 20)];
        AssertEqual(tiny, new TinyForward(tiny, [(first, 0.8f), (second, -1.2f)]), prompts, Capture(source, [CapturePrompt.From(prompts[0], 0)], [0, 1, 2, 3]), Exact);
    }

    [Fact]
    public void Adapters_survive_a_context_that_has_to_grow()
    {
        var tiny = new TinyModel(61, context: 2048);
        var adapter = new TinyAdapter(tiny, 1);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1, BatchTokens = 32 });
        using ILoadedAdapter loaded = source.LoadAdapter(adapter.Write(_folder["adapter"]));
        source.SetAdapters([new WeightedAdapter(loaded, 1)]);
        var random = new Random(2);
        int[][] shorter = [tiny.RandomTokens(random, 10)], longer = [tiny.RandomTokens(random, 700)];
        var reference = new TinyForward(tiny, [(adapter, 1)]);
        AssertEqual(tiny, reference, shorter, Capture(source, [CapturePrompt.Last(shorter[0])], [2]), Exact);
        AssertEqual(tiny, reference, longer, Capture(source, [CapturePrompt.Last(longer[0])], [2]), Exact);
    }

    [Fact]
    public void Steering_adds_its_vector_to_the_residual_stream()
    {
        var tiny = new TinyModel(71);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        var random = new Random(4);
        float[] Vector() => [.. Enumerable.Range(0, tiny.Hidden).Select(_ => (float)TinyModel.Gaussian(random))];
        var vectors = new Dictionary<int, float[]> { [1] = Vector(), [2] = Vector() };
        int[][] prompts = [tiny.RandomTokens(random, 20)];
        source.SetSteering(new ControlVector(tiny.Hidden, vectors));
        AssertEqual(tiny, new TinyForward(tiny, steering: vectors), prompts, Capture(source, [CapturePrompt.From(prompts[0], 0)], [0, 1, 2, 3]), Exact);
        source.SetSteering(null);
        AssertEqual(tiny, new TinyForward(tiny), prompts, Capture(source, [CapturePrompt.From(prompts[0], 0)], [0, 1, 2, 3]), Exact);
    }

    [Fact]
    public void Greedy_generation_follows_the_argmax_of_the_float64_logits()
    {
        var tiny = new TinyModel(81);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        var random = new Random(6);
        int[][] prompts = [.. Enumerable.Range(0, 70).Select(_ => tiny.RandomTokens(random, random.Next(1, 12)))];
        int[][] generated = source.GenerateGreedy(prompts, 8);
        var reference = new TinyForward(tiny);
        for (int p = 0; p < prompts.Length; p++)
        {
            var tokens = prompts[p].ToList();
            foreach (int token in generated[p])
            {
                double[] logits = reference.Run([.. tokens]).Logits[^1];
                Assert.Equal(Array.IndexOf(logits, logits.Max()), token);
                tokens.Add(token);
            }

            // It may only have stopped early at an end-of-generation token.
            if (generated[p].Length < 8)
            {
                double[] logits = reference.Run([.. tokens]).Logits[^1];
                Assert.True(model.Vocabulary.IsEndOfGeneration(Array.IndexOf(logits, logits.Max())));
            }
        }

        // Capturing afterwards finds a clean context.
        AssertEqual(tiny, reference, [prompts[0]], Capture(source, [CapturePrompt.Last(prompts[0])], [3]), Exact);
    }

    [Fact]
    public void What_does_not_fit_the_model_is_refused_with_an_exception()
    {
        var tiny = new TinyModel(91, context: 64);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model);
        var sink = new CollectingSink(tiny.Hidden);
        Assert.Throws<EmScanException>(() => source.Capture([CapturePrompt.Last(new int[65])], [0], sink));
        Assert.Throws<ArgumentException>(() => source.Capture([CapturePrompt.Last([64])], [0], sink));
        Assert.Throws<ArgumentException>(() => source.Capture([CapturePrompt.Last([-1])], [0], sink));
        Assert.Throws<ArgumentException>(() => source.Capture([CapturePrompt.Last([7])], [4], sink));
        Assert.Throws<ArgumentException>(() => source.Capture([CapturePrompt.Last([7])], [1, 1], sink));
        Assert.Throws<ArgumentException>(() => source.SetSteering(new ControlVector(8, new Dictionary<int, float[]> { [1] = new float[8] })));
        Assert.Throws<ArgumentException>(() => source.SetSteering(new ControlVector(32, new Dictionary<int, float[]> { [4] = new float[32] })));
        Assert.Throws<ArgumentException>(() => new ControlVector(32, new Dictionary<int, float[]> { [0] = new float[32] }));
        Assert.Throws<ArgumentException>(() => source.GenerateGreedy([[]], 3));
        Assert.Empty(sink.Rows);
    }

    [Fact]
    public void An_exception_in_the_sink_comes_out_and_the_source_stays_usable()
    {
        var tiny = new TinyModel(92);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        int[] tokens = tiny.RandomTokens(new Random(1), 10);
        Assert.Throws<InvalidTimeZoneException>(() => source.Capture([CapturePrompt.Last(tokens)], [1, 2], new ThrowingSink()));
        AssertEqual(tiny, new TinyForward(tiny), [tokens], Capture(source, [CapturePrompt.Last(tokens)], [1, 2]), Exact);
    }

    [Fact]
    public void A_cancelled_capture_ends_between_batches()
    {
        var tiny = new TinyModel(93);
        using GgufModel model = Load(tiny);
        using var source = new LlamaActivationSource(model, new CaptureOptions { BatchTokens = 16, Threads = 1 });
        using var cancellation = new CancellationTokenSource();
        var random = new Random(1);
        CapturePrompt[] prompts = [.. Enumerable.Range(0, 10).Select(_ => CapturePrompt.Last(tiny.RandomTokens(random, 16)))];
        var sink = new CancellingSink(cancellation);
        Assert.Throws<OperationCanceledException>(() => source.Capture(prompts, [0], sink, cancellation.Token));
        Assert.Equal(1, sink.Count);
    }

    [Fact]
    public void Contexts_and_adapters_may_outlive_the_model_object()
    {
        var tiny = new TinyModel(94);
        GgufModel model = Load(tiny);
        var source = new LlamaActivationSource(model, new CaptureOptions { Precise = true, Threads = 1 });
        ILoadedAdapter adapter = source.LoadAdapter(new TinyAdapter(tiny, 1).Write(_folder["adapter"]));
        source.SetAdapters([new WeightedAdapter(adapter, 1)]);
        _ = Capture(source, [CapturePrompt.Last([8, 9])], [1]);
        model.Dispose();
        source.Dispose();
        adapter.Dispose();
        Assert.Throws<ObjectDisposedException>(() => source.Capture([CapturePrompt.Last([8])], [1], new CollectingSink(32)));
    }

    private GgufModel Load(TinyModel tiny)
    {
        string path = _folder[$"{Guid.NewGuid():N}.gguf"];
        tiny.WriteGguf(path);
        return GgufModel.Load(path);
    }

    private static CollectingSink Capture(LlamaActivationSource source, CapturePrompt[] prompts, int[] layers)
    {
        var sink = new CollectingSink(source.HiddenSize);
        source.Capture(prompts, layers, sink);
        return sink;
    }

    /// <summary>Rows of prompts captured from their start or at their last token.</summary>
    private static void AssertEqual(TinyModel tiny, TinyForward reference, int[][] prompts, CollectingSink rows, double tolerance)
    {
        Assert.NotEmpty(rows.Rows);
        for (int p = 0; p < prompts.Length; p++)
        {
            double[][][] expected = reference.Run(prompts[p]).Hidden;
            bool lastOnly = !rows.Rows.Keys.Any(k => k.Prompt == p && k.Slot > 0);
            foreach (((int prompt, int layer, int slot), float[] row) in rows.Rows)
            {
                if (prompt != p) continue;
                Assert.Equal(tiny.Hidden, row.Length);
                Assert.InRange(HiddenStates.RelativeError(row, expected[layer][lastOnly ? prompts[p].Length - 1 : slot]), 0, tolerance);
            }
        }
    }

    private sealed class ThrowingSink : IHiddenStateSink
    {
        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states) => throw new InvalidTimeZoneException("from the sink");
    }

    private sealed class CancellingSink(CancellationTokenSource cancellation) : IHiddenStateSink
    {
        internal int Count { get; private set; }

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
        {
            Count++;
            cancellation.Cancel();
        }
    }
}
