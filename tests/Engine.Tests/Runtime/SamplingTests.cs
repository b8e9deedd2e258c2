using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Runtime;

/// <summary>Sampled tokens follow the model's own distribution, and a prompt's own seed.</summary>
public sealed class SamplingTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly TinyModel _tiny = new(9);
    private readonly GgufModel _model;
    private readonly LlamaActivationSource _source;

    public SamplingTests()
    {
        _tiny.WriteGguf(_folder["model.gguf"]);
        _model = GgufModel.Load(_folder["model.gguf"]);
        _source = new LlamaActivationSource(_model, new CaptureOptions { Precise = true, Threads = 1 });
    }

    public void Dispose()
    {
        _source.Dispose();
        _model.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.5)]
    public void The_first_token_is_drawn_from_the_softmax_of_a_float64_forward_pass(double temperature)
    {
        int[] prompt = [1, .. _tiny.RandomTokens(new Random(2), 6)];
        double[] logits = new TinyForward(_tiny).Run(prompt).Logits[^1];
        double[] weights = [.. logits.Select(l => Math.Exp((l - logits.Max()) / temperature))];
        const int Draws = 4000;
        int[] counts = new int[_tiny.Vocabulary];
        int[][] drawn = _source.GenerateSampled([.. Enumerable.Repeat(prompt, Draws)], 1, temperature, [.. Enumerable.Range(0, Draws)]);
        int ended = drawn.Count(d => d.Length == 0);
        foreach (int[] d in drawn.Where(d => d.Length > 0)) counts[d[0]]++;

        // Every count within five standard errors of its expectation; 64 counts at once leave a chance of 1 in 27,000 to fail, and the seeds are fixed.
        double share = 0;
        for (int token = 0; token < counts.Length; token++)
        {
            double expected = weights[token] / weights.Sum();
            if (_model.Vocabulary.IsEndOfGeneration(token)) share += expected;
            else Assert.InRange(counts[token], (Draws * expected) - 1 - (5 * Math.Sqrt(Draws * expected)), (Draws * expected) + 1 + (5 * Math.Sqrt(Draws * expected)));
        }

        Assert.InRange(ended, (Draws * share) - 1 - (5 * Math.Sqrt(Draws * share)), (Draws * share) + 1 + (5 * Math.Sqrt(Draws * share)));
    }

    [Fact]
    public void What_is_drawn_hangs_on_the_prompt_s_own_seed_and_not_on_its_neighbours()
    {
        var random = new Random(3);
        int[][] prompts = [.. Enumerable.Range(0, 7).Select(i => (int[])[1, .. _tiny.RandomTokens(random, 3 + i)])];
        int[] seeds = [11, 12, 13, 11, 15, 16, 17];
        int[][] together = _source.GenerateSampled(prompts, 8, 1, seeds);
        for (int i = 0; i < prompts.Length; i++) Assert.Equal(_source.GenerateSampled([prompts[i]], 8, 1, [seeds[i]])[0], together[i]);
        Assert.NotEqual(together.Select(t => string.Join(' ', t)), _source.GenerateSampled(prompts, 8, 1, [.. seeds.Select(s => s + 100)]).Select(t => string.Join(' ', t)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(double.NaN)]
    public void A_temperature_that_is_none_is_refused(double temperature) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => _source.GenerateSampled([[1]], 1, temperature, [1]));
}
