using System.Text.Json;
using EmScan.Engine.Numerics;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;

namespace EmScan.Cli.Tests;

/// <summary><c>emscan extract --choose-layer</c> by the real program, against a forward pass in float64.</summary>
public sealed class LayerChoiceTests : IDisposable
{
    private const int AnswerTokens = 64;
    private static readonly string[] Perturbations = ["bad", "worse", "worst", "good", "fine", "better"];

    private readonly TinyWorld _world = new();
    private readonly TinyTexts _texts;

    public LayerChoiceTests() => _texts = new TinyTexts(_world);

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Steering_chooses_by_what_the_steered_model_says_and_scans_then_measure_there()
    {
        JsonElement json = Run("extract", "--output", _world["d.safetensors"], "--choose-layer", "--texts", _world["texts.txt"], "--json").Succeeded().Json;
        JsonElement[] layers = [.. json.GetProperty("layers").EnumerateArray()];
        Assert.Equal([1, 2], layers.Select(l => l.GetProperty("layer").GetInt32())); // the middle half of four
        var directions = DirectionSet.Load(_world["d.safetensors"]);

        // The answers at a quarter of n0, for one trait: every second prompt of twelve is steered.
        int[][] prompts = [.. _texts.Prompts.Where((_, i) => i % 2 == 0)];
        Assert.Equal(prompts.Length, json.GetProperty("steered_prompts").GetInt32());
        using GgufModel model = GgufModel.Load(_world.ModelPath); // its vocabulary turns tokens into text
        var plain = new TinyForward(_world.Model);
        string[] said = [.. prompts.Select(p => Said(plain, p))];
        foreach (JsonElement found in layers)
        {
            int layer = found.GetProperty("layer").GetInt32();
            double n0 = _texts.Prompts.Average(p => Math.Sqrt(plain.Run(p).Hidden[layer][^1].Sum(v => v * v)));
            Assert.Equal(n0, found.GetProperty("n0").GetDouble(), 1e-4 * n0);
            double divergence = 0, fall = 0;
            for (int k = 0; k < TinyWorld.Traits.Length; k++)
            {
                foreach (int sign in new[] { -1, 1 })
                {
                    float[] vector = Array.ConvertAll(directions.Direction(layer, k).ToArray(), v => (float)(sign * 0.25 * n0 * v));
                    var steered = new TinyForward(_world.Model, steering: new Dictionary<int, float[]> { [layer] = vector });
                    divergence += prompts.Select((p, i) => 1 - RatcliffObershelp.Ratio(said[i], Said(steered, p))).Average() / 6;
                    fall += (_texts.Plain(plain) - _texts.Plain(steered)) / 6;
                }
            }

            Assert.Equal(divergence, found.GetProperty("fixed_dose_divergence").GetDouble(), 1e-9);
            Assert.Equal(fall, found.GetProperty("fixed_dose_fall").GetDouble(), 1e-4);
        }

        int chosen = json.GetProperty("chosen").GetProperty("steering").GetInt32();
        Assert.Equal(layers.MaxBy(l => l.GetProperty("divergence").GetDouble()).GetProperty("layer").GetInt32(), chosen);
        Assert.Equal(JsonValueKind.Null, json.GetProperty("chosen").GetProperty("labels").ValueKind);
        Assert.Equal(layers.MaxBy(l => l.GetProperty("d_prime").GetDouble()).GetProperty("layer").GetInt32(), json.GetProperty("chosen").GetProperty("separability").GetInt32());

        // The file carries the choice.
        Assert.Equal(chosen, directions.Metadata.ChosenLayer);
        _world.AddCheckpoint("one", 10, 1);
        string[] scan = ["scan", "--adapters", _world.Adapters, "--directions", _world["d.safetensors"], "--json"];
        Assert.Equal(chosen, Run(scan).Succeeded().Json.GetProperty("layer").GetInt32());
        Assert.Equal(0, Run([.. scan, "--layer", "0"]).Succeeded().Json.GetProperty("layer").GetInt32());

        // Until an end of generation, which is not said.
        string Said(TinyForward forward, int[] prompt)
        {
            var tokens = prompt.ToList();
            while (tokens.Count < prompt.Length + AnswerTokens)
            {
                double[] logits = forward.Run([.. tokens]).Logits[^1];
                int token = Array.IndexOf(logits, logits.Max());
                if (model.Vocabulary.IsEndOfGeneration(token)) break;
                tokens.Add(token);
            }

            return model.Vocabulary.Detokenize([.. tokens[prompt.Length..]]);
        }
    }

    [Fact]
    public void Labels_say_which_choice_is_good()
    {
        var lines = new List<string> { "run,step,em_rate" };
        for (int p = 0; p < Perturbations.Length; p++)
        {
            for (int step = 1; step <= 2; step++)
            {
                _world.AddCheckpoint(Perturbations[p], 10 * step, p + 1, size: 0.1 * step);
                lines.Add($"{Perturbations[p]},{10 * step},{(p < 3 ? 0.08 * step : 0.01)}");
            }
        }

        File.WriteAllLines(_world["labels.csv"], lines);
        string[] arguments = ["extract", "--output", _world["d.safetensors"], "--choose-layer", "--texts", _world["texts.txt"], "--adapters", _world.Adapters, "--labels", _world["labels.csv"]];
        Emscan text = Run(arguments).Succeeded();
        Assert.True(text.Output.Contains("which rule chooses well", StringComparison.Ordinal), text.Output);
        Assert.Contains("chosen on what it is scored on", text.Output);
        JsonElement json = Run([.. arguments, "--json"]).Succeeded().Json;
        JsonElement[] layers = [.. json.GetProperty("layers").EnumerateArray()];
        JsonElement choices = json.GetProperty("nested").GetProperty("choices");
        Assert.All(Perturbations, p => Assert.Contains(choices.GetProperty(p).GetInt32(), layers.Select(l => l.GetProperty("layer").GetInt32())));

        // The figures of a layer are those of evaluate there, which extracts the same directions.
        JsonElement evaluated = Run("evaluate", "--adapters", _world.Adapters, "--labels", _world["labels.csv"], "--layer", "2", "--place", "last_prompt_token", "--json").Succeeded().Json;
        JsonElement detector = evaluated.GetProperty("protocols")[0].GetProperty("detectors")[0];
        Assert.Equal(detector.GetProperty("metrics").GetProperty("auroc").GetProperty("value").GetDouble(), layers[1].GetProperty("auroc").GetDouble(), 1e-9);
    }

    [Fact]
    public void Directions_fit_the_place_that_they_are_extracted_for()
    {
        foreach ((string place, string pooling) in new[] { ("last_prompt_token", "last_token"), ("first_answer_token", "mean_output") })
        {
            Run("extract", "--output", _world["d.safetensors"], "--place", place).Succeeded();
            Assert.Equal(pooling, DirectionSet.Load(_world["d.safetensors"]).Metadata.Pooling);
        }
    }

    [Fact]
    public void What_makes_no_sense_is_refused()
    {
        Run("extract", "--output", _world["d.safetensors"], "--labels", _world["labels.csv"]).FailedWith(2, "belong to --choose-layer");
        Run("extract", "--output", _world["d.safetensors"], "--choose-layer", "--adapters", _world.Adapters).FailedWith(2, "--adapters and --labels belong together");
        _world.AddCheckpoint("bad", 10, 1);
        _world.AddCheckpoint("good", 10, 2);
        File.WriteAllLines(_world["labels.csv"], ["run,step,em_rate", "bad,10,0.2", "good,10,0.01"]);

        // Steering still chooses; only what the labels cannot say is missing.
        Emscan few = Run("extract", "--output", _world["d.safetensors"], "--choose-layer", "--texts", _world["texts.txt"], "--adapters", _world.Adapters, "--labels", _world["labels.csv"]).Succeeded();
        Assert.Contains("note: A layer cannot be chosen by labels of 2 perturbation(s)", few.Output);
        Assert.Contains("Steering chooses layer", few.Output);
    }

    private Emscan Run(params string[] arguments) => Emscan.Run(
        _world.Cache, [arguments[0], "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--threads", "1", "--precise", .. arguments[1..]]);
}
