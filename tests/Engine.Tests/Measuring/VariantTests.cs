using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Measuring;

/// <summary>Every kind of variant against weights that were merged by hand and a forward pass in float64.</summary>
public sealed class VariantTests : IDisposable
{
    private readonly MeasuringWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public void A_weighted_sum_is_the_sum_of_weight_changes()
    {
        AssertGives(Variant.Sum(_world.First, 0.6, _world.Second, -0.7), new TinyForward(_world.Tiny, [(_world.FirstReference, 0.6), (_world.SecondReference, -0.7)]));
        AssertGives(Variant.Base, new TinyForward(_world.Tiny));
    }

    /// <summary>Results are remembered by it: what is measured differently is never called the same, nor the same differently.</summary>
    [Fact]
    public void An_identity_tells_variants_apart_and_knows_no_order()
    {
        ControlVector Vector(float value) => new(_world.Tiny.Hidden, new Dictionary<int, float[]> { [1] = [.. Enumerable.Repeat(value, _world.Tiny.Hidden)] });
        Variant[] different =
        [
            Variant.Base, Variant.Of(_world.First), Variant.Of(_world.First, -1), Variant.Of(_world.First, 0.5), Variant.Of(_world.Second),
            Variant.Sum(_world.First, 1, _world.Second, 1), Variant.Sum(_world.First, 1, _world.Second, -1), new([new VariantTerm(_world.First, 1, new LayerBand(1, 2))]),
            new([], null, Vector(1)), new([], null, Vector(2)), new([new VariantTerm(_world.First, 1)], null, Vector(2)),
        ];
        Assert.Equal(different.Length, different.Select(v => v.Identity).Distinct().Count());
        Assert.Equal([true, .. Enumerable.Repeat(false, different.Length - 1)], different.Select(v => v.IsBase));
        Assert.Equal(Variant.Sum(_world.First, 0.6, _world.Second, -0.7).Identity, Variant.Sum(_world.Second, -0.7, _world.First, 0.6).Identity);
        Assert.Equal(Variant.Base.Identity, Variant.Of(_world.First, 0).Identity);
    }

    [Theory]
    [InlineData(1, 2, true)]
    [InlineData(0, 0, false)]
    public void A_band_changes_its_blocks_only(int first, int last, bool inside)
    {
        var band = new LayerBand(first, last, inside);
        var variant = new Variant([new VariantTerm(_world.First, 1.5, band)]);
        AssertGives(variant, new TinyForward(_world.Tiny, Deltas(1.5).Where(d => (BlockOf(d.Module) >= first && BlockOf(d.Module) <= last) == inside)));
    }

    [Theory]
    [InlineData(0.03, false)]
    [InlineData(0.03, true)]
    public void A_mask_keeps_the_largest_coordinates_of_all_weights_together(double share, bool inverted)
    {
        (string Module, double[] Delta)[] deltas = [.. Deltas(1)];
        double[] sizes = [.. deltas.SelectMany(d => d.Delta).Select(Math.Abs).OrderDescending()];
        double border = sizes[(int)Math.Ceiling(share * sizes.Length) - 1];
        var variant = new Variant([new VariantTerm(_world.First, 1, null, new WeightMask(WeightMaskKind.Largest, share, 0, inverted))]);
        AssertGives(variant, new TinyForward(_world.Tiny, deltas.Select(d => (d.Module, Array.ConvertAll(d.Delta, v => Math.Abs(v) >= border * (1 - 1e-7) != inverted ? v : 0)))));
    }

    [Fact]
    public void A_random_mask_keeps_exactly_its_share_and_follows_its_seed()
    {
        LoraAdapter adapter = AdapterReader.Open(_world.First.Path, _world.File);
        float[] Kept(int seed) => [.. WeightChanges.Masked(adapter, new WeightMask(WeightMaskKind.Random, 0.1, seed))!.Tensors.SelectMany(t => WeightChanges.Dense(t, adapter.Alpha))];
        long total = adapter.Tensors.Sum(t => (long)t.InputSize * t.OutputSize);
        Assert.Equal((int)Math.Ceiling(0.1 * total), Kept(1).Count(v => v != 0));
        Assert.Equal(Kept(1), Kept(1));
        Assert.NotEqual(Kept(1), Kept(2));
    }

    [Theory]
    [InlineData(nameof(WeightNoiseKind.Gaussian))]
    [InlineData(nameof(WeightNoiseKind.LowRank))]
    public void Noise_is_orthogonal_to_the_change_of_its_size_and_seeded(string kind)
    {
        LoraAdapter adapter = AdapterReader.Open(_world.First.Path, _world.File);
        var noise = new WeightNoise(_world.First, Enum.Parse<WeightNoiseKind>(kind), 2.5, 7);
        LoraAdapter made = WeightChanges.Noise(adapter, noise)!;
        var changes = new List<(string, double[])>();
        foreach ((LoraTensor random, LoraTensor tensor) in made.Tensors.Zip(adapter.Tensors))
        {
            double[] n = Array.ConvertAll(WeightChanges.Dense(random, made.Alpha), v => (double)v);
            double[] d = Array.ConvertAll(WeightChanges.Dense(tensor, adapter.Alpha), v => (double)v);
            double norm = Math.Sqrt(d.Sum(v => v * v)), size = Math.Sqrt(n.Sum(v => v * v));
            Assert.Equal(2.5 * norm, size, 1e-5 * size);
            Assert.Equal(0, n.Zip(d, (x, y) => x * y).Sum() / (norm * size), 1e-5);
            changes.Add((Module(tensor.Name), n));
        }

        AssertGives(new Variant([new VariantTerm(_world.First)], noise), new TinyForward(_world.Tiny, Deltas(1).Concat(changes)));
        AssertGives(new Variant([], noise), new TinyForward(_world.Tiny, changes));
        Assert.Equal(made.Tensors[0].A, WeightChanges.Noise(adapter, noise)!.Tensors[0].A);
        Assert.NotEqual(made.Tensors[0].A, WeightChanges.Noise(adapter, noise with { Seed = 8 })!.Tensors[0].A);

        // A band has the numbers that all layers have.
        LoraAdapter some = WeightChanges.Noise(adapter, noise with { Layers = new LayerBand(2, 2) })!;
        Assert.Equal(made.Tensors.Single(t => t.Name == some.Tensors[0].Name).A, some.Tensors[0].A);
    }

    [Fact]
    public void Steering_is_added_at_its_layer_and_gone_afterwards()
    {
        var random = new Random(3);
        float[] vector = [.. Enumerable.Range(0, _world.Tiny.Hidden).Select(_ => (float)TinyModel.Gaussian(random))];
        var steering = new ControlVector(_world.Tiny.Hidden, new Dictionary<int, float[]> { [1] = vector });
        AssertGives(new Variant([new VariantTerm(_world.First, 0.5)], null, steering), new TinyForward(_world.Tiny, [(_world.FirstReference, 0.5)], new Dictionary<int, float[]> { [1] = vector }));
        AssertGives(Variant.Base, new TinyForward(_world.Tiny));
    }

    [Fact]
    public void The_cosine_of_two_changes_needs_their_factors_only()
    {
        LoraAdapter first = AdapterReader.Open(_world.First.Path, _world.File), second = AdapterReader.Open(_world.Second.Path, _world.File);
        double[] x = [.. _world.FirstReference.Deltas().OrderBy(d => d.Module, StringComparer.Ordinal).SelectMany(d => d.Delta)];
        double[] y = [.. _world.SecondReference.Deltas().OrderBy(d => d.Module, StringComparer.Ordinal).SelectMany(d => d.Delta)];
        double expected = x.Zip(y, (a, b) => a * b).Sum() / Math.Sqrt(x.Sum(a => a * a) * y.Sum(b => b * b));
        Assert.Equal(expected, WeightChanges.Cosine(first, second), 1e-7);
        Assert.Equal(1, WeightChanges.Cosine(first, first), 1e-12);
    }

    [Fact]
    public void Keys_name_what_numbers_depend_on_and_nothing_else()
    {
        Cell cell = CellOf(Variant.Sum(_world.First, 0.5, _world.Second, 2));
        CellKey key = cell.Key(_world.Identity);
        Assert.Equal(key, CellOf(Variant.Sum(_world.Second, 2, _world.First, 0.5)).Key(_world.Identity)); // a sum has no order
        Assert.Equal(CellOf(Variant.Base).Key(_world.Identity), CellOf(Variant.Sum(_world.First, 0, _world.Second, 0)).Key(_world.Identity));
        CellKey[] others =
        [
            CellOf(Variant.Of(_world.First)).Key(_world.Identity), CellOf(Variant.Of(_world.First, 0.5)).Key(_world.Identity),
            CellOf(new Variant([new VariantTerm(_world.First, 1, new LayerBand(0, 1))])).Key(_world.Identity), CellOf(cell.Variant, layer: 1).Key(_world.Identity),
            new Cell(cell.Variant, new PromptSet("p", cell.Prompts.Prompts, RowPooling.MeanOfPrompt), 2, cell.Reducer).Key(_world.Identity),
            cell.Key(_world.Identity with { NumericMode = "fast, CPU" }), cell.Key(_world.Identity with { Fingerprint = new string('b', 64) }),
            new Cell(cell.Variant, PromptSet.All("p", _world.Sequences[..2]), 2, cell.Reducer).Key(_world.Identity), new Cell(cell.Variant, cell.Prompts, 2, new DifferenceReducer()).Key(_world.Identity),
        ];
        Assert.Equal(others.Length + 1, others.Append(key).Distinct().Count());
    }

    private Cell CellOf(Variant variant, int layer = 2) => new(variant, new PromptSet("prompts", [.. _world.Sequences.Select(CapturePrompt.Last)]), layer, new ProjectionReducer(_world.Directions, 2));

    private void AssertGives(Variant variant, TinyForward forward)
    {
        Cell[] cells = [.. Enumerable.Range(0, _world.Tiny.Layers).Select(layer => CellOf(variant, layer))];
        CellResult[] results = _world.Measure(cells);
        for (int layer = 0; layer < cells.Length; layer++)
        {
            double[][] rows = [.. MeasuringWorld.Rows(forward, cells[layer].Prompts, layer)];
            for (int p = 0; p < rows.Length; p++)
            {
                double norm = Math.Sqrt(rows[p].Sum(v => v * v));
                Assert.Equal(norm, results[layer]["norms"][p], 2e-5 * norm);
                for (int k = 0; k < 2; k++)
                {
                    double expected = rows[p].Select((v, d) => v * _world.Directions[(k * rows[p].Length) + d]).Sum();
                    Assert.Equal(expected, results[layer]["projections"][(p * 2) + k], 2e-5 * norm * Math.Sqrt(rows[p].Length));
                }
            }
        }
    }

    private IEnumerable<(string Module, double[] Delta)> Deltas(double scale) => _world.FirstReference.Deltas().Select(d => (d.Module, Array.ConvertAll(d.Delta, v => scale * v)));

    private static int BlockOf(string module) => int.Parse(module.Split('.')[2], System.Globalization.CultureInfo.InvariantCulture);

    private static string Module(string tensor) => tensor.Split('.') is var parts ? $"model.layers.{parts[1]}.self_attn.{parts[2].Replace("attn_", "", StringComparison.Ordinal)}_proj" : "";
}
