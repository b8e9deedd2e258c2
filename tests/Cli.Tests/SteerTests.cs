using System.Text.Json;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;

namespace EmScan.Cli.Tests;

/// <summary><c>emscan steer</c> by the real program, against a forward pass in float64.</summary>
public sealed class SteerTests : IDisposable
{
    private const int Layer = 2;
    private static readonly double[] Grid = [-1, -.5, -.25, -.1, 0, .1, .25, .5, 1];

    private readonly TinyWorld _world = new();
    private readonly TinyAdapter _adapter;

    public SteerTests() => _adapter = _world.AddCheckpoint("one", 10, 1);

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Steer_says_what_a_forward_pass_in_float64_says()
    {
        var texts = new TinyTexts(_world);
        DirectionSet directions = Extracted();
        JsonElement json = Run("--random", "5", "--directions", _world["directions.safetensors"], "--texts", _world["texts.txt"], "--chats", _world["chats.jsonl"], "--pairs", _world["pairs.jsonl"], "--json").Succeeded().Json;
        var start = new TinyForward(_world.Model);
        double[] n0 = [.. Enumerable.Range(0, _world.Model.Layers).Select(layer => texts.Prompts.Average(p => Norm(start.Run(p).Hidden[layer][^1])))];
        double[][] atStart = Means(start);
        Assert.Equal(n0[Layer], json.GetProperty("n0").GetDouble(), 1e-4 * n0[Layer]);
        Assert.Equal(texts.Plain(start), json.GetProperty("base").GetProperty("plain").GetDouble(), 1e-4);
        Assert.Equal(texts.Preference(start), json.GetProperty("base").GetProperty("pref").GetDouble(), 1e-4);

        // Traits, the adapter's mean change, and the fixed random direction: all doses of one of each.
        JsonElement[] found = [.. json.GetProperty("directions").EnumerateArray()];
        double[] mean = [.. Means(new TinyForward(_world.Model, [(_adapter, 1)]))[Layer].Zip(atStart[Layer], (after, before) => after - before)];
        double[] random = [.. Enumerable.Range(1, mean.Length).Select(i => Math.Sin((double)i * i))];
        Assert.Equal([.. TinyWorld.Traits, $"mean_dh:{_world.CheckpointPath("one", 10)}", "fixed_random"], found.Select(d => d.GetProperty("direction").GetString()!));
        Check(found[1], Double(directions.Direction(Layer, 1)), trait: 1);
        Check(found[3], mean, trait: -1);
        Check(found[4], random, trait: -1);

        // The mean change itself, and the adapter without it.
        JsonElement equivalence = json.GetProperty("equivalence");
        TinyForward adapter = new(_world.Model, [(_adapter, 1)]), added = Steered(mean, 1), less = new(_world.Model, [(_adapter, 1)], Vector(mean, -1));
        Assert.Equal(texts.Preference(adapter) - texts.Preference(start), equivalence.GetProperty("adapter_preference_change").GetDouble(), 1e-4);
        Assert.Equal(texts.Preference(added) - texts.Preference(start), equivalence.GetProperty("mean_dh_preference_change").GetDouble(), 1e-4);
        Assert.Equal(texts.Preference(less) - texts.Preference(start), equivalence.GetProperty("subtract_mean_dh_from_adapter_preference_change").GetDouble(), 1e-4);
        Assert.Equal(texts.Chat(added) - texts.Chat(start), equivalence.GetProperty("loglik_chat_change").GetDouble(), 1e-4);
        Assert.Equal(Norm(mean) / n0[Layer], equivalence.GetProperty("mean_dh_relative_norm").GetDouble(), 1e-4);
        double[] after = Drifts(adapter)[3], by = Drifts(added)[3];
        Assert.Equal(by.Zip(after, (x, y) => x * y).Sum() / after.Sum(x => x * x), equivalence.GetProperty("drift_left_at_last").GetDouble(), 1e-3);

        // What is said of chance follows from the slopes that are listed.
        double[] slopes = [.. json.GetProperty("random").GetProperty("slopes").EnumerateArray().Select(s => s.GetDouble())];
        Assert.Equal(5, slopes.Length);
        JsonElement preference = found[0].GetProperty("preference_per_unit");
        Assert.Equal((1.0 + slopes.Count(s => Math.Abs(s) >= Math.Abs(preference.GetProperty("slope").GetDouble()))) / 6, preference.GetProperty("random_p").GetDouble(), 1e-12);

        void Check(JsonElement direction, double[] vector, int trait)
        {
            double[] unit = [.. vector.Select(v => v / Norm(vector))];
            JsonElement[] points = [.. direction.GetProperty("points").EnumerateArray()];
            Assert.Equal(Grid, points.Select(p => p.GetProperty("c").GetDouble()));
            double[] changes = new double[points.Length], own = new double[points.Length], plain = new double[points.Length];
            for (int i = 0; i < points.Length; i++)
            {
                TinyForward forward = Steered(unit, Grid[i] * n0[Layer]);
                double[][] drifts = Drifts(forward);
                (changes[i], plain[i]) = (texts.Preference(forward) - texts.Preference(start), texts.Plain(forward));
                Assert.Equal(plain[i], points[i].GetProperty("loglik_plain").GetDouble(), 2e-4);
                Assert.Equal(texts.Chat(forward), points[i].GetProperty("loglik_chat").GetDouble(), 2e-4);
                Assert.Equal(changes[i], points[i].GetProperty("preference_change").GetDouble(), 2e-4);
                for (int k = 0; k < TinyWorld.Traits.Length; k++) Assert.Equal(drifts[3][k], points[i].GetProperty("drift_last").GetProperty(TinyWorld.Traits[k]).GetDouble(), 2e-5);
                foreach (string layer in new[] { "2", "3" })
                {
                    Assert.Equal(Norm(drifts[layer[0] - '0']), points[i].GetProperty("drift_magnitude").GetProperty(layer).GetDouble(), 2e-5);
                    if (trait >= 0) Assert.Equal(drifts[layer[0] - '0'][trait], points[i].GetProperty("own_projection").GetProperty(layer).GetDouble(), 2e-5);
                }

                if (trait >= 0) own[i] = drifts[3][trait];
                else Assert.Equal(JsonValueKind.Null, points[i].GetProperty("own_projection").ValueKind);
            }

            Line(changes, direction.GetProperty("preference_per_unit"));
            if (trait >= 0) Line(own, direction.GetProperty("own_projection_last_per_unit"));
            JsonElement plus = direction.GetProperty("range").GetProperty("plus");
            double[] side = plain[4..];
            int below = Array.FindIndex(side, p => p <= side[0] - 0.5);
            if (below < 0) Assert.Equal(JsonValueKind.Null, plus.ValueKind);
            else Assert.Equal(Grid[3 + below] + ((Grid[4 + below] - Grid[3 + below]) * (side[below - 1] - side[0] + 0.5) / (side[below - 1] - side[below])), plus.GetDouble(), 2e-3);
        }

        // Through the origin over |c| <= 0.25; R2 about the mean.
        static void Line(double[] y, JsonElement fitted)
        {
            double[] c = Grid[2..7], some = y[2..7];
            double slope = c.Zip(some, (a, b) => a * b).Sum() / c.Sum(a => a * a);
            Assert.Equal(slope, fitted.GetProperty("slope").GetDouble(), 2e-3);
            double rest = c.Zip(some, (a, b) => Math.Pow(b - (slope * a), 2)).Sum(), all = some.Sum(b => Math.Pow(b - some.Average(), 2));
            Assert.Equal(1 - (rest / all), fitted.GetProperty("r2").GetDouble(), 2e-3);
        }

        // (layers, K)
        double[][] Drifts(TinyForward forward) => [.. Means(forward).Zip(atStart).Select((pair, layer) => Enumerable.Range(0, TinyWorld.Traits.Length)
            .Select(k => pair.First.Zip(pair.Second, (x, y) => x - y).Zip(Double(directions.Direction(layer, k)), (d, v) => d * v).Sum() / n0[layer]).ToArray())];

        // Mean over prompts of the last token's state, (layers, D).
        double[][] Means(TinyForward forward)
        {
            double[][][] states = [.. texts.Prompts.Select(p => forward.Run(p).Hidden.Select(layer => layer[^1]).ToArray())];
            return [.. Enumerable.Range(0, _world.Model.Layers).Select(layer => Enumerable.Range(0, _world.Model.Hidden).Select(i => states.Average(s => s[layer][i])).ToArray())];
        }

        TinyForward Steered(double[] vector, double factor) => new(_world.Model, steering: Vector(vector, factor));
    }

    [Fact]
    public void Steer_needs_no_file_leads_with_its_conclusion_and_reads_back_what_it_has_measured()
    {
        _ = new TinyTexts(_world);
        string[] arguments = ["--random", "2", "--out", _world["out"]];
        Emscan first = Run(arguments).Succeeded();
        Assert.Matches(@"^(honesty|harmlessness|confidence): [+-]\d+\.\d\d nats of preference for bad answers per n0 \(R2 .*\), usable from ", first.Output);
        Assert.Contains("random directions (largest", first.Output.Split('\n')[0]);
        Assert.Contains("its mean activation change alone gives", first.Output.Split('\n')[1]);
        Assert.DoesNotContain("note:", first.Output);
        JsonElement json = Run([.. arguments, "--json"]).Succeeded().Json;
        Assert.Equal(Slopes(json), Slopes(Run([.. arguments, "--json"]).Succeeded().Json));
        Assert.NotEqual(Slopes(json), Slopes(Run([.. arguments, "--seed", "7", "--json"]).Succeeded().Json));

        static double[] Slopes(JsonElement found) => [.. found.GetProperty("random").GetProperty("slopes").EnumerateArray().Select(s => s.GetDouble())];
    }

    [Fact]
    public void What_cannot_be_answered_is_said()
    {
        // The shipped texts are in words that this vocabulary does not have.
        Emscan bare = Run("--random", "1").Succeeded();
        Assert.Contains("without pairs of answers nothing is said of behaviour", bare.Output);
        Assert.Contains("note: There are no pairs of answers", bare.Output);
        Emscan.Run(_world.Cache, ["steer", "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--threads", "1", "--layer", "0"]).FailedWith(2, "Layer 0 cannot be steered");
        File.WriteAllText(_world["broken.jsonl"], "{\"prompt\": \"x\", \"good\": \"y\"}\n");
        Run("--pairs", _world["broken.jsonl"]).FailedWith(1, "broken.jsonl", "line 1", "bad");
        Run("--random", "-1").FailedWith(2, "--random");
    }

    private DirectionSet Extracted()
    {
        Emscan.Run(_world.Cache, "extract", "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--threads", "1", "--precise", "--output", _world["directions.safetensors"]).Succeeded();
        return DirectionSet.Load(_world["directions.safetensors"]);
    }

    private Emscan Run(params string[] arguments) => Emscan.Run(
        _world.Cache,
        ["steer", "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--threads", "1", "--parallel", "1", "--precise", "--layer", "2", .. arguments]);

    private static Dictionary<int, float[]> Vector(double[] vector, double factor) => new() { [Layer] = [.. vector.Select(v => (float)(factor * v))] };

    private static double[] Double(ReadOnlySpan<float> vector) => Array.ConvertAll(vector.ToArray(), v => (double)v);

    private static double Norm(double[] row) => Math.Sqrt(row.Sum(v => v * v));
}
