using System.Globalization;
using System.Numerics.Tensors;
using System.Text.Json.Nodes;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Layers;

/// <summary>What random weight changes beside an adapter leave of its drift, by their size and place.</summary>
/// <remarks>
/// Up to the adapter's own size every shape is drawn, in every piece of the blocks and in all of them; larger noise in the first shape only, and in the
/// pieces that the measured layer sees. Noise without the adapter is the control of the size nearest to 1.
/// </remarks>
internal sealed class NoiseGrid
{
    private readonly LayerProbe _probe;
    private readonly int _layer;
    private readonly Variant _full;
    private readonly List<Row> _rows = [];

    internal NoiseGrid(AdapterSource source, LoraAdapter adapter, LayerProbe probe, LayerBands bands, int layer, LayersRequest request, IReadOnlyList<WeightNoiseKind> kinds)
    {
        (_probe, _layer, _full) = (probe, layer, bands.Full);
        int rank = adapter.Tensors.GroupBy(t => t.Rank).MaxBy(group => group.Count())!.Key;
        double[] sizes = [.. request.NoiseSizes.Distinct().Order()];
        double control = sizes.MinBy(size => Math.Abs(Math.Log(size)));
        HashSet<int> touched = [.. adapter.Tensors.Select(t => WeightName.BlockOf(t.Name)).OfType<int>()];
        (int First, int Last)[] pieces = [.. bands.Pieces.Where(piece => touched.Any(block => block >= piece.First && block <= piece.Last))];
        (int First, int Last) all = (bands.Pieces[0].First, bands.Pieces[^1].Last);
        foreach (double[] some in new[] { Array.FindAll(sizes, size => size <= 1), Array.FindAll(sizes, size => size > 1) })
        {
            bool large = some.Length > 0 && some[0] > 1;
            foreach (WeightNoiseKind kind in large ? kinds.Take(1) : kinds)
            {
                foreach (double size in some)
                {
                    foreach ((int First, int Last) piece in pieces.Where(piece => !large || piece.First <= layer).Append(all)) Add(piece, size, kind, withAdapter: true);
                    if (size == control) Add(all, size, kind, withAdapter: false);
                }
            }
        }

        void Add((int First, int Last) band, double size, WeightNoiseKind kind, bool withAdapter)
        {
            // Of everything that the adapter changes where all blocks are meant: also what lies in no block.
            LayerBand? layers = band == all ? null : new LayerBand(band.First, band.Last);
            Variant[] draws = [.. Enumerable.Range(0, request.Draws).Select(draw =>
                new Variant(withAdapter ? [new VariantTerm(source)] : [], new WeightNoise(source, kind, size, request.Seed + draw, layers)))];
            string name = kind == WeightNoiseKind.Gaussian ? "gaussian" : string.Create(CultureInfo.InvariantCulture, $"rank_{rank}");
            _rows.Add(new Row([.. Enumerable.Range(band.First, band.Last - band.First + 1)], band == all, size, name, withAdapter, draws));
        }
    }

    internal IEnumerable<Cell> Cells => _rows.SelectMany(row => row.Draws).SelectMany(_probe.Ends);

    /// <summary>What is left of the drift.</summary>
    /// <param name="name">The adapter's name.</param>
    internal NoiseReading Read(string name)
    {
        Displacement full = _probe.Drift(_full, _layer), fullLast = _probe.Drift(_full, _probe.Last);
        Measured[] measured = [.. _rows.Select(row => new Measured(
            row, [.. row.Draws.Select(draw => Effect.Of(_probe.Drift(draw, _layer), full))], [.. row.Draws.Select(draw => Effect.Of(_probe.Drift(draw, _probe.Last), fullLast))]))];
        string key = string.Create(CultureInfo.InvariantCulture, $"{_layer}");
        Measured[] everywhere = [.. measured.Where(m => m.Row is { Everywhere: true, WithAdapter: true } && m.Row.Kind == _rows[0].Kind).OrderBy(m => m.Row.Size)];
        var half = new JsonObject { ["layer"] = FindingsData.Number(HalfLost(everywhere, m => m.Here)), ["last"] = FindingsData.Number(HalfLost(everywhere, m => m.Last)) };
        return new NoiseReading(
            new JsonArray([.. measured.Select(m => (JsonNode?)m.ToJson(name, key))]), half, Sentence(name, measured, everywhere), Table(name, measured), Curves(name, everywhere));
    }

    private static double? HalfLost(Measured[] everywhere, Func<Measured, Effect[]> at) =>
        PiecewiseLinear.FirstReach([0, .. everywhere.Select(m => m.Row.Size)], [0, .. everywhere.Select(m => 1 - at(m).Average(e => e.Left))], 0.5);

    private string Sentence(string name, Measured[] measured, Measured[] everywhere)
    {
        if (everywhere.Length == 0) return "";
        Measured largest = everywhere[^1];
        string text = string.Create(CultureInfo.InvariantCulture,
            $"{name}: random weights of {largest.Row.Size:0.###} times its size leave {100 * largest.Here.Average(e => e.Left):0}% of the drift at layer {_layer} and {100 * largest.Last.Average(e => e.Left):0}% at layer {_probe.Last}, and move it by {largest.Here.Average(e => e.Change):0.0#} and {largest.Last.Average(e => e.Change):0.0#} times its length");
        Measured? weakest = measured.Where(m => !m.Row.Everywhere && m.Row.Size == largest.Row.Size && m.Row.Kind == largest.Row.Kind).MaxBy(m => m.Last.Average(e => e.Change));
        if (weakest != null) text += string.Create(CultureInfo.InvariantCulture, $", most in {Blocks(weakest.Row.Layers)} ({weakest.Last.Average(e => e.Change):0.0#} at layer {_probe.Last})");
        Measured? alone = Array.Find(measured, m => !m.Row.WithAdapter);
        if (alone != null)
        {
            text += string.Create(CultureInfo.InvariantCulture,
                $"; alone, at {alone.Row.Size:0.###} times its size, they move {100 * alone.Here.Average(e => e.Magnitude) / _probe.Drift(_full, _layer).Magnitude:0.#}% as far");
        }

        return text + ".";
    }

    internal static string Blocks(IReadOnlyList<int> blocks) =>
        blocks.Count == 1 ? string.Create(CultureInfo.InvariantCulture, $"block {blocks[0]}") : string.Create(CultureInfo.InvariantCulture, $"blocks {blocks[0]} to {blocks[^1]}");

    private FindingsTable Table(string name, Measured[] measured) => new(
        $"{name}: noise of relative size e, mean over {_rows[0].Draws.Length} draws and its standard error",
        [
            new("e", "0.###"), new("shape"), new("in"), new("adapter"), new($"left at layer {_layer}", "0.000"), new("se", "0.000"),
            new($"left at layer {_probe.Last}", "0.000"), new("se", "0.000"), new($"|x' - x| / |x| at {_layer}", "0.000"), new("|x'|", "0.000"),
        ],
        [.. measured.Select(m => (IReadOnlyList<object?>)
        [
            m.Row.Size, m.Row.Kind, m.Row.Everywhere ? "all blocks" : Blocks(m.Row.Layers), m.Row.WithAdapter ? "with" : "without (control)",
            m.Here.Average(e => e.Left), Error(m.Here, e => e.Left), m.Last.Average(e => e.Left), Error(m.Last, e => e.Left), m.Here.Average(e => e.Change), m.Here.Average(e => e.Magnitude),
        ])]);

    private IReadOnlyList<FindingsCurve> Curves(string name, Measured[] everywhere)
    {
        if (everywhere.Length < 2) return [];
        double[] x = [0, .. everywhere.Select(m => m.Row.Size)];
        return [Curve($"layer {_layer}", m => m.Here), Curve($"layer {_probe.Last}", m => m.Last)];

        FindingsCurve Curve(string at, Func<Measured, Effect[]> effects)
        {
            double[] mean = [1, .. everywhere.Select(m => effects(m).Average(e => e.Left))], error = [0, .. everywhere.Select(m => Error(effects(m), e => e.Left))];
            return new FindingsCurve("left under random weights in all blocks", $"{name}, {at}", "size of the random weights over the adapter's", "share of the drift left", x, mean)
            {
                Low = [.. mean.Zip(error, (m, e) => m - (2 * e))],
                High = [.. mean.Zip(error, (m, e) => m + (2 * e))],
            };
        }
    }

    private static double Error(Effect[] effects, Func<Effect, double> value) => Sample.StandardError([.. effects.Select(value)]);

    private static double Deviation(Effect[] effects, Func<Effect, double> value) => Sample.Deviation([.. effects.Select(value)]);

    private sealed record Row(int[] Layers, bool Everywhere, double Size, string Kind, bool WithAdapter, Variant[] Draws);

    private sealed record Effect(double Left, double Magnitude, double Change)
    {
        internal static Effect Of(Displacement noisy, Displacement clean) => new(
            noisy.ShareOf(clean) ?? double.NaN, noisy.Magnitude, TensorPrimitives.Distance(noisy.PerTrait.AsSpan(), clean.PerTrait.AsSpan()) / clean.Magnitude);
    }

    private sealed record Measured(Row Row, Effect[] Here, Effect[] Last)
    {
        internal JsonObject ToJson(string adapter, string layer) => new()
        {
            ["adapter"] = adapter,
            ["layers"] = FindingsData.Integers(Row.Layers),
            ["relative_size"] = Row.Size,
            ["kind"] = Row.Kind,
            ["with_adapter"] = Row.WithAdapter,
            ["draws"] = Row.Draws.Length,
            [$"left_at_{layer}"] = FindingsData.Number(Here.Average(e => e.Left)),
            [$"left_at_{layer}_se"] = FindingsData.Number(Error(Here, e => e.Left)),
            [$"left_at_{layer}_sd"] = FindingsData.Number(Deviation(Here, e => e.Left)),
            ["left_at_last"] = FindingsData.Number(Last.Average(e => e.Left)),
            ["left_at_last_se"] = FindingsData.Number(Error(Last, e => e.Left)),
            ["left_at_last_sd"] = FindingsData.Number(Deviation(Last, e => e.Left)),
            [$"magnitude_at_{layer}"] = FindingsData.Number(Here.Average(e => e.Magnitude)),
            ["magnitude_at_last"] = FindingsData.Number(Last.Average(e => e.Magnitude)),
            [$"change_at_{layer}"] = FindingsData.Number(Here.Average(e => e.Change)),
            [$"change_at_{layer}_se"] = FindingsData.Number(Error(Here, e => e.Change)),
            ["change_at_last"] = FindingsData.Number(Last.Average(e => e.Change)),
        };
    }
}

/// <summary>What a <see cref="NoiseGrid"/> found.</summary>
internal sealed record NoiseReading(JsonArray Rows, JsonObject HalfLostAt, string Sentence, FindingsTable Table, IReadOnlyList<FindingsCurve> Curves);
