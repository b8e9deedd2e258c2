using EmScan.Engine.Runtime;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>Plans, replayed on a model of the KV cache that knows nothing but token lists.</summary>
public sealed class CapturePlanTests
{
    private const int Layers = 6;
    private const int Hidden = 10;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Every_wanted_position_is_delivered_once_behind_exactly_its_own_tokens(int seed)
    {
        var random = new Random(seed);
        for (int round = 0; round < 150; round++)
        {
            CapturePrompt[] prompts = PromptSets.Random(random, random.Next(0, 40), random.Next(1, 50), 30);
            var limits = new CaptureLimits(random.Next(1, 60), random.Next(1, 90), random.Next(1, 12), random.Next(1, 30), random.Next(3) > 0, true, random.Next(3) > 0);
            int[] layers = random.Next(2) == 0 ? [1, 3] : [2, Layers - 1];
            var plan = CapturePlan.Create(prompts, layers, Layers, Hidden, limits);
            Replay(plan, limits);

            Assert.Equal(prompts.Sum(p => p.Tokens.Length), plan.PromptTokens);
            Assert.Equal(limits.SharePrefixes ? DistinctPrefixes(prompts, p => Enumerable.Range(0, p.Tokens.Length)) : plan.PromptTokens, plan.Tokens);
            Assert.Equal(plan.PromptTokens - plan.Tokens, plan.SharedTokens);
            Assert.Equal(layers[^1] + 1, plan.LayersRun);
            Assert.Equal(plan.Tokens * plan.LayersRun, plan.TokenLayers);
            Assert.Equal(plan.PromptTokens * Layers, plan.FullTokenLayers);
            Assert.Equal(2 * prompts.Sum(p => p.Positions.Length), plan.RowsDelivered);
            Assert.Equal(plan.RowsRead * Hidden * 4, plan.BytesRead);
            Assert.Equal(2 * (limits.SharePrefixes ? DistinctPrefixes(prompts, p => p.Positions) : prompts.Sum(p => p.Positions.Length)), plan.RowsRead);
        }
    }

    [Fact]
    public void Batches_are_as_few_as_possible_and_of_one_size_when_nothing_else_limits_them()
    {
        CapturePrompt[] prompts = PromptSets.SystemTimesQuestion(new Random(1), 7, 30, 100);
        var plan = CapturePlan.Create(prompts, [2], Layers, Hidden, new CaptureLimits(64, 1000, 1000, 1000, true));
        Assert.Equal((plan.Tokens + 63) / 64, plan.BatchCount);
        int size = plan.Batches[0].Tokens.Length;
        Assert.All(plan.Batches[..^1], b => Assert.Equal(size, b.Tokens.Length));
        Assert.InRange(plan.Batches[^1].Tokens.Length, size - plan.BatchCount, size);
        Assert.InRange(plan.Tokens, 1, plan.PromptTokens * 0.6);
    }

    [Fact]
    public void A_prompt_longer_than_a_batch_goes_on_in_the_next_one()
    {
        int[] tokens = [.. Enumerable.Range(0, 100)];
        var plan = CapturePlan.Create([CapturePrompt.From(tokens, 0), CapturePrompt.Last(tokens[..70])], [0], 1, Hidden, new CaptureLimits(32, 1000, 4, 1000, true));
        Assert.Equal([25, 25, 25, 25], plan.Batches.Select(b => b.Tokens.Length));
        Assert.Equal([0, 25, 50, 75], plan.Batches.Select(b => b.Retained.Single()));
        Assert.Equal(100, plan.Cells);
        Assert.Equal(101, plan.RowsDelivered);
        Assert.Equal(100, plan.RowsRead);
    }

    [Fact]
    public void Identical_prompts_and_prompts_that_begin_another_cost_nothing()
    {
        int[] tokens = [5, 6, 7, 8, 9];
        CapturePrompt[] prompts = [CapturePrompt.Last(tokens), CapturePrompt.Last(tokens[..3]), CapturePrompt.Last(tokens), CapturePrompt.Last(tokens[..1])];
        var plan = CapturePlan.Create(prompts, [0], 2, Hidden, CaptureLimits.Default);
        CaptureBatch batch = Assert.Single(plan.Batches);
        Assert.Equal(5, plan.Tokens);
        Assert.Equal([0], batch.Retained);
        Assert.Equal([0, 2, 4], batch.Columns);
        Assert.Equal(3, plan.RowsRead);
        Assert.Equal(4, plan.RowsDelivered);
    }

    [Fact]
    public void Layers_and_limits_that_make_no_sense_are_refused()
    {
        CapturePrompt[] prompts = [CapturePrompt.Last([1])];
        foreach (int[] layers in new int[][] { [], [-1], [Layers], [2, 1], [1, 1] })
            Assert.Throws<ArgumentException>(() => CapturePlan.Create(prompts, layers, Layers, Hidden, CaptureLimits.Default));
        Assert.Throws<ArgumentOutOfRangeException>(() => CapturePlan.Create(prompts, [0], Layers, Hidden, new CaptureLimits(0, 1, 1, 1, true)));
        Assert.Throws<ArgumentOutOfRangeException>(() => CapturePlan.Create(prompts, [0], Layers, Hidden, new CaptureLimits(1, 0, 1, 1, true)));
        Assert.Throws<ArgumentOutOfRangeException>(() => CapturePlan.Create(prompts, [0], Layers, Hidden, new CaptureLimits(1, 1, 0, 1, true)));
        Assert.Throws<ArgumentOutOfRangeException>(() => CapturePlan.Create(prompts, [0], Layers, Hidden, new CaptureLimits(1, 1, 1, 0, true)));
    }

    private static int DistinctPrefixes(CapturePrompt[] prompts, Func<CapturePrompt, IEnumerable<int>> ends) => prompts
        .SelectMany(p => ends(p).Select(end => string.Join(' ', p.Tokens[..(end + 1)]))).Distinct().Count();

    // The cache as lists of tokens by sequence. A token may enter a sequence only at its end, as in llama.cpp.
    private static void Replay(CapturePlan plan, CaptureLimits limits)
    {
        var delivered = new HashSet<(int, int)>();
        int[] lastSlot = [.. Enumerable.Repeat(-1, plan.Prompts.Count)];
        List<int> spine = [];
        foreach (CaptureBatch batch in plan.Batches)
        {
            Assert.InRange(batch.Tokens.Length, 1, limits.BatchTokens);
            Assert.InRange(batch.Retained.Length, 1, limits.MaxSequences);
            if (plan.Layers[^1] == plan.LayerCount - 1) Assert.InRange(batch.Columns.Length, 0, limits.MaxOutputs);
            List<int>[] sequences = [.. batch.Retained.Select(n => spine[..n])];
            Assert.InRange(batch.Retained.Max() + batch.Tokens.Length, 1, plan.Cells);
            Assert.True(batch.Retained.Max() + batch.Tokens.Length <= limits.Cells || batch.Tokens.Length == 1);
            Assert.True(!batch.StopsAtCache || (limits.StopAtCache && plan.Layers[^1] < plan.LayerCount - 1));

            // Where a batch stops at the cache, its wanted tokens are decoded behind all the others.
            int[][] context = new int[batch.Tokens.Length][];
            int[] order = [.. Enumerable.Range(0, batch.Tokens.Length).OrderBy(i => batch.StopsAtCache && batch.Tokens[i].Wanted)];
            foreach (int i in order)
            {
                BatchToken token = batch.Tokens[i];
                for (int s = token.FirstSequence; s < token.FirstSequence + token.SequenceCount; s++)
                {
                    Assert.Equal(token.Position, sequences[s].Count);
                    sequences[s].Add(token.Id);
                }

                context[i] = [.. sequences[token.FirstSequence]];
            }

            Assert.Equal(Enumerable.Range(0, batch.Tokens.Length).Where(i => batch.Tokens[i].Wanted), batch.Columns);
            foreach (RowRun run in batch.Runs)
            {
                for (int i = 0; i < run.Count; i++)
                {
                    CapturePrompt prompt = plan.Prompts[run.Prompt];
                    Assert.True(delivered.Add((run.Prompt, run.Slot + i)));
                    Assert.Equal(++lastSlot[run.Prompt], run.Slot + i);
                    Assert.Equal(prompt.Tokens[..(prompt.Positions[run.Slot + i] + 1)], context[run.Column + i]);
                    Assert.Equal(run.Column + i, batch.Columns[run.Row + i]);
                }
            }

            spine = sequences[batch.Tokens[^1].FirstSequence];
        }

        Assert.Equal(plan.Prompts.Sum(p => p.Positions.Length), delivered.Count);
    }
}
