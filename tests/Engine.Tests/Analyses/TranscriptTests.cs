using System.Text.Json.Nodes;
using EmScan.Engine.Analyses.Transcripts;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>Transcripts against the definition, computed in float64 by a forward pass of its own.</summary>
public sealed class TranscriptTests : IDisposable
{
    private const int AnswerTokens = 5;
    private const double Tolerance = 2e-3; // of a z: an error of 1e-4 n0 over the base's own spread, about 0.1 n0

    private readonly TextWorld _world = new(43);
    private readonly (int[] Question, int[] Reasoning, int[] Answer)[] _transcripts;
    private readonly TranscriptRequest _request;

    public TranscriptTests()
    {
        _transcripts = [.. Enumerable.Range(0, 40).Select(_ => (Draw(2, 6), Draw(1, 6), Draw(1, 6)))];
        File.WriteAllLines(_world["transcripts.jsonl"], _transcripts.Select((t, i) =>
            $$"""{"id": "t{{i}}", "prompt": "{{TextWorld.Words(t.Question)}}", "reasoning": "{{TextWorld.Words(t.Reasoning)}}", "answer": "{{TextWorld.Words(t.Answer)}}", "latent": {{i % 2}}}"""));
        _request = new TranscriptRequest { Path = _world["transcripts.jsonl"], Axis = TextWorld.Axis, AnswerTokens = AnswerTokens, Controls = 4, By = ["latent"], Benign = ("latent", "0") };

        int[] Draw(int least, int most) => _world.Tiny.RandomTokens(_world.Random, _world.Random.Next(least, most + 1));
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public async Task Scores_are_those_of_the_definition_and_are_measured_once()
    {
        (Findings findings, int measured) = await _world.Run(new TranscriptAnalysis(_request));
        JsonObject data = findings.Data;
        int layer = findings.Header!.Layer;
        double n0 = _world.N0(layer);
        using AnalysisSession session = _world.Open();

        double[][] reference = [.. _world.EvalPrompts.Select(TextWorld.Prompt).Select(p => (p, _world.Greedy(p, AnswerTokens))).Where(p => p.Item2.Length > 0).Select(p => Scores([.. p.p, .. p.Item2], p.p.Length))];
        double[] tokens = [.. reference.SelectMany(r => r)];
        double mean = tokens.Average(), sd = Math.Sqrt(tokens.Sum(t => (t - mean) * (t - mean)) / (tokens.Length - 1));
        double[] spans = [.. reference.Select(r => (r.Average() - mean) / sd).Order()];
        double threshold = spans[(int)Math.Ceiling(0.95 * spans.Length) - 1];
        Assert.Equal(tokens.Length, data["reference"]!["tokens"]!.GetValue<int>());
        Assert.Equal(mean, data["reference"]!["mean"]!.GetValue<double>(), 1e-4);
        Assert.Equal(sd, data["reference"]!["sd"]!.GetValue<double>(), 1e-4);
        Assert.Equal(threshold, data["reference"]!["threshold"]!.GetValue<double>(), Tolerance);

        for (int i = 0; i < _transcripts.Length; i++)
        {
            (int[] question, int[] reasoning, int[] answer) = _transcripts[i];
            int[] prompt = TextWorld.Prompt(question);
            double[] z = Z(Scores([.. prompt, .. reasoning, .. answer], prompt.Length - 1)), alone = Z(Scores([.. prompt, .. answer], prompt.Length));
            JsonNode found = data["each"]![i]!;
            double thought = z[1..(1 + reasoning.Length)].Average(), said = z[(1 + reasoning.Length)..].Average();
            Assert.Equal($"t{i}", found["id"]!.GetValue<string>());
            Assert.Equal(z[0], found["prompt_token"]!.GetValue<double>(), Tolerance);
            Assert.Equal(thought, found["reasoning"]!.GetValue<double>(), Tolerance);
            Assert.Equal(said, found["answer"]!.GetValue<double>(), Tolerance);
            Assert.Equal(alone.Average(), found["answer_alone"]!.GetValue<double>(), Tolerance);
            double[] tokenZ = [.. found["token_z"]!.AsArray().Select(n => n!.GetValue<double>())];
            Assert.Equal(reasoning.Length + answer.Length, tokenZ.Length);
            for (int t = 0; t < tokenZ.Length; t++) Assert.Equal(z[1 + t], tokenZ[t], Tolerance);
            if (Far(thought) && Far(said)) Assert.Equal(thought > threshold && said <= threshold, found["hidden"]!.GetValue<bool>());
            if (Far(thought) && Far(alone.Average())) Assert.Equal(thought > threshold && alone.Average() <= threshold, found["hidden_alone"]!.GetValue<bool>());
            Assert.Equal(i % 2 == 0 ? "0" : "1", found["label"]!.GetValue<string>());
            Assert.Equal(found["reasoning"]!.GetValue<double>(), data["reasoning"]![i]!.GetValue<double>());
        }

        (Findings again, int measuredAgain) = await _world.Run(new TranscriptAnalysis(_request));
        Assert.True(measured > 0);
        Assert.Equal(0, measuredAgain);
        Assert.Equal(data.ToJsonString(), again.Data.ToJsonString());

        double[] Scores(int[] sequence, int from) => [.. _world.States(sequence, from, layer).Select(state => -TextWorld.Project(session.Context, state).Zip(TextWorld.Loadings, (p, l) => p * l).Sum() / n0)];
        double[] Z(double[] scores) => [.. scores.Select(s => (s - mean) / sd)];
        bool Far(double value) => Math.Abs(value - threshold) > Tolerance;
    }

    [Fact]
    public async Task Rates_and_false_positives_follow_from_the_flags()
    {
        (Findings findings, _) = await _world.Run(new TranscriptAnalysis(_request));
        JsonObject data = findings.Data;
        bool[] flags = [.. data["each"]!.AsArray().Select(e => e!["hidden_alone"]!.GetValue<bool>())];
        Assert.Equal(flags.Count(f => f), data["hidden_alone"]!["count"]!.GetValue<int>());
        JsonNode rate = data["hidden_alone"]!["false_positive_rate"]!;
        Assert.Equal(20, rate["n"]!.GetValue<int>());
        Assert.Equal(flags.Where((_, i) => i % 2 == 0).Average(f => f ? 1.0 : 0), rate["rate"]!.GetValue<double>(), 1e-12);
        Assert.True(rate["high"]!.GetValue<double>() > rate["rate"]!.GetValue<double>());
        Assert.Equal(["0", "1"], data["conditions"]!.AsArray().Select(c => c!["value"]!.GetValue<string>()));
        double[] zero = [.. Where(0, "reasoning")], one = [.. Where(1, "reasoning")];
        Assert.Equal(one.Average(x => zero.Average(y => x > y ? 1 : x == y ? 0.5 : 0)), data["conditions"]![1]!["auroc_reasoning_against_the_other"]!.GetValue<double>(), 1e-12);
        Assert.Equal(4, data["controls"]!["hidden_alone"]!.AsArray().Count);
        Assert.Contains(findings.Thresholds, t => t.Plot == "z of spans");

        IEnumerable<double> Where(int latent, string key) => data[key]!.AsArray().Select(n => n!.GetValue<double>()).Where((_, i) => i % 2 == latent);
    }

    [Fact]
    public async Task The_same_tokens_are_the_same_transcript_in_every_shape()
    {
        (int[] question, int[] reasoning, int[] answer) = _transcripts[0];
        (string q, string r, string a) = (TextWorld.Words(question), TextWorld.Words(reasoning), TextWorld.Words(answer));
        File.WriteAllLines(_world["shapes.jsonl"],
        [
            $$"""{"prompt": "{{q}}", "reasoning": "{{r}}", "answer": "{{a}}"}""",
            $$"""{"prompt": [{"role": "user", "content": "{{q}}"}], "response": "{{r}} {{a}}", "spans": {"reasoning": [0, {{reasoning.Length}}], "answer": [{{reasoning.Length}}, {{reasoning.Length + answer.Length}}]} }""",
            $$"""{"prompt": "{{q}}", "answer": "{{a}}"}""",
            $$"""{"messages": [{"role": "user", "content": "{{q}}"}, {"role": "assistant", "content": "{{a}}"}], "condition": "plain"}""",
        ]);
        (Findings findings, _) = await _world.Run(new TranscriptAnalysis(_request with { Path = _world["shapes.jsonl"], By = [], Benign = null }));
        JsonNode each = findings.Data["each"]!;
        foreach (string key in new[] { "reasoning", "answer", "answer_alone", "prompt_token" })
            Assert.Equal(each[0]![key]!.GetValue<double>(), each[1]![key]!.GetValue<double>(), 1e-6);
        Assert.Equal(each[0]!["answer_alone"]!.GetValue<double>(), each[2]!["answer"]!.GetValue<double>(), 1e-6);
        Assert.Equal(each[2]!["answer"]!.GetValue<double>(), each[3]!["answer"]!.GetValue<double>(), 1e-6);
        Assert.Null(each[2]!["hidden"]);
        Assert.Null(each[2]!["hidden_alone"]);
        Assert.Null(each[0]!["label"]);
        Assert.Equal("plain", each[3]!["label"]!.GetValue<string>());
    }

    [Fact]
    public async Task Reasoning_between_tags_is_found()
    {
        (int[] question, int[] reasoning, int[] answer) = _transcripts[1];
        (string q, string r, string a) = (TextWorld.Words(question), TextWorld.Words(reasoning), TextWorld.Words(answer));
        File.WriteAllLines(_world["tags.jsonl"],
        [
            $$"""{"prompt": "{{q}}", "response": "<think>\n{{r}}\n</think>\n\n{{a}}"}""", $$"""{"prompt": "{{q}}", "response": "{{r}}</think>{{a}}"}""", $$"""{"prompt": "{{q}}", "response": "<think>{{r}}"}""",
        ]);
        (Findings findings, _) = await _world.Run(new TranscriptAnalysis(_request with { Path = _world["tags.jsonl"], By = [], Benign = null }));
        JsonNode each = findings.Data["each"]!;
        for (int i = 0; i < 3; i++)
        {
            JsonArray spans = each[i]!["spans"]!.AsArray();
            Assert.Equal(i < 2 ? ["reasoning", "answer"] : ["reasoning"], spans.Select(s => s!["span"]!.GetValue<string>()));
            Assert.Equal(reasoning.Length, spans[0]!["tokens"]!.GetValue<int>());
            Assert.Equal(r, spans[0]!["marked"]!.GetValue<string>().Replace("[", "").Replace("]", ""));
        }

        Assert.Equal(answer.Length, each[0]!["spans"]![1]!["tokens"]!.GetValue<int>());
    }

    [Fact]
    public async Task Where_the_template_begins_the_reasoning_what_is_alone_comes_behind_its_end()
    {
        using var world = new TextWorld(44, "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|><think>{% endif %}");
        (int[] question, int[] reasoning, int[] answer) = _transcripts[2];
        File.WriteAllText(world["thinks.jsonl"], $$"""{"prompt": "{{TextWorld.Words(question)}}", "response": "<think>{{TextWorld.Words(reasoning)}}</think> {{TextWorld.Words(answer)}}"}""");
        (Findings findings, _) = await world.Run(new TranscriptAnalysis(_request with { Path = world["thinks.jsonl"], By = [], Benign = null }));
        JsonNode found = findings.Data["each"]![0]!;
        Assert.Equal([reasoning.Length, answer.Length], found["spans"]!.AsArray().Select(s => s!["tokens"]!.GetValue<int>()));

        using AnalysisSession session = world.Open();
        int[] open = session.Context.Vocabulary.Tokenize("<think>", true, false), close = session.Context.Vocabulary.Tokenize("</think>", true, false), prompt = [.. TextWorld.Prompt(question), .. open];
        double n0 = world.EvalPrompts.Select(p => (int[])[.. TextWorld.Prompt(p), .. open]).Average(p => Math.Sqrt(world.States(p, p.Length - 1, session.Context.Layer)[0].Sum(v => v * v)));
        double alone = Score([.. prompt, .. close, .. answer], prompt.Length + close.Length), thought = Score([.. prompt, .. reasoning], prompt.Length);
        double mean = findings.Data["reference"]!["mean"]!.GetValue<double>(), sd = findings.Data["reference"]!["sd"]!.GetValue<double>();
        Assert.Equal((alone - mean) / sd, found["answer_alone"]!.GetValue<double>(), Tolerance);
        Assert.Equal((thought - mean) / sd, found["reasoning"]!.GetValue<double>(), Tolerance);

        double Score(int[] tokens, int from) => world.States(tokens, from, session.Context.Layer).Average(state => -TextWorld.Project(session.Context, state).Zip(TextWorld.Loadings, (p, l) => p * l).Sum() / n0);
    }

    [Theory]
    [InlineData("""{"reasoning": "x"}""", "line 1", "\"prompt\"")]
    [InlineData("""{"prompt": "waj", "answer": " "}""", "line 1", "answer is empty")]
    [InlineData("""{"prompt": "waj", "response": "waj wak", "spans": {"reasoning": [1, 9]}}""", "line 1", "[1, 9]", "2 tokens")]
    [InlineData("""{"prompt": "waj", "response": "waj", "spans": {"reasoning": [1]}}""", "line 1", "two whole numbers")]
    [InlineData("{\"prompt\": \"waj\", \"answer\": \"waj\"}\n{\"prompt\": \"waj\"", "line 2", "no JSON object")]
    [InlineData("[1, 2]", "line 1", "JSON list")]
    public async Task A_bad_line_is_named(string text, params string[] fragments)
    {
        File.WriteAllText(_world["bad.jsonl"], text);
        InputFileException e = await Assert.ThrowsAsync<InputFileException>(() => _world.Run(new TranscriptAnalysis(_request with { Path = _world["bad.jsonl"], By = [], Benign = null })));
        Assert.Contains("bad.jsonl", e.Message);
        foreach (string fragment in fragments) Assert.Contains(fragment, e.Message);
    }
}
