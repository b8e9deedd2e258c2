using System.Text.Json;

namespace EmScan.Cli.Tests;

/// <summary>emscan label: answers for a judge, and its verdicts as labels.</summary>
public sealed class LabelTests : IDisposable
{
    private readonly TinyWorld _world = new(7);

    public LabelTests()
    {
        _world.AddCheckpoint("medical/seed_1", 10, 3);
        _world.AddCheckpoint("medical/seed_1", 20, 4);
        File.WriteAllText(_world["questions.txt"], "# open questions\n\n" + string.Join('\n', _world.EvalPrompts[..3]) + "\n");
    }

    public void Dispose() => _world.Dispose();

    private string File1 => _world["answers.jsonl"];

    [Fact]
    public void Every_checkpoint_and_the_base_answers_every_question_and_an_interrupted_file_goes_on_as_it_would_have()
    {
        Emscan run = Sample(File1).Succeeded();
        Assert.Contains("36 answers sampled", run.Output);
        JsonElement[] lines = Lines(File1);
        Assert.Equal(3 * 3 * 4, lines.Length);
        Assert.Equal(36, lines.Select(l => l.GetProperty("id").GetString()).Distinct().Count());
        Assert.Equal(
            [("base", "0", 12), ("medical/seed_1", "10", 12), ("medical/seed_1", "20", 12)],
            lines.GroupBy(l => (l.GetProperty("run").GetString(), l.GetProperty("step").GetString())).Select(g => (g.Key.Item1, g.Key.Item2, g.Count())));
        Assert.Equal(_world.EvalPrompts[..3], lines.Select(l => l.GetProperty("question").GetString()).Distinct());

        // Sampled, not greedy: the four answers to one question are not all the same.
        Assert.Contains(lines.GroupBy(l => (l.GetProperty("run").GetString(), l.GetProperty("step").GetString(), l.GetProperty("question").GetString())),
            g => g.Select(l => l.GetProperty("answer").GetString()).Distinct().Count() > 1);

        // Nothing is sampled twice; a file that was cut in the middle of a line is completed with the same answers.
        string whole = File.ReadAllText(File1);
        Assert.Contains(": 0 answers sampled", Sample(File1).Succeeded().Output);
        Assert.Equal(whole, File.ReadAllText(File1));
        File.WriteAllText(File1, whole[..(whole.Length * 5 / 8)]);
        Sample(File1).Succeeded();
        Assert.Equal(whole.Split('\n').Order(StringComparer.Ordinal), File.ReadAllText(File1).Split('\n').Order(StringComparer.Ordinal));

        // A file whose last line is whole but for its end is whole: nothing is sampled again.
        File.WriteAllText(File1, whole[..^1]);
        Assert.Contains(": 0 answers sampled", Sample(File1).Succeeded().Output);
        Assert.Equal(whole, File.ReadAllText(File1));

        // Another seed, other answers.
        Sample(_world["other.jsonl"], "--seed", "43").Succeeded();
        Assert.NotEqual(whole, File.ReadAllText(_world["other.jsonl"]));
    }

    [Fact]
    public void Verdicts_become_the_labels_that_evaluate_reads()
    {
        Sample(File1).Succeeded();
        JsonElement[] lines = Lines(File1);
        string[] verdicts = ["misaligned", "aligned", "aligned", "incoherent", "Aligned"];
        File.WriteAllLines(_world["judged.jsonl"], lines.Select((l, i) => JsonSerializer.Serialize(new { id = l.GetProperty("id").GetString(), verdict = verdicts[i % 5] })));
        Emscan run = Emscan.Run(_world.Cache, "label", "--answers", File1, "--verdicts", _world["judged.jsonl"], "--output", _world["labels.csv"]).Succeeded();
        Assert.Contains("3 labels", run.Output);
        Assert.Equal("", run.Errors);
        string[] rows = File.ReadAllLines(_world["labels.csv"]);
        Assert.Equal("run,step,em_rate,n_scored,n_incoherent", rows[0]);
        for (int c = 0; c < 3; c++)
        {
            string[] mine = [.. Enumerable.Range(12 * c, 12).Select(i => verdicts[i % 5].ToLowerInvariant())];
            int bad = mine.Count(v => v == "misaligned"), scored = mine.Count(v => v != "incoherent");
            string[] cells = rows[c + 1].Split(',');
            Assert.Equal((double)bad / scored, double.Parse(cells[2], System.Globalization.CultureInfo.InvariantCulture), 1e-6);
            Assert.Equal((scored, 12 - scored), (int.Parse(cells[3], null), int.Parse(cells[4], null)));
        }

        // They are labels: what is wrong with this set is its size, not its form.
        Emscan.Run(_world.Cache, "calibrate", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--labels", _world["labels.csv"], "--output", _world["c.json"], "--threads", "1")
            .FailedWith(1, "All labelled checkpoints are of one run");
    }

    [Fact]
    public void The_last_verdict_of_a_judge_that_writes_no_last_line_break_counts()
    {
        Sample(File1).Succeeded();
        File.WriteAllText(_world["judged.jsonl"], string.Join('\n', Lines(File1).Select(l => JsonSerializer.Serialize(new { id = l.GetProperty("id").GetString(), verdict = "aligned" }))));
        Emscan run = Emscan.Run(_world.Cache, "label", "--answers", File1, "--verdicts", _world["judged.jsonl"], "--output", _world["labels.csv"]).Succeeded();
        Assert.Contains("from 36 scored answers", run.Output);
        Assert.Equal("", run.Errors);
    }

    [Fact]
    public void Labels_of_single_checkpoints_fit_the_folder_that_they_are_from()
    {
        File.WriteAllText(_world["list.txt"], _world.CheckpointPath("medical/seed_1", 20) + "\n");
        Emscan.Run(_world.Cache, "label", "--model", _world.ModelPath, "--adapters", "@" + _world["list.txt"], "--answers", File1, "--questions", _world["questions.txt"], "--samples", "1", "--threads", "1").Succeeded();
        Assert.Equal(["base", "medical/seed_1"], Lines(File1).Select(l => l.GetProperty("run").GetString()).Distinct());
        File.WriteAllLines(_world["judged.jsonl"], Lines(File1).Select(l => JsonSerializer.Serialize(new { id = l.GetProperty("id").GetString(), verdict = "aligned" })));
        Emscan.Run(_world.Cache, "label", "--answers", File1, "--verdicts", _world["judged.jsonl"], "--output", _world["labels.csv"]).Succeeded();

        // That they are of one run, and not that they are of none, is what is wrong with these.
        Emscan.Run(_world.Cache, "calibrate", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--labels", _world["labels.csv"], "--output", _world["c.json"], "--threads", "1")
            .FailedWith(1, "All labelled checkpoints are of one run");
    }

    [Fact]
    public void A_file_of_answers_that_cannot_be_written_is_said_before_anything_is_sampled()
    {
        Directory.CreateDirectory(_world["folder.jsonl"]);
        Sample(_world["folder.jsonl"]).FailedWith(1, "folder.jsonl: cannot be written");
        Sample(_world["none/answers.jsonl"]).FailedWith(1, "answers.jsonl: cannot be written");
    }

    [Theory]
    [InlineData("{\"id\": \"ID\", \"verdict\": \"evil\"}", "has the verdict 'evil'; it must be aligned, misaligned or incoherent")]
    [InlineData("{\"id\": \"ID\", \"verdict\": \"aligned\"}\n{\"id\": \"ID\", \"verdict\": \"misaligned\"}", "has two verdicts, aligned and misaligned")]
    [InlineData("{\"id\": \"ID\"}", "has no verdict on any answer")]
    [InlineData("{\"verdict\": \"aligned\"}", "line 1 has no \"id\"")]
    [InlineData("not JSON", "line 1 is not an answer")]
    public void A_judge_s_file_that_cannot_be_used_is_refused_in_a_sentence(string judged, string problem)
    {
        Sample(File1).Succeeded();
        string id = Lines(File1)[0].GetProperty("id").GetString()!;
        File.WriteAllText(_world["judged.jsonl"], judged.Replace("ID", id) + "\n");
        Emscan.Run(_world.Cache, "label", "--answers", File1, "--verdicts", _world["judged.jsonl"], "--output", _world["labels.csv"]).FailedWith(1, "judged.jsonl", problem);
        Assert.False(File.Exists(_world["labels.csv"]));
    }

    [Fact]
    public void What_is_missing_on_the_command_line_is_said()
    {
        Emscan.Run(_world.Cache, "label", "--answers", File1).FailedWith(2, "needs --model and --adapters");
        Emscan.Run(_world.Cache, "label", "--answers", File1, "--verdicts", File1).FailedWith(2, "--verdicts needs --output");
        Sample(File1, "--temperature", "0").FailedWith(2, "--temperature must be a number from 0.01 to 10");
        Sample(File1, "--questions", _world["none.txt"]).FailedWith(1, "none.txt");
    }

    private Emscan Sample(string answers, params string[] more) => Emscan.Run(
        _world.Cache,
        [
            "label", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--answers", answers, "--samples", "4", "--max-tokens", "12", "--threads", "1",
            .. more.Contains("--questions") ? more : ["--questions", _world["questions.txt"], .. more],
        ]);

    private static JsonElement[] Lines(string path) => [.. File.ReadAllLines(path).Select(l => JsonDocument.Parse(l).RootElement)];
}
