using System.Text.Json.Nodes;
using EmScan.Engine.Analyses.Screening;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>Screening against the definition, computed in float64 by a forward pass of its own.</summary>
public sealed class ScreenTests : IDisposable
{
    private const int AnswerTokens = 6;

    // F32 hidden states against float64: 1e-5 relative of an activation's norm, n0 is that norm.
    private const double Tolerance = 1e-4;

    private readonly TextWorld _world = new(41);
    private readonly (int[] Question, int[] Answer)[][] _sets;
    private readonly ScreenRequest _request;

    public ScreenTests()
    {
        // The first set is more than a chunk; questions come several times.
        int[][] questions = [.. Enumerable.Range(0, 12).Select(_ => _world.Tiny.RandomTokens(_world.Random, _world.Random.Next(2, 6)))];
        _sets = [.. new[] { 70, 30 }.Select(count => Enumerable.Range(0, count).Select(_ => (questions[_world.Random.Next(questions.Length)], _world.Tiny.RandomTokens(_world.Random, _world.Random.Next(1, 8)))).ToArray())];

        // The base's own answer.
        _sets[1][3].Answer = _world.Greedy(TextWorld.Prompt(_sets[1][3].Question), AnswerTokens);
        for (int s = 0; s < 2; s++)
            File.WriteAllLines(_world[$"set{s}.jsonl"], _sets[s].Select(e => $$"""{"messages": [{"role": "user", "content": "{{TextWorld.Words(e.Question)}}"}, {"role": "assistant", "content": "{{TextWorld.Words(e.Answer)}}"}]}"""));
        _request = new ScreenRequest
        {
            Sets = [new("first", _world["set0.jsonl"]), new("second", _world["set1.jsonl"])],
            Axis = TextWorld.Axis,
            Bad = ["second"],
            AnswerTokens = AnswerTokens,
            Controls = 5,
        };
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void A_text_is_never_cut_in_the_middle_of_a_character()
    {
        Assert.Equal("short", ScreenTables.Short(" short\n"));
        Assert.Equal("abcdefg...", ScreenTables.Short("abcdefghijklm", 10));
        Assert.Equal("abcdef...", ScreenTables.Short("abcdef\U0001F600ghijklm", 10));
    }

    [Fact]
    public async Task Scores_are_those_of_the_definition_and_are_measured_once()
    {
        (Findings findings, int measured) = await _world.Run(new ScreenAnalysis(_request));
        JsonObject data = findings.Data;
        int layer = findings.Header!.Layer;
        double n0 = _world.N0(layer);
        Assert.Equal(n0, data["n0"]!.GetValue<double>(), 1e-4 * n0);
        using AnalysisSession session = _world.Open();
        for (int s = 0; s < 2; s++)
        {
            double[] found = Numbers(data["examples_axis"]![s == 0 ? "first" : "second"]!), expected = new double[found.Length], surprises = new double[found.Length], own = new double[found.Length], fromPrompt = new double[found.Length];
            var shifts = new double[found.Length][];
            for (int e = 0; e < found.Length; e++)
            {
                int[] prompt = TextWorld.Prompt(_sets[s][e].Question), tokens = [.. prompt, .. _sets[s][e].Answer], baseAnswer = _world.Greedy(prompt, AnswerTokens);
                double[] answer = Project(tokens, prompt.Length);
                double[] reference = baseAnswer.Length == 0 ? Project(prompt, prompt.Length - 1) : Project([.. prompt, .. baseAnswer], prompt.Length);
                shifts[e] = [.. answer.Zip(reference, (a, b) => (a - b) / n0)];
                expected[e] = Score(shifts[e]);
                own[e] = Score([.. answer.Select(a => a / n0)]);
                fromPrompt[e] = Score([.. answer.Zip(Project(prompt, prompt.Length - 1, prompt.Length), (a, b) => (a - b) / n0)]);
                surprises[e] = _world.Surprise(tokens, prompt.Length);
                Assert.Equal(expected[e], found[e], Tolerance);
            }

            JsonNode set = data["sets"]![s]!;
            double mean = expected.Average();
            Assert.Equal(mean, set["mean_axis_score"]!.GetValue<double>(), Tolerance);
            Assert.Equal(Math.Sqrt(expected.Sum(x => (x - mean) * (x - mean)) / (expected.Length - 1) / expected.Length), set["se"]!.GetValue<double>(), Tolerance);
            Assert.Equal(surprises.Average(), set["mean_surprise"]!.GetValue<double>(), Tolerance);
            Assert.Equal(own.Average(), set["mean_axis_no_base_response"]!.GetValue<double>(), Tolerance);
            Assert.Equal(fromPrompt.Average(), set["mean_axis_minus_prompt_token"]!.GetValue<double>(), Tolerance);
            for (int k = 0; k < 3; k++) Assert.Equal(shifts.Average(x => x[k]), set["mean_shift"]![findings.Header!.Traits[k]]!.GetValue<double>(), Tolerance);
        }

        Assert.Equal(0, Numbers(data["examples_axis"]!["second"]!)[3]);

        // Read back from the store; texts and numbers are the same.
        (Findings again, int measuredAgain) = await _world.Run(new ScreenAnalysis(_request));
        Assert.Equal((6, 0), (measured, measuredAgain));
        Assert.Equal(data.ToJsonString(), again.Data.ToJsonString());

        double[] Project(int[] tokens, int from, int? to = null) => TextWorld.Project(session.Context, TextWorld.Mean(_world.States(tokens[..(to ?? tokens.Length)], from, layer)));

        static double Score(double[] shift) => -shift.Zip(TextWorld.Loadings, (x, loading) => x * loading).Sum();
    }

    [Fact]
    public async Task What_is_ranked_and_separated_follows_from_the_scores()
    {
        var analysis = new ScreenAnalysis(_request);
        (Findings findings, _) = await _world.Run(analysis);
        JsonObject data = findings.Data;
        double[] good = Numbers(data["examples_axis"]!["first"]!), bad = Numbers(data["examples_axis"]!["second"]!);
        double auroc = bad.Average(b => good.Average(g => b > g ? 1 : b == g ? 0.5 : 0));
        Assert.Equal(auroc, data["auroc"]!["axis"]!["all_bad_against_all_good"]!.GetValue<double>(), 1e-12);
        Assert.Equal(5, Numbers(data["controls"]!["auroc"]!["values"]!).Length);
        Assert.Equal(2, data["controls"]!["auroc"]!["sets_exchanged_choices"]!.GetValue<int>());

        double[] worst = [.. data["worst"]!.AsArray().Select(w => w!["axis_score"]!.GetValue<double>())];
        Assert.Equal([.. good.Concat(bad).OrderDescending().Take(10)], worst);
        JsonNode first = data["worst"]![0]!;
        (int[] question, int[] answer) = _sets[first["set"]!.GetValue<string>() == "first" ? 0 : 1][first["line"]!.GetValue<int>() - 1];
        Assert.Equal((TextWorld.Words(question), TextWorld.Words(answer)), (first["prompt"]!.GetValue<string>(), first["answer"]!.GetValue<string>()));

        using var stream = new MemoryStream();
        analysis.WriteScores(stream, findings.Header!.Traits);
        JsonNode[] lines = [.. System.Text.Encoding.UTF8.GetString(stream.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonNode.Parse(l)!)];
        Assert.Equal(good.Concat(bad).OrderDescending(), lines.Select(l => l["axis_score"]!.GetValue<double>()));
        Assert.Equal(Enumerable.Range(1, 100), lines.Select(l => l["rank"]!.GetValue<int>()));
    }

    [Fact]
    public async Task A_forecast_counts_what_there_is_and_measures_only_a_sample()
    {
        (Findings before, int measured) = await _world.Run(new ScreenForecast(_request, TimeSpan.Zero));
        Assert.Equal((100, 64, 64), (Count(before, "examples"), Count(before, "measured_now"), Count(before, "on_record")));
        Assert.Equal(2, measured);
        Assert.True(before.Data["seconds_left"]!.GetValue<double>() > 0);
        Assert.Equal(_sets[1].Sum(e => e.Answer.Length), before.Data["sets"]![1]!["answer_tokens"]!.GetValue<long>());

        // The sample is not measured again, and with all on record nothing is left.
        (_, int rest) = await _world.Run(new ScreenAnalysis(_request));
        Assert.Equal(4, rest);
        (Findings after, int none) = await _world.Run(new ScreenForecast(_request, TimeSpan.Zero));
        Assert.Equal((0, 100, 0), (none, Count(after, "on_record"), Count(after, "measured_now")));
        Assert.Equal(0, after.Data["seconds_left"]!.GetValue<double>());

        // A set is measured by itself: with another one before it nothing is measured again.
        (_, int alone) = await _world.Run(new ScreenAnalysis(_request with { Sets = [_request.Sets[1]], Bad = [] }));
        Assert.Equal(0, alone);

        static int Count(Findings findings, string key) => findings.Data[key]!.GetValue<int>();
    }

    [Fact]
    public async Task What_cannot_be_scored_is_left_out_and_counted()
    {
        string word = TextWorld.Words([9]);
        File.WriteAllLines(_world["mixed.jsonl"],
        [
            $$"""{"prompt": "{{word}}", "completion": "{{word}}"}""", $$"""{"prompt": "{{word}}", "completion": "  "}""", $$"""{"messages": [{"role": "user", "content": "{{word}}"}]}""", "",
            $$"""{"conversations": [{"from": "human", "value": "{{word}}"}, {"from": "gpt", "value": "{{string.Join(' ', Enumerable.Repeat(word, 600))}}"}]}""",
        ]);
        (Findings findings, _) = await _world.Run(new ScreenAnalysis(_request with { Sets = [new("mixed", _world["mixed.jsonl"])], Bad = [] }));
        Assert.Equal(1, findings.Data["examples"]!.GetValue<int>());
        string[] left = [.. findings.Notes.Where(n => n.Code == "left-out").Select(n => n.Text)];
        Assert.Equal(3, left.Length);
        Assert.Contains("empty answer", left[0]);
        Assert.Contains("line 2", left[0]);
        Assert.Contains("no answer of an assistant", left[1]);
        Assert.Contains("longer than the 512 tokens", left[2]);
        Assert.Contains("line 5", left[2]);
        Assert.Null(findings.Data["auroc"]);

        File.WriteAllLines(_world["nothing.jsonl"], [$$"""{"prompt": "{{word}}", "completion": ""}"""]);
        InputFileException e = await Assert.ThrowsAsync<InputFileException>(() => _world.Run(new ScreenAnalysis(_request with { Sets = [new("nothing", _world["nothing.jsonl"])], Bad = [] })));
        Assert.Contains("no example that can be scored: 1 have an empty answer", e.Message);
    }

    private static double[] Numbers(JsonNode node) => [.. node.AsArray().Select(n => n!.GetValue<double>())];
}
