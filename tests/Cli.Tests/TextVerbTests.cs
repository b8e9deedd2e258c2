using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary><c>emscan screen</c> and <c>emscan transcripts</c> by the real program; their numbers are held by the engine's tests.</summary>
public sealed class TextVerbTests : IDisposable
{
    private readonly TinyWorld _world = new(3);
    private readonly Random _random = new(9);

    public TextVerbTests()
    {
        File.WriteAllText(_world["axis.json"], """{"honesty": 0.6, "harmlessness": 0.8, "confidence": 0}""");
        Write("a.jsonl", 70, (q, a) => $$"""{"messages": [{"role": "user", "content": "{{q}}"}, {"role": "assistant", "content": "{{a}}"}]}""");
        Write("b.jsonl", 12, (q, a) => $$"""{"prompt": "{{q}}", "completion": "{{a}}"}""");
        Write("c.jsonl", 12, (q, a) => $$"""{"conversations": [{"from": "human", "value": "{{q}}"}, {"from": "gpt", "value": "{{a}}"}]}""");
        int i = 0;
        Write("transcripts.jsonl", 30, (q, a) => $$"""{"id": "t{{i}}", "prompt": "{{q}}", "reasoning": "{{Words(3)}}", "answer": "{{a}}", "latent": {{i++ % 2}} }""");
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Screen_ranks_sets_and_examples_and_resumes()
    {
        string[] arguments = ["screen", "--data", $"first={_world["a.jsonl"]}", "--data", _world["b.jsonl"], _world["c.jsonl"], "--bad", "b,c", "--axis", _world["axis.json"], "--scores", _world["scores.jsonl"]];
        JsonElement json = Run([.. arguments, "--json"]).Succeeded().Json;
        Assert.Equal(94, json.GetProperty("examples").GetInt32());
        Assert.Equal(["first", "b", "c"], json.GetProperty("sets").EnumerateArray().Select(s => s.GetProperty("set").GetString()!));
        Assert.Equal([70, 12, 12], json.GetProperty("examples_axis").EnumerateObject().Select(s => s.Value.GetArrayLength()));
        Assert.InRange(json.GetProperty("auroc").GetProperty("axis").GetProperty("all_bad_against_all_good").GetDouble(), 0, 1);
        JsonElement[] scores = [.. File.ReadAllLines(_world["scores.jsonl"]).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(94, scores.Length);
        Assert.Equal(scores[0].GetProperty("axis_score").GetDouble(), json.GetProperty("worst")[0].GetProperty("axis_score").GetDouble());

        // Everything is on record: a forecast says so, and a table of the same data computes nothing.
        Assert.StartsWith("94 examples in 3 sets, all of them on record", Run([.. arguments, "--explain"]).Succeeded().Output);
        Emscan table = Run(arguments).Succeeded();
        Assert.StartsWith("Of 3 sets ", table.Output);
        Assert.Contains("AUROC", table.Output.Split('\n')[0]);
        foreach (string fragment in new[] { "20 random directions", "surprise", "the base's own", "no filter of harm" }) Assert.Contains(fragment, table.Output);
    }

    [Fact]
    public void Screen_says_how_long_it_will_take_and_goes_on_from_there()
    {
        Emscan explained = Run("screen", "--data", _world["a.jsonl"], "--axis", _world["axis.json"], "--explain").Succeeded();
        Assert.Matches("^70 examples in 1 set, (all|[0-9]+) of them on record", explained.Output);
        JsonElement json = Run("screen", "--data", _world["a.jsonl"], "--axis", _world["axis.json"], "--json").Succeeded().Json;
        Assert.Equal(70, json.GetProperty("examples").GetInt32());
    }

    [Fact]
    public void Without_an_axis_harmlessness_stands_in_and_that_is_said()
    {
        Emscan screen = Run("screen", "--data", _world["b.jsonl"]).Succeeded();
        Assert.Contains("along harmlessness alone", screen.Output.Split('\n')[0]);
        Assert.Contains("note: There is no drift axis", screen.Output);
    }

    [Fact]
    public void Transcripts_are_scored_marked_and_grouped()
    {
        string[] arguments = ["transcripts", "--transcripts", _world["transcripts.jsonl"], "--axis", _world["axis.json"], "--by", "latent", "--benign", "latent=0"];
        JsonElement json = Run([.. arguments, "--json"]).Succeeded().Json;
        Assert.Equal(30, json.GetProperty("transcripts").GetInt32());
        Assert.Equal(8, json.GetProperty("first8").GetArrayLength());
        Assert.Equal(15, json.GetProperty("hidden_alone").GetProperty("false_positive_rate").GetProperty("n").GetInt32());
        Assert.Equal("1", json.GetProperty("each")[1].GetProperty("label").GetString());
        Emscan table = Run(arguments).Succeeded();
        Assert.StartsWith("Of 30 transcripts with reasoning, ", table.Output);
        foreach (string fragment in new[] { "random directions, most of 20", "by latent", "answer alone", "False positives of hidden_alone", "One axis says that something along it is there" }) Assert.Contains(fragment, table.Output);
    }

    [Fact]
    public void Findings_can_be_drawn()
    {
        string output = _world["findings"];
        Run("screen", "--data", _world["b.jsonl"], _world["c.jsonl"], "--axis", _world["axis.json"], "--out", output).Succeeded();
        Run("transcripts", "--transcripts", _world["transcripts.jsonl"], "--axis", _world["axis.json"], "--out", output).Succeeded();
        Emscan.Run(_world.Cache, "report", output, "--output", _world["report.html"]).Succeeded();
        string page = File.ReadAllText(_world["report.html"]);
        Assert.Contains("scores of examples", page);
        Assert.Contains("z of spans", page);
    }

    [Fact]
    public void Bad_input_gets_one_sentence()
    {
        File.WriteAllText(_world["broken.jsonl"], "{\"prompt\": \"waj\", \"completion\": \"waj\"}\n{\"prompt\": \"waj\", \"compl\n");
        File.WriteAllText(_world["empty.jsonl"], "{\"prompt\": \"waj\", \"completion\": \"\"}\n");
        File.WriteAllText(_world["blank.jsonl"], "\n\n");
        File.WriteAllText(_world["long.jsonl"], $$"""{"prompt": "waj", "answer": "{{Words(600)}}"}""");
        File.WriteAllText(_world["longer.jsonl"], $$"""{"prompt": "waj", "response": "{{Words(600)}}"}""");
        File.WriteAllText(_world["short.json"], "{\"honesty\": 1}");
        Run("screen").FailedWith(2, "--data");
        Run("screen", "--data", _world["absent.jsonl"]).FailedWith(1, "absent.jsonl");
        Run("screen", "--data", _world["a.jsonl"], $"a={_world["b.jsonl"]}").FailedWith(2, "'a' 2 times");
        Run("screen", "--data", _world["a.jsonl"], "--bad", "x").FailedWith(2, "'x'", "the sets are a");
        Run("screen", "--data", _world["a.jsonl"], "--bad", "a").FailedWith(2, "every set");
        Run("screen", "--data", _world["broken.jsonl"]).FailedWith(1, "broken.jsonl: line 2: this is no JSON object");
        Run("screen", "--data", _world["empty.jsonl"]).FailedWith(1, "no example that can be scored: 1 have an empty answer");
        Run("screen", "--data", _world["blank.jsonl"]).FailedWith(1, "blank.jsonl");
        Run("screen", "--data", _world["a.jsonl"], "--axis", _world["short.json"]).FailedWith(1, "short.json", "harmlessness");
        Run("screen", "--data", _world["longer.jsonl"]).FailedWith(1, "no example that can be scored: 1 are longer than the 512 tokens that the model was trained for");
        Run("transcripts", "--transcripts", _world["long.jsonl"]).FailedWith(1, "long.jsonl: line 1", "the model was trained for 512");
        Run("transcripts", "--transcripts", _world["broken.jsonl"]).FailedWith(1, "broken.jsonl: line 2");
        Run("transcripts", "--transcripts", _world["empty.jsonl"]).FailedWith(1, "line 1", "answer is empty");
        Run("transcripts", "--transcripts", _world["transcripts.jsonl"], "--by", "colour").FailedWith(1, "colour", "latent");
        Run("transcripts", "--transcripts", _world["transcripts.jsonl"], "--benign", "latent").FailedWith(2, "FIELD=VALUE");
    }

    private Emscan Run(params string[] arguments) =>
        Emscan.Run(_world.Cache, [arguments[0], "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--threads", "1", "--precise", "--answer-tokens", "6", .. arguments[1..]]);

    private void Write(string name, int count, Func<string, string, string> line) =>
        File.WriteAllLines(_world[name], Enumerable.Range(0, count).Select(_ => line(Words(_random.Next(2, 5)), Words(_random.Next(1, 6)))));

    private string Words(int count) => string.Join(' ', _world.Model.RandomTokens(_random, count).Select(TinyModel.Word));
}
