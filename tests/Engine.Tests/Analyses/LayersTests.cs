using System.Text.Json.Nodes;
using EmScan.Engine.Analyses.Layers;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Tests.Analyses;

/// <summary>Sweep, bands, separability and noise against a forward pass in float64 on weights that were merged by hand.</summary>
public sealed class LayersTests : IDisposable
{
    // A GGUF file of qwen2 keeps the order of rows.
    private readonly WordWorld _world = new(new TinyModel(31, "qwen2"), traits: 2, questions: 5, evaluation: 6);
    private readonly TinyAdapter _reference;
    private readonly AdapterSource _source;

    public LayersTests()
    {
        _reference = new TinyAdapter(_world.Tiny, 32);
        _source = _world.Write(_reference, "adapter");
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public async Task Sweep_bands_and_separability_are_those_of_merged_weights()
    {
        using AnalysisSession session = AnalysisSession.Open(_world.Request with { Layer = 1 });
        DirectionSet directions = session.Context.Directions;
        JsonObject data = (await session.RunAsync(new LayersAnalysis(new LayersRequest { Adapters = [_source] }))).Data;
        JsonNode run = data["runs"]![0]!;
        double[][] full = [.. Enumerable.Range(0, _world.Tiny.Layers).Select(layer => Drift(directions, Deltas(_ => true), layer))];
        for (int layer = 0; layer < _world.Tiny.Layers; layer++)
        {
            double[][] perPrompt = PerPrompt(directions, Deltas(_ => true), layer);
            double size = Norm(full[layer]);
            double[] along = [.. perPrompt.Select(x => x.Zip(full[layer], (a, b) => a * b / size).Sum())];
            double deviation = Math.Sqrt(along.Sum(a => Math.Pow(a - along.Average(), 2)) / (along.Length - 1));
            Assert.Equal(size, Number(run["drift_magnitude"]![layer]), 1e-4 * size);
            Assert.Equal(full[layer][0], Number(run["drift"]![layer]!["honesty"]), 1e-4 * size);
            Assert.Equal(size / deviation, Number(run["consistency"]![layer]), 1e-2 * size / deviation);
            Assert.Equal(Norm([.. Deltas(block => block == layer).SelectMany(d => d.Delta)]), Number(run["delta_norm"]![layer]), 1e-5);
        }

        int at = 0, last = _world.Tiny.Layers - 1;
        for (int first = 0; first < _world.Tiny.Layers; first++)
        {
            for (int end = first; end < _world.Tiny.Layers; end++, at++)
            {
                foreach ((string name, bool kept) in new[] { ("keep", true), ("drop", false) })
                {
                    JsonNode band = run[name]![at]!;
                    Assert.Equal((first, end), ((int)Number(band["first"]), (int)Number(band["last"])));
                    double here = Left(1), atLast = Left(last);
                    Assert.Equal(here, Number(band["left_at_1"]), 2e-4);
                    Assert.Equal(here, Number(band["left_at_layer"]), 2e-4);
                    Assert.Equal(atLast, Number(band["left_at_last"]), 2e-4);
                    if (kept && first > 1) Assert.Equal(0, Number(band["left_at_1"]));

                    double Left(int layer)
                    {
                        double[] x = Drift(directions, Deltas(block => (block >= first && block <= end) == kept), layer);
                        return x.Zip(full[layer], (a, b) => a * b).Sum() / full[layer].Sum(v => v * v);
                    }
                }
            }
        }

        AssertSeparability(session, data["separability"]!["confidence"]!, 1);
        Assert.Null(run["preference_full"]);
    }

    [Fact]
    public async Task Noise_is_that_of_its_seeds_and_its_errors_are_over_draws()
    {
        using AnalysisSession session = AnalysisSession.Open(_world.Request with { Layer = 1 });
        DirectionSet directions = session.Context.Directions;
        var asked = new LayersRequest { Adapters = [_source], NoiseSizes = [4, 0.5, 1], Draws = 3, Seed = 5 };
        JsonArray rows = (JsonArray)(await session.RunAsync(new LayersAnalysis(asked))).Data["rows"]!;

        // Both shapes of 0.5 and 1 in every block and in all of them, each with a control; of 4 one shape, in the blocks up to layer 1 and in all.
        int blocks = _world.Tiny.Layers + 1;
        Assert.Equal((2 * ((2 * blocks) + 1)) + 3, rows.Count);
        LoraAdapter adapter = AdapterReader.Open(_source.Path, session.Context.ModelFile);
        double[] full = Drift(directions, Deltas(_ => true), 1);
        foreach ((string kind, double size, int[] layers, bool with) in new[] { ("rank_4", 1.0, new[] { 1 }, true), ("gaussian", 4.0, [.. Enumerable.Range(0, _world.Tiny.Layers)], true), ("gaussian", 1.0, [.. Enumerable.Range(0, _world.Tiny.Layers)], false) })
        {
            JsonNode row = rows.Single(r => (string?)r!["kind"] == kind && Number(r["relative_size"]) == size && (bool)r["with_adapter"]! == with && r["layers"]!.AsArray().Select(l => (int)l!).SequenceEqual(layers))!;
            double[] left = [.. Enumerable.Range(0, 3).Select(draw =>
            {
                var noise = new WeightNoise(_source, kind == "gaussian" ? WeightNoiseKind.Gaussian : WeightNoiseKind.LowRank, size, 5 + draw, layers.Length == 1 ? new LayerBand(1, 1) : null);
                IEnumerable<(string, double[])> made = WeightChanges.Noise(adapter, noise)!.Tensors.Select(t => (Module(t.Name), Array.ConvertAll(WeightChanges.Dense(t, adapter.Alpha), v => (double)v)));
                double[] x = Drift(directions, with ? Deltas(_ => true).Concat(made) : made, 1);
                return x.Zip(full, (a, b) => a * b).Sum() / full.Sum(v => v * v);
            })];
            double mean = left.Average(), sd = Math.Sqrt(left.Sum(l => (l - mean) * (l - mean)) / 2);
            Assert.Equal(mean, Number(row["left_at_1"]), 5e-4);
            Assert.Equal(sd, Number(row["left_at_1_sd"]), 5e-4);
            Assert.Equal(sd / Math.Sqrt(3), Number(row["left_at_1_se"]), 5e-4);
        }
    }

    [Fact]
    public void What_is_the_same_model_is_one_variant()
    {
        LoraAdapter adapter = AdapterReader.Open(_source.Path, GgufFile.Open(_world["model.gguf"]));
        var bands = new LayerBands(_source, adapter, _world.Tiny.Layers, 8);
        int last = _world.Tiny.Layers - 1;
        Assert.Same(bands.Full, bands.Keep((0, last)));
        Assert.Same(Variant.Base, bands.Drop((0, last)));
        Assert.Same(bands.Keep((1, last)), bands.Drop((0, 0)));
        Assert.Same(bands.Keep((0, 0)), bands.Drop((1, last)));

        // An adapter of block 1 alone.
        var some = new LayerBands(_source, WeightChanges.In(new LayerBand(1, 1), adapter)!, _world.Tiny.Layers, 8);
        Assert.Same(some.Full, some.Keep((0, 1)));
        Assert.Same(Variant.Base, some.Keep((0, 0)));
        Assert.Same(some.Full, some.Drop((0, 0)));

        // 32 blocks in 8 pieces: bands begin at multiples of 4.
        var coarse = new LayerBands(_source, adapter, 32, 8);
        Assert.Equal((4, 7), coarse.Pieces[1]);
        Assert.Equal(36, coarse.All.Count);
    }

    private void AssertSeparability(AnalysisSession session, JsonNode found, int layer)
    {
        Trait trait = session.Context.TraitSet!.Traits[1];
        var forward = new TinyForward(_world.Tiny);
        (double[] State, bool Positive, bool Odd)[] rows = [.. new[] { (trait.PositivePrompts, true), (trait.NegativePrompts, false) }.SelectMany(pole => pole.Item1.SelectMany(system =>
            session.Context.TraitSet.Questions.Select((question, q) => (forward.Run(session.Context.Prompts!.Encode(system, question)).Hidden[layer][^1], pole.Item2, q % 2 == 1))))];
        double[] direction = Array.ConvertAll(session.Context.Directions.Direction(layer, 1).ToArray(), v => (double)v);
        double[] Along(double[] v, bool positive) => [.. rows.Where(r => r.Positive == positive).Select(r => r.State.Zip(v, (a, b) => a * b).Sum())];
        double[] above = Along(direction, true), below = Along(direction, false);
        double Variance(double[] x) => x.Sum(v => Math.Pow(v - x.Average(), 2)) / (x.Length - 1);
        double dPrime = (above.Average() - below.Average()) / Math.Sqrt((Variance(above) + Variance(below)) / 2);
        Assert.Equal(dPrime, Number(found["d_prime"]![layer]), 1e-3 * dPrime);
        Assert.Equal(1, Number(found["cosine_with_stored_direction"]![layer]), 1e-5);
        int right = 0;
        foreach (bool odd in new[] { false, true })
        {
            double[] Mean(bool positive, bool half) => [.. Enumerable.Range(0, direction.Length).Select(d => rows.Where(r => r.Positive == positive && r.Odd == half).Average(r => r.State[d]))];
            double[] up = Mean(true, odd), down = Mean(false, odd), v = [.. up.Zip(down, (a, b) => a - b)];
            double middle = up.Zip(down, (a, b) => (a + b) / 2).Zip(v, (a, b) => a * b).Sum();
            right += rows.Count(r => r.Odd != odd && r.State.Zip(v, (a, b) => a * b).Sum() > middle == r.Positive);
        }

        Assert.Equal(right / (double)rows.Length, Number(found["split_half_accuracy"]![layer]), 1e-9);
    }

    private double[][] PerPrompt(DirectionSet directions, IEnumerable<(string Module, double[] Delta)> changes, int layer)
    {
        TinyForward before = new(_world.Tiny), after = new(_world.Tiny, changes);
        int[][] prompts = [.. _world.Prompts];
        double n0 = prompts.Average(p => Norm(before.Run(p).Hidden[layer][^1]));
        return [.. prompts.Select(p =>
        {
            double[] dh = [.. after.Run(p).Hidden[layer][^1].Zip(before.Run(p).Hidden[layer][^1], (a, b) => a - b)];
            return Enumerable.Range(0, 2).Select(k => dh.Zip(directions.Direction(layer, k).ToArray(), (a, b) => a * b).Sum() / n0).ToArray();
        })];
    }

    private double[] Drift(DirectionSet directions, IEnumerable<(string Module, double[] Delta)> changes, int layer)
    {
        double[][] x = PerPrompt(directions, changes, layer);
        return [.. Enumerable.Range(0, 2).Select(k => x.Average(row => row[k]))];
    }

    private IEnumerable<(string Module, double[] Delta)> Deltas(Func<int, bool> blocks) =>
        _reference.Deltas().Where(d => blocks(int.Parse(d.Module.Split('.')[2], System.Globalization.CultureInfo.InvariantCulture)));

    private static string Module(string tensor) => tensor.Split('.') is var parts ? $"model.layers.{parts[1]}.self_attn.{parts[2].Replace("attn_", "", StringComparison.Ordinal)}_proj" : "";

    private static double Norm(double[] values) => Math.Sqrt(values.Sum(v => v * v));

    private static double Number(JsonNode? node) => node!.GetValueKind() == System.Text.Json.JsonValueKind.Number ? double.Parse(node.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture) : double.NaN;
}
