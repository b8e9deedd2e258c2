using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Measuring;

/// <summary>Answers as cells, single rows, and states that ride along with logits.</summary>
public sealed class GeneratedCellTests : IDisposable
{
    private const int MaxTokens = 5;
    private readonly MeasuringWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Answers_are_those_of_a_forward_pass_in_float64()
    {
        var variant = Variant.Of(_world.First);
        var reducer = new GreedyAnswerReducer(MaxTokens);
        Cell[] cells = [.. _world.Sequences.Select(tokens => new Cell(variant, new PromptSet("prompt", [CapturePrompt.Last(tokens)]), reducer)), new Cell(variant, new PromptSet("all", [.. _world.Sequences.Select(CapturePrompt.Last)]), reducer)];
        CellResult[] results = _world.Measure(cells);
        int[][] expected = [.. _world.Sequences.Select(tokens => Greedy(new TinyForward(_world.Tiny, [(_world.FirstReference, 1)]), tokens))];
        Assert.Equal(expected, results[..^1].Select(r => GreedyAnswerReducer.Answers(r)[0]));
        Assert.Equal(expected, GreedyAnswerReducer.Answers(results[^1]));
        Assert.NotEqual(cells[0].Key(_world.Identity), new Cell(variant, cells[0].Prompts, new GreedyAnswerReducer(MaxTokens + 1)).Key(_world.Identity));
        Assert.Throws<ArgumentException>(() => new Cell(variant, cells[0].Prompts, 1, reducer));
    }

    [Fact]
    public void States_and_logits_of_the_same_sequences_are_what_each_gives_alone()
    {
        var states = new PromptSet("states", [.. _world.Sequences.Select(tokens => CapturePrompt.From(tokens, 1))]);
        var scored = PromptSet.Scored("scored", _world.Sequences, (_, token) => token > 1);
        Cell rows = new(Variant.Base, states, 1, new RowProjectionReducer(_world.Directions, 2)), mean = new(Variant.Base, states, 1, new ProjectionReducer(_world.Directions, 2)), logits = new(Variant.Base, scored, new LogLikelihoodReducer());
        CellResult[] together = _world.Measure([rows, mean, logits]);
        double[][] expected = [.. MeasuringWorld.Rows(new TinyForward(_world.Tiny), states, 1)];
        double[] found = together[0]["projections"];
        Assert.Equal(2 * expected.Length, found.Length);
        for (int r = 0; r < expected.Length; r++)
        {
            for (int k = 0; k < 2; k++)
                Assert.Equal(_world.Directions.AsSpan(k * _world.Tiny.Hidden, _world.Tiny.Hidden).ToArray().Zip(expected[r], (v, h) => v * h).Sum(), found[(2 * r) + k], 1e-3);
        }

        double[] meanAlone = _world.Measure([mean])[0]["projections"], sumAlone = _world.Measure([logits])[0]["sum"];
        for (int i = 0; i < meanAlone.Length; i++) Assert.Equal(meanAlone[i], together[1]["projections"][i], 1e-4);
        for (int i = 0; i < sumAlone.Length; i++) Assert.Equal(sumAlone[i], together[2]["sum"][i], 1e-4);
    }

    private static int[] Greedy(TinyForward forward, int[] prompt)
    {
        var answer = new List<int>();
        while (answer.Count < MaxTokens)
        {
            double[] logits = forward.Run([.. prompt, .. answer]).Logits[^1];
            int best = Array.IndexOf(logits, logits.Max());
            if (best == 5) break;
            answer.Add(best);
        }

        return [.. answer];
    }
}
