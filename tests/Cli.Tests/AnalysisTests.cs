using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary><c>emscan diff</c> and <c>emscan path</c> by the real program, against a forward pass in float64.</summary>
public sealed class AnalysisTests : IDisposable
{
    private const int Bos = TinyTexts.Bos, User = TinyTexts.User, Assistant = TinyTexts.Assistant, End = TinyTexts.End;

    private readonly TinyWorld _world = new();
    private readonly TinyAdapter _first;
    private readonly TinyAdapter _second;
    private readonly TinyTexts _files;

    public AnalysisTests()
    {
        _first = _world.AddCheckpoint("one", 10, 1);
        _second = _world.AddCheckpoint("two", 10, 2);
        _files = new TinyTexts(_world);
        File.WriteAllLines(_world["domain.txt"], [TinyModel.Word(9), TinyModel.Word(20), "notaword"]);
        File.WriteAllText(_world["axis.json"], """{"honesty": 0.6, "harmlessness": 0.8, "confidence": 0}""");
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Diff_says_what_a_forward_pass_in_float64_says()
    {
        JsonElement json = Run("diff", "--adapters", _world.CheckpointPath("one", 10), "--texts", _world["texts.txt"], "--chats", _world["chats.jsonl"], "--far", "6",
            "--domain-words", _world["domain.txt"], "--axis", _world["axis.json"], "--json").Succeeded().Json;
        Assert.Equal(_files.Texts.Select(t => t.Length + 1), json.GetProperty("tokens").GetProperty("texts").EnumerateArray().Select(n => n.GetInt32()));
        TinyForward before = new(_world.Model), after = new(_world.Model, [(_first, 1)]);
        int[][] texts = [.. _files.Texts.Select(t => (int[])[Bos, .. t])];
        for (int layer = 0; layer < _world.Model.Layers; layer++)
        {
            JsonElement found = json.GetProperty("layers")[layer];
            Check(found.GetProperty("bos"), layer, [([Bos], 0)]);
            Check(found.GetProperty("prompt_last"), layer, [.. _files.Prompts.Select(p => (p, p.Length - 1))]);

            // Positions that fewer than five texts reach are left out.
            (int[], int)[] rows = [.. texts.SelectMany(t => Enumerable.Range(0, t.Length).Where(p => texts.Count(other => other.Length > p) >= 5).Select(p => (t, p)))];
            Check(found.GetProperty("text_all"), layer, rows);
            Check(found.GetProperty("text_far"), layer, [.. rows.Where(r => r.Item2 >= 6)]);
            Assert.Equal(JsonValueKind.Null, found.GetProperty("blank").ValueKind);
        }

        int scanLayer = json.GetProperty("layer").GetInt32();
        JsonElement kinds = json.GetProperty("token_classes");
        (int[] Tokens, int Start)[] chats = [.. _files.Chats.Select(c => ((int[])[Bos, User, .. c.Question, End, Assistant, .. c.Answer, End], c.Question.Length + 4))];
        CheckSizes(kinds.GetProperty("answer_words"), scanLayer, [.. chats.SelectMany(c => Enumerable.Range(c.Start, c.Tokens.Length - 1 - c.Start).Select(p => (c.Tokens, p)))]);
        CheckSizes(kinds.GetProperty("answer_word_1"), scanLayer, [.. chats.Select(c => (c.Tokens, c.Start))]);
        CheckSizes(kinds.GetProperty("assistant_token"), scanLayer, [.. chats.Select(c => (c.Tokens, c.Start - 1))]);
        CheckSizes(kinds.GetProperty("end_token"), scanLayer, [.. chats.SelectMany(c => new[] { (c.Tokens, c.Start - 2), (c.Tokens, c.Tokens.Length - 1) })]);

        // The drift is the scan's.
        JsonElement point = Run("scan", "--adapters", _world.CheckpointPath("one", 10), "--json").Succeeded().Json.GetProperty("runs")[0].GetProperty("trajectory")[1];
        foreach (string trait in TinyWorld.Traits)
            Assert.Equal(point.GetProperty("drift").GetProperty(trait).GetDouble(), json.GetProperty("layers")[scanLayer].GetProperty("drift").GetProperty(trait).GetDouble(), 1e-6);

        void Check(JsonElement found, int layer, (int[] Tokens, int Position)[] rows)
        {
            double[][] b = [.. rows.Select(r => before.Run(r.Tokens).Hidden[layer][r.Position])], a = [.. rows.Select(r => after.Run(r.Tokens).Hidden[layer][r.Position])];
            double[][] d = [.. a.Zip(b, (x, y) => x.Zip(y, (p, q) => p - q).ToArray())];
            double[] mean = [.. Enumerable.Range(0, d[0].Length).Select(i => d.Average(row => row[i]))];
            Assert.Equal(rows.Length, found.GetProperty("rows").GetInt32());
            Assert.Equal(d.Average(Norm) / b.Average(Norm), found.GetProperty("relative_norm").GetDouble(), 1e-4);
            Assert.Equal(Norm(mean) / b.Average(Norm), found.GetProperty("mean_vector_relative_norm").GetDouble(), 1e-4);
            Assert.Equal(Math.Pow(Norm(mean), 2) / d.Average(row => Math.Pow(Norm(row), 2)), found.GetProperty("energy_share_global_mean").GetDouble(), 1e-4);
        }

        void CheckSizes(JsonElement found, int layer, (int[] Tokens, int Position)[] rows)
        {
            double change = rows.Average(r => Norm([.. after.Run(r.Tokens).Hidden[layer][r.Position].Zip(before.Run(r.Tokens).Hidden[layer][r.Position], (x, y) => x - y)]));
            Assert.Equal(rows.Length, found.GetProperty("rows").GetInt32());
            Assert.Equal(change / rows.Average(r => Norm(before.Run(r.Tokens).Hidden[layer][r.Position])), found.GetProperty("relative_norm").GetDouble(), 1e-4);
        }
    }

    [Fact]
    public void Diff_leads_with_its_conclusion_and_says_what_is_missing()
    {
        // Beside the model they would be taken; those that ship are not for a vocabulary that knows none of their words.
        File.Delete(_world["chats.jsonl"]);
        Emscan diff = Run("diff", "--adapters", _world.Adapters).Succeeded();
        string[] lines = diff.Output.Split('\n');
        Assert.StartsWith("one/checkpoint-10: ", lines[0]);
        Assert.StartsWith("two/checkpoint-10: ", lines[1]);
        Assert.Contains("relative norm", diff.Output);
        Assert.Contains("note: There are no words of a domain", diff.Output);
    }

    [Fact]
    public void With_out_an_analysis_leaves_what_a_report_is_made_of()
    {
        string conclusion = Run("diff", "--adapters", _world.CheckpointPath("one", 10), "--out", _world["kept"]).Succeeded().Output.Split('\n')[0];
        Emscan.Run(_world.Cache, "report", _world["kept"], "--output", _world["diff.html"]).Succeeded();
        string report = System.Net.WebUtility.HtmlDecode(File.ReadAllText(_world["diff.html"]));
        Assert.Contains("diff of ", report);
        Assert.Contains(conclusion, report);
    }

    [Fact]
    public void Path_says_what_merged_weights_say()
    {
        JsonElement run = Run("path", "--adapters", _world.CheckpointPath("one", 10), "--texts", _world["texts.txt"], "--chats", _world["chats.jsonl"], "--pairs", _world["pairs.jsonl"],
            "--finetuning", _world["chats.jsonl"], "--axis", _world["axis.json"], "--domain-words", _world["domain.txt"], "--json").Succeeded().Json.GetProperty("runs")[0];
        JsonElement points = run.GetProperty("points");
        Assert.Equal(11, points.GetArrayLength());
        foreach (JsonElement point in new[] { points[0], points[3], points[10] })
        {
            double t = point.GetProperty("t").GetDouble();
            var forward = new TinyForward(_world.Model, [(_first, t)]);
            Assert.Equal(_files.Plain(forward), point.GetProperty("loglik_plain").GetDouble(), 1e-4);
            Assert.Equal(_files.Chat(forward), point.GetProperty("loglik_chat").GetDouble(), 1e-4);
            Assert.Equal(_files.Chat(forward), point.GetProperty("loglik_finetuning").GetDouble(), 1e-4);
            Assert.Equal(_files.Preference(forward), point.GetProperty("answer_preference").GetDouble(), 1e-4);
            Assert.Equal(t == 0 ? JsonValueKind.Null : JsonValueKind.Number, point.GetProperty("readability").ValueKind);
        }

        JsonElement scanned = Run("scan", "--adapters", _world.CheckpointPath("one", 10), "--json").Succeeded().Json.GetProperty("runs")[0].GetProperty("trajectory")[1];
        foreach (string trait in TinyWorld.Traits)
        {
            double drift = scanned.GetProperty("drift").GetProperty(trait).GetDouble();
            Assert.Equal(drift, points[8].GetProperty("drift").GetProperty(trait).GetDouble(), 1e-6);
            bool significant = run.GetProperty("shape").GetProperty(trait).GetProperty("significant").GetBoolean();
            Assert.Equal(Math.Abs(drift) >= Math.Max(0.02, 2 * scanned.GetProperty("drift_standard_error").GetProperty(trait).GetDouble()), significant);
        }
    }

    [Fact]
    public void The_plane_says_what_merged_weights_say_and_is_read_back()
    {
        string[] arguments = ["path", "--adapters", _world.CheckpointPath("one", 10), "--to", _world.CheckpointPath("two", 10), "--texts", _world["texts.txt"], "--chats", _world["chats.jsonl"],
            "--pairs", _world["pairs.jsonl"], "--finetuning", _world["chats.jsonl"], "--finetuning", _world["chats.jsonl"], "--axis", _world["axis.json"], "--json"];
        Emscan first = Run(arguments).Succeeded();
        JsonElement pair = first.Json.GetProperty("pairs")[0];
        Assert.Equal(("one/checkpoint-10", "two/checkpoint-10"), (pair.GetProperty("a").GetString(), pair.GetProperty("b").GetString()));
        foreach ((int s, int t) in new[] { (0, 0), (1, 3), (4, 4) })
        {
            var forward = new TinyForward(_world.Model, [(_first, s / 4.0), (_second, t / 4.0)]);
            Assert.Equal(-_files.Chat(forward), pair.GetProperty("loss")[s][t].GetDouble(), 1e-4);
            Assert.Equal(-_files.Plain(forward), pair.GetProperty("loss_plain")[s][t].GetDouble(), 1e-4);
            Assert.Equal(-_files.Chat(forward), pair.GetProperty("loss_mixed")[s][t].GetDouble(), 1e-4);
            Assert.Equal(_files.Preference(forward), pair.GetProperty("preference")[s][t].GetDouble(), 1e-4);
        }

        JsonElement middle = pair.GetProperty("line")[3];
        Assert.Equal(-_files.Chat(new TinyForward(_world.Model, [(_first, 0.625), (_second, 0.375)])), middle.GetProperty("loss").GetDouble(), 1e-4);
        Assert.Equal(WithoutSource(first.Output), WithoutSource(Run(arguments).Succeeded().Output));
    }

    [Theory]
    [InlineData("auto")]
    [InlineData("three")]
    public void A_bent_curve_says_what_merged_weights_say_and_is_never_worse_than_the_line_on_what_it_was_searched_by(string bend)
    {
        TinyAdapter third = _world.AddCheckpoint("three", 10, 3);
        JsonElement pair = Run("path", "--adapters", _world.CheckpointPath("one", 10), "--to", _world.CheckpointPath("two", 10), "--bend", bend == "auto" ? bend : _world.CheckpointPath("three", 10),
            "--texts", _world["texts.txt"], "--finetuning", _world["chats.jsonl"], "--finetuning", _world["chats.jsonl"], "--json").Succeeded().Json.GetProperty("pairs")[0];
        JsonElement found = pair.GetProperty("bend");
        double g = found.GetProperty("gamma").GetDouble();
        Assert.Equal("loss_mixed", found.GetProperty("objective").GetString());
        JsonElement[] searched = [.. found.GetProperty("searched").EnumerateArray()];
        Assert.InRange(searched.Length, 5, 7);
        Assert.Equal(searched.Min(s => s.GetProperty("mean_loss").GetDouble()), searched.Single(s => s.GetProperty("gamma").GetDouble() == g).GetProperty("mean_loss").GetDouble());
        Assert.Equal((3 * (searched.Length - 1)) + (g == 0 ? 0 : 4), found.GetProperty("evaluations").GetInt32());
        Assert.Equal(9, found.GetProperty("points").GetArrayLength());
        foreach (int i in new[] { 0, 3, 5 })
        {
            double u = i / 8.0, along = 2 * u * (1 - u) * g;
            TinyForward forward = bend == "auto" ? new(_world.Model, [(_first, 1 - u + (along / 2)), (_second, u + (along / 2))]) : new(_world.Model, [(_first, 1 - u), (_second, u), (third, along)]);
            Assert.Equal(-_files.Chat(forward), found.GetProperty("points")[i].GetProperty("loss_mixed").GetDouble(), 1e-4);
            Assert.Equal(-_files.Plain(forward), found.GetProperty("points")[i].GetProperty("loss_plain").GetDouble(), 1e-4);
        }

        // The search looks at the first, third .. text; what is said of the gain at the others.
        Assert.Equal(SomeChats(0, [.25, .5, .75]), searched.Single(s => s.GetProperty("gamma").GetDouble() == 0).GetProperty("mean_loss").GetDouble(), 1e-4);
        Assert.Equal(SomeChats(1, [.125, .25, .375, .5, .625, .75, .875]), found.GetProperty("unseen_texts").GetProperty("line_mean_loss").GetDouble(), 1e-4);

        double SomeChats(int half, double[] points) => points.Average(u => -_files.Chat(new TinyForward(_world.Model, [(_first, 1 - u), (_second, u)]), i => i % 2 == half));
    }

    [Fact]
    public void A_killed_analysis_goes_on_where_it_was_and_says_the_same()
    {
        string[] arguments = ["path", "--adapters", _world.CheckpointPath("one", 10), "--texts", _world["texts.txt"], "--json"];
        string expected = Run(arguments).Succeeded().Output;
        string cache = _world["other-cache"];
        using (var process = Emscan.Start(cache, [.. Common(arguments)]))
        {
            // As soon as there is a first record, and then without a word.
            for (int wait = 0; wait < 600 && !process.HasExited && !(Directory.Exists(Path.Combine(cache, "cells")) && Directory.GetFiles(Path.Combine(cache, "cells"), "*.emscan").Any(f => new FileInfo(f).Length > 0)); wait++)
                Thread.Sleep(20);
            process.Kill();
            process.WaitForExit();
        }

        Assert.Equal(WithoutSource(expected), WithoutSource(Emscan.Run(cache, [.. Common(arguments)]).Succeeded().Output));
    }

    [Fact]
    public void Bad_input_gets_one_sentence()
    {
        string adapter = _world.CheckpointPath("one", 10);
        File.WriteAllText(_world["broken.jsonl"], "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n{\"message\": 1}\n");
        File.WriteAllText(_world["short.json"], "{\"honesty\": 1}");
        Run("diff", "--adapters", adapter, "--texts", _world["absent.txt"]).FailedWith(1, "absent.txt");
        Run("diff", "--adapters", adapter, "--chats", _world["broken.jsonl"]).FailedWith(1, "broken.jsonl", "line 2", "messages");
        Run("diff", "--adapters", adapter, "--axis", _world["short.json"]).FailedWith(1, "short.json", "harmlessness");
        Run("path", "--adapters", adapter, "--finetuning", _world["chats.jsonl"], "--finetuning", _world["chats.jsonl"]).FailedWith(2, "--finetuning is given 2 times for 1 checkpoints");
        Run("path", "--adapters", adapter, "--bend", "auto").FailedWith(2, "--bend auto needs --to");
        Run("path", "--adapters", adapter, "--to", _world.CheckpointPath("two", 10), "--bend", _world.Adapters).FailedWith(2, "--bend must name one checkpoint");
        Run("path", "--adapters", _world.Adapters, "--to", adapter).FailedWith(2, "--adapters must name one checkpoint");
        File.WriteAllText(Path.Combine(adapter, "adapter_model.safetensors"), "damaged");
        Run("path", "--adapters", adapter).FailedWith(1, adapter);
    }

    // Directions are extracted by the first run and cached for the next.
    private static string WithoutSource(string json) => string.Join('\n', json.Split('\n').Where(line => !line.Contains("\"directions\"", StringComparison.Ordinal)));

    private Emscan Run(params string[] arguments) => Emscan.Run(_world.Cache, [.. Common(arguments)]);

    private IEnumerable<string> Common(string[] arguments) =>
        [arguments[0], "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--threads", "1", "--parallel", "1", "--precise", .. arguments[1..]];

    private static double Norm(double[] row) => Math.Sqrt(row.Sum(v => v * v));
}
