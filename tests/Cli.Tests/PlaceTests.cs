using System.Text.Json;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>States taken on the base's own answers: scan, calibration and what their files say of it.</summary>
public sealed class PlaceTests : IDisposable
{
    private const int Layer = 2;
    private readonly TinyWorld _world = new(5);

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData("first_answer_token")]
    [InlineData("mean_answer")]
    public void Drifts_on_the_base_s_answers_equal_those_of_a_float64_forward_pass(string place)
    {
        TinyAdapter adapter = _world.AddCheckpoint("medical/seed_1", 10, 3);
        string file = _world["directions.safetensors"];
        Emscan.Run(_world.Cache, "extract", "--model", _world.ModelPath, "--precise", "--threads", "1", "--output", file).Succeeded();
        JsonElement json = _world.Scan("--precise", "--json", "--directions", file, "--layer", $"{Layer}", "--place", place).Succeeded().Json;
        Assert.Equal((place, "last_token"), (json.GetProperty("place").GetString(), json.GetProperty("directions_pooling").GetString()));

        // The answers are greedy: every token is the largest logit of what comes before it, and they end where the model ends them.
        var forward = new TinyForward(_world.Model);
        int[][] answers = Answers();
        Assert.Equal(_world.EvalPrompts.Length, answers.Length);
        Assert.Contains(answers, a => a.Length > 1);
        for (int p = 0; p < answers.Length; p++)
        {
            int[] prompt = Encode(_world.EvalPrompts[p]);
            double[][] logits = forward.Run([.. prompt, .. answers[p]]).Logits;
            for (int i = 0; i < answers[p].Length; i++) Assert.Equal(ArgMax(logits[prompt.Length - 1 + i]), answers[p][i]);
            if (answers[p].Length < 64) Assert.Equal(5, ArgMax(logits[^1]));
        }

        float[] directions = Safetensors.ReadLayer(file, Layer);
        double[][][] baseline = States(forward, answers, place), tuned = States(new TinyForward(_world.Model, [(adapter, 1)]), answers, place);
        double n0 = baseline.Average(rows => rows.Average(h => Math.Sqrt(h.Sum(v => v * v))));
        Assert.Equal(n0, json.GetProperty("step0_activation_norm").GetDouble(), n0 * 1e-5);
        JsonElement drift = json.GetProperty("runs")[0].GetProperty("trajectory")[1].GetProperty("drift");
        for (int k = 0; k < TinyWorld.Traits.Length; k++)
        {
            double Project(double[][][] states) => states.Average(rows => rows.Average(h => h.Select((v, i) => v * directions[(k * h.Length) + i]).Sum()));
            Assert.Equal((Project(tuned) - Project(baseline)) / n0, drift.GetProperty(TinyWorld.Traits[k]).GetDouble(), 2e-5);
        }
    }

    [Fact]
    public void Answers_go_with_directions_of_answers_and_both_are_made_once()
    {
        _world.AddCheckpoint("medical/seed_1", 10, 3);
        JsonElement first = _world.Scan("--json", "--place", "mean_answer", "--out", _world["out"]).Succeeded().Json;
        Assert.Equal("mean_output", first.GetProperty("directions_pooling").GetString());
        JsonElement trajectory = JsonDocument.Parse(File.ReadAllText(_world["out/medical/seed_1/trajectory.json"])).RootElement;
        Assert.Equal(("mean_answer", "mean_output"), (trajectory.GetProperty("place").GetString(), trajectory.GetProperty("directions_pooling").GetString()));
        DateTime made = File.GetLastWriteTimeUtc(Directory.GetFiles(Path.Combine(_world.Cache, "answers")).Single());

        Emscan again = _world.Scan("--place", "mean_answer").Succeeded();
        Assert.Contains("mean over the answer", again.Output);
        Assert.Contains("directions (mean_output) extracted from the model", again.Output);
        Assert.Equal("", again.Errors);
        Assert.Equal(made, File.GetLastWriteTimeUtc(Directory.GetFiles(Path.Combine(_world.Cache, "answers")).Single()));

        // Another place is another measurement: nothing of it is taken from the record of the first.
        Assert.DoesNotContain("taken from an earlier scan", _world.Scan("--place", "first_answer_token").Succeeded().Output);
    }

    [Fact]
    public void Damaged_answers_in_the_cache_are_generated_again()
    {
        _world.AddCheckpoint("medical/seed_1", 10, 3);
        string expected = _world.Scan("--csv", "--place", "mean_answer").Succeeded().Output;
        string file = Directory.GetFiles(Path.Combine(_world.Cache, "answers")).Single();
        foreach (string damage in (string[])["{", "{\"format\":\"emscan-answers\",\"version\":1,\"answers\":[[99999999]]}", "[]"])
        {
            File.WriteAllText(file, damage);
            Emscan run = _world.Scan("--csv", "--place", "mean_answer").Succeeded();
            Assert.Equal(expected, run.Output);
            Assert.Contains("is damaged; the base's answers are generated again", run.Errors);
        }
    }

    [Fact]
    public void Explain_counts_answers_that_are_not_there_yet_with_their_longest()
    {
        _world.AddCheckpoint("medical/seed_1", 10, 3);
        Emscan before = _world.Scan("--explain", "--place", "mean_answer").Succeeded();
        Assert.Contains("counted with 64 tokens", before.Output + before.Errors);
        Assert.False(Directory.Exists(Path.Combine(_world.Cache, "answers")));
        _world.Scan("--place", "mean_answer").Succeeded();
        Emscan after = _world.Scan("--explain", "--place", "mean_answer").Succeeded();
        Assert.DoesNotContain("counted with 64 tokens", after.Output + after.Errors);
    }

    [Fact]
    public void An_unknown_place_is_a_usage_error() =>
        _world.Scan("--place", "somewhere").FailedWith(2);

    private int[][] Answers()
    {
        string file = Directory.GetFiles(Path.Combine(_world.Cache, "answers")).Single();
        return JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("answers").Deserialize<int[][]>()!;
    }

    // bos, user, words, end, assistant: the chat template of TinyModel.
    private static int[] Encode(string prompt) => [1, 3, .. prompt.Split(' ').Select(w => ((w[1] - 'a') * 26) + (w[2] - 'a')), 5, 4];

    private double[][][] States(TinyForward forward, int[][] answers, string place) => [.. _world.EvalPrompts.Zip(answers, (text, answer) =>
    {
        int[] prompt = Encode(text);
        double[][] rows = forward.Run([.. prompt, .. answer]).Hidden[Layer];
        return answer.Length == 0 ? [rows[prompt.Length - 1]] : place == "mean_answer" ? rows[prompt.Length..] : rows[prompt.Length..(prompt.Length + 1)];
    })];

    private static int ArgMax(double[] values) => Array.IndexOf(values, values.Max());
}
