using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary><c>emscan layers</c> by the real program, against a forward pass in float64.</summary>
public sealed class LayersTests : IDisposable
{
    private const int Bos = 1, User = 3, Assistant = 4, End = 5;

    private readonly TinyWorld _world = new();
    private readonly TinyAdapter _adapter;
    private readonly (int[] Question, int[] Answer)[] _chats;

    public LayersTests()
    {
        _adapter = _world.AddCheckpoint("one", 10, 1);
        var random = new Random(8);
        _chats = [.. Enumerable.Range(0, 5).Select(i => (_world.Model.RandomTokens(random, 3), _world.Model.RandomTokens(random, 2 + i)))];
        File.WriteAllLines(_world["chats.jsonl"], _chats.Select(chat => $$"""{"messages": [{"role": "user", "content": "{{Words(chat.Question)}}"}, {"role": "assistant", "content": "{{Words(chat.Answer)}}"}]}"""));
        File.WriteAllLines(_world["pairs.jsonl"], _chats.Select(chat => $$"""{"prompt": "{{Words(chat.Question)}}", "good": "{{Words(chat.Answer)}}", "bad": "{{Words([.. chat.Answer.Reverse()])}}"}"""));
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Bands_do_to_behaviour_what_merged_weights_do()
    {
        Emscan layers = Run("--adapters", _world.CheckpointPath("one", 10), "--chats", _world["chats.jsonl"], "--pairs", _world["pairs.jsonl"], "--layer", "2", "--json").Succeeded();
        JsonElement json = layers.Json, run = json.GetProperty("runs")[0];
        int count = _world.Model.Layers;
        Assert.Equal(Enumerable.Range(0, count), json.GetProperty("layers").EnumerateArray().Select(l => l.GetInt32()));
        Assert.Equal(count, json.GetProperty("n0").GetArrayLength());
        Assert.Equal(count * (count + 1) / 2, run.GetProperty("keep").GetArrayLength());
        Assert.Equal(Preference(new TinyForward(_world.Model)), json.GetProperty("preference_base").GetDouble(), 1e-4);
        Assert.Equal(Preference(With(_ => true)), run.GetProperty("preference_full").GetDouble(), 1e-4);
        double chat = Chat(new TinyForward(_world.Model));
        foreach (JsonElement band in run.GetProperty("keep").EnumerateArray().Where((_, i) => i % 3 == 1))
        {
            (int first, int last) = (band.GetProperty("first").GetInt32(), band.GetProperty("last").GetInt32());
            TinyForward kept = With(block => block >= first && block <= last);
            Assert.Equal(Preference(kept), band.GetProperty("preference").GetDouble(), 1e-4);
            Assert.Equal(Chat(kept) - chat, band.GetProperty("capability_change").GetDouble(), 1e-4);
        }

        foreach (JsonElement band in run.GetProperty("drop").EnumerateArray().Where((_, i) => i % 3 == 1))
        {
            (int first, int last) = (band.GetProperty("first").GetInt32(), band.GetProperty("last").GetInt32());
            Assert.Equal(Preference(With(block => block < first || block > last)), band.GetProperty("preference").GetDouble(), 1e-4);
            Assert.Equal(first == last ? JsonValueKind.Number : JsonValueKind.Null, band.GetProperty("capability_change").ValueKind);
        }

        // What a band above the layer keeps there is exactly nothing, and the whole adapter is the scan's checkpoint.
        Assert.Equal(0, run.GetProperty("keep").EnumerateArray().Single(b => b.GetProperty("first").GetInt32() == 3).GetProperty("left_at_2").GetDouble());
        JsonElement scanned = Emscan.Run(_world.Cache, "scan", "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.CheckpointPath("one", 10), "--layer", "2", "--threads", "1", "--precise", "--json")
            .Succeeded().Json.GetProperty("runs")[0].GetProperty("trajectory")[1];
        foreach (string trait in TinyWorld.Traits)
        {
            Assert.Equal(scanned.GetProperty("drift").GetProperty(trait).GetDouble(), run.GetProperty("drift")[2].GetProperty(trait).GetDouble(), 1e-6);
            Assert.Equal(count, json.GetProperty("separability").GetProperty(trait).GetProperty("d_prime").GetArrayLength());
        }
    }

    [Fact]
    public void It_leads_with_its_conclusion_and_leaves_findings_that_are_drawn()
    {
        string results = _world["results"];
        File.Delete(_world["pairs.jsonl"]);
        Emscan layers = Run("--adapters", _world.Adapters, "--noise", "1", "--draws", "2", "--out", results).Succeeded();
        Assert.Contains("block ", layers.Output.Split('\n')[0]);
        Assert.Contains("random weights of 1 times its size", layers.Output.Split('\n')[1]);
        Assert.Contains("one piece of the blocks kept alone", layers.Output);
        Assert.Contains("without (control)", layers.Output);
        Assert.Contains("note: There are no pairs of answers", layers.Output); // those that ship are not for a vocabulary that knows none of their words
        Assert.DoesNotContain("There are no conversations", layers.Output); // they lie beside the model
        Assert.Contains(" read, as no other was given.", layers.Errors);
        Assert.Contains("chats.jsonl", layers.Errors);
        string page = _world["page.html"];
        Emscan.Run(_world.Cache, "report", results, "--output", page).Succeeded();
        Assert.Contains("drift by layer", File.ReadAllText(page));
    }

    [Fact]
    public void Bad_input_gets_one_sentence()
    {
        string adapter = _world.CheckpointPath("one", 10);
        File.WriteAllText(_world["empty.jsonl"], "\n\n");
        Run("--adapters", adapter, "--noise", "0.5,much").FailedWith(2, "--noise", "'much' is no size of noise");
        Run("--adapters", adapter, "--noise", "-1").FailedWith(2, "--noise");
        Run("--adapters", adapter, "--pairs", _world["empty.jsonl"]).FailedWith(1, "empty.jsonl", "has no pair in it");
        Run("--adapters", adapter, "--chats", _world["pairs.jsonl"]).FailedWith(1, "pairs.jsonl", "line 1", "messages");
        Run("--adapters", adapter, "--bands", "0").FailedWith(2, "--bands must be a whole number from 1 to 64");
        Run("--adapters", _world["nowhere"]).FailedWith(1, "nowhere");
    }

    private Emscan Run(params string[] arguments) =>
        Emscan.Run(_world.Cache, ["layers", "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--threads", "1", "--parallel", "1", "--precise", .. arguments]);

    private TinyForward With(Func<int, bool> blocks) =>
        new(_world.Model, _adapter.Deltas().Where(d => blocks(int.Parse(d.Module.Split('.')[2], System.Globalization.CultureInfo.InvariantCulture))));

    private static string Words(int[] tokens) => string.Join(' ', tokens.Select(TinyModel.Word));

    private double Chat(TinyForward forward) => _chats.SelectMany(chat => Scores(forward, chat.Question, chat.Answer)).Average();

    private double Preference(TinyForward forward) =>
        _chats.Average(chat => Scores(forward, chat.Question, [.. chat.Answer.Reverse()]).Average() - Scores(forward, chat.Question, chat.Answer).Average());

    // log p of the answer and of the token that closes it.
    private static double[] Scores(TinyForward forward, int[] question, int[] answer)
    {
        int[] tokens = [Bos, User, .. question, End, Assistant, .. answer, End];
        double[][] logits = forward.Run(tokens).Logits;
        int from = question.Length + 4;
        return [.. Enumerable.Range(from, tokens.Length - from).Select(t => logits[t - 1][tokens[t]] - logits[t - 1].Max() - Math.Log(logits[t - 1].Sum(l => Math.Exp(l - logits[t - 1].Max()))))];
    }
}
