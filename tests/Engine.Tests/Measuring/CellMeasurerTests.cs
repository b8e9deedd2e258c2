using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Measuring;

public sealed class CellMeasurerTests : IDisposable
{
    private readonly MeasuringWorld _world = new();
    private readonly Variant _variant;
    private readonly PromptSet _all;

    public CellMeasurerTests()
    {
        _variant = Variant.Of(_world.First);
        _all = PromptSet.All("all", _world.Sequences);
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Differences_are_those_of_a_forward_pass_in_float64()
    {
        TinyForward before = new(_world.Tiny), after = new(_world.Tiny, [(_world.FirstReference, 1)]);
        foreach (int layer in new[] { 0, 3 })
        {
            CellResult[] results = _world.Measure(
                [new(_variant, _all, layer, new DifferenceReducer()), new(_variant, _all, layer, new GroupReducer(RowGrouping.Token)), new(_variant, _all, layer, new GroupReducer(RowGrouping.Position))]);
            double[][] b = [.. MeasuringWorld.Rows(before, _all, layer)], a = [.. MeasuringWorld.Rows(after, _all, layer)];
            double[][] d = [.. a.Zip(b, (x, y) => x.Zip(y, (p, q) => p - q).ToArray())];
            double[] mean = Mean(d);
            double energy = d.Average(Square);
            Assert.Equal(d.Length, results[0]["rows"][0]);
            Assert.Equal(b.Average(row => Math.Sqrt(Square(row))), results[0]["base_norm"][0], 1e-4);
            Assert.Equal(d.Average(row => Math.Sqrt(Square(row))), results[0]["mean_norm"][0], 1e-4);
            Assert.Equal(energy, results[0]["energy"][0], 1e-4 * energy);
            for (int i = 0; i < mean.Length; i++) Assert.Equal(mean[i], results[0]["mean"][i], 1e-4);

            int[] tokens = [.. _all.Prompts.SelectMany(p => p.Tokens)], positions = [.. _all.Prompts.SelectMany(p => p.Positions)];
            AssertGroups(d, tokens, results[1]);
            AssertGroups(d, positions, results[2]);
        }
    }

    [Fact]
    public void However_rows_are_cut_into_pieces_and_layers_into_passes_the_result_is_the_same()
    {
        Cell[] cells =
        [
            .. Enumerable.Range(0, 4).SelectMany(layer => new Cell[]
            {
                new(_variant, _all, layer, new DifferenceReducer()), new(_variant, _all, layer, new SpectrumReducer(new SpectrumOptions(true, true))),
                new(_variant, _all, layer, new ProjectionReducer(_world.Directions, 2)),
                new(_variant, new PromptSet("pooled", _all.Prompts, RowPooling.MeanOfPrompt), layer, new DifferenceReducer()),
            }),
            new(_variant, PromptSet.Scored("scored", _world.Sequences, (_, _) => true), new LogLikelihoodReducer()),
        ];
        CellResult[] whole = _world.Measure(cells);

        // Room for two rows of the base at a time, so that prompts are split too, and for one accumulator at a time.
        CellResult[] pieces = _world.Measure(cells, new MeasuringLimits(2 * 4 * _world.Tiny.Hidden * sizeof(float), 1));
        for (int c = 0; c < cells.Length; c++)
        {
            foreach (string part in new[] { "mean", "mean_norm", "energy", "projections", "norms", "uncentred.energy_share", "position_centred.participation_ratio", "whitened.centred.energy_share", "sum", "count" })
            {
                Assert.Equal(whole[c].Find(part) == null, pieces[c].Find(part) == null);
                if (whole[c].Find(part) is not { } expected) continue;
                double size = Math.Sqrt(expected.Average(v => v * v));
                for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], pieces[c][part][i], 2e-4 * Math.Max(size, 1));
            }
        }
    }

    [Fact]
    public void Many_prompts_together_give_what_each_gives_alone()
    {
        var scored = PromptSet.Scored("scored", _world.Sequences, (_, _) => true);
        CellResult together = _world.Measure([new(_variant, scored, new LogLikelihoodReducer())])[0];
        var forward = new TinyForward(_world.Tiny, [(_world.FirstReference, 1)]);
        for (int p = 0; p < _world.Sequences.Length; p++)
        {
            CellResult alone = _world.Measure([new(_variant, PromptSet.Scored("one", [_world.Sequences[p]], (_, _) => true), new LogLikelihoodReducer())])[0];
            double[][] logits = forward.Run(_world.Sequences[p]).Logits;
            double expected = Enumerable.Range(1, _world.Sequences[p].Length - 1)
                .Sum(t => logits[t - 1][_world.Sequences[p][t]] - logits[t - 1].Max() - Math.Log(logits[t - 1].Sum(l => Math.Exp(l - logits[t - 1].Max()))));
            Assert.Equal(_world.Sequences[p].Length - 1, together["count"][p]);
            Assert.Equal(expected, together["sum"][p], 2e-4 * together["count"][p]);
            Assert.Equal(alone["sum"][0], together["sum"][p], 1e-4);
        }
    }

    [Fact]
    public void Pooled_rows_are_means_over_positions()
    {
        var pooled = new PromptSet("pooled", [CapturePrompt.From(_world.Sequences[8], 4), new CapturePrompt(_world.Sequences[3], [1, 3])], RowPooling.MeanOfPrompt);
        CellResult result = _world.Measure([new(_variant, pooled, 1, new DifferenceReducer())])[0];
        TinyForward before = new(_world.Tiny), after = new(_world.Tiny, [(_world.FirstReference, 1)]);
        double[][] means = [.. pooled.Prompts.Select(prompt =>
        {
            double[][] a = after.Run(prompt.Tokens).Hidden[1], b = before.Run(prompt.Tokens).Hidden[1];
            return Mean([.. prompt.Positions.Select(p => a[p].Zip(b[p], (x, y) => x - y).ToArray())]);
        })];
        Assert.Equal(2, result["rows"][0]);
        Assert.Equal(means.Average(m => Math.Sqrt(Square(m))), result["mean_norm"][0], 1e-4);
    }

    private static void AssertGroups(double[][] d, int[] group, CellResult result)
    {
        double[] mean = Mean(d);
        Dictionary<int, double[]> means = group.Distinct().ToDictionary(g => g, g => Mean([.. d.Where((_, i) => group[i] == g)]));
        double within = d.Select((row, i) => Square([.. row.Zip(means[group[i]], (x, y) => x - y)])).Sum();
        double total = d.Sum(row => Square([.. row.Zip(mean, (x, y) => x - y)])), energy = d.Sum(Square);
        int n = d.Length, k = means.Count;
        Assert.Equal(k, result["groups"][0]);
        Assert.Equal(1 - (within / energy), result["energy_share"][0], 1e-5);
        Assert.Equal(1 - (within / total), result["variance_share"][0], 1e-5);
        Assert.Equal(1 - (within / (n - k) / (total / (n - 1))), result["variance_share_adjusted"][0], 1e-4);
        Assert.Equal(means.Keys.Order().Select(g => (double)group.Count(x => x == g)), result["count"]);
    }

    private static double Square(double[] row) => row.Sum(v => v * v);

    private static double[] Mean(double[][] rows) => [.. Enumerable.Range(0, rows[0].Length).Select(i => rows.Average(row => row[i]))];
}
