using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Diff;

/// <summary>
/// What a change of the residual stream does to the latents of a sparse autoencoder: for each class of rows, the latents whose mean
/// activation grows and shrinks most.
/// </summary>
internal sealed class SparseChange
{
    private const int Listed = 10;

    private readonly SparseAutoencoder _autoencoder;
    private readonly SparseReducer _reducer;
    private readonly DiffRows _rows;

    /// <exception cref="InputFileException">The autoencoder is of another width or of a layer that the model does not have.</exception>
    internal SparseChange(AnalysisContext context, SparseAutoencoder autoencoder, DiffRows rows)
    {
        autoencoder.RequireFor(context.HiddenSize, context.LayerCount);
        (_autoencoder, _rows) = (autoencoder, rows);

        // On a device it stays until the device is closed.
        _reducer = new SparseReducer(autoencoder, context.KernelDevice.Keep(autoencoder.Encoder));
    }

    /// <summary>The cells of a variant.</summary>
    internal IEnumerable<Cell> Cells(Variant variant) => Classes(variant).Select(c => c.Cell);

    /// <summary>The numbers of a variant, under the keys that programs read.</summary>
    internal JsonObject Data(AnalysisContext context, Variant variant)
    {
        var classes = new JsonObject();
        foreach ((string name, Cell cell) in Classes(variant))
        {
            CellResult result = context.Results[cell];
            double[] before = result["base"], after = result["variant"];
            classes[name] = new JsonObject
            {
                ["n"] = (int)result["rows"][0],
                ["active_base"] = FindingsData.Number(result["active_base"][0]),
                ["active"] = FindingsData.Number(result["active"][0]),
                ["increased"] = Changes(Order(before, after), before, after),
                ["decreased"] = Changes(Order(after, before), before, after),
            };
        }

        return new JsonObject
        {
            ["file"] = _autoencoder.Path,
            ["layer"] = _autoencoder.Layer,
            ["latents"] = _autoencoder.Encoder.Latents,
            ["classes"] = classes,
        };
    }

    /// <summary>The same for people.</summary>
    internal FindingsTable Table(AnalysisContext context, Variant variant, string adapter) => new(
        $"{adapter}, latents of {_autoencoder.Name} at layer {_autoencoder.Layer}",
        [new("rows"), new("n", "0"), new("active, base", "0.0"), new("active", "0.0"), new("mean activation grows most"), new("shrinks most")],
        [.. Classes(variant).Select(c => Row(c.Name, context.Results[c.Cell]))]);

    private static IReadOnlyList<object?> Row(string name, CellResult result)
    {
        double[] before = result["base"], after = result["variant"];
        return
        [
            name,
            result["rows"][0],
            result["active_base"][0],
            result["active"][0],
            Names(Order(before, after)),
            Names(Order(after, before)),
        ];

        string Names(IEnumerable<int> latents) =>
            string.Join(' ', latents.Take(3).Select(f => string.Create(CultureInfo.InvariantCulture, $"{f}:{after[f] - before[f]:+0.###;-0.###}")));
    }

    private static IEnumerable<int> Order(double[] from, double[] to) =>
        Enumerable.Range(0, from.Length).Where(f => to[f] > from[f]).OrderByDescending(f => to[f] - from[f]).Take(Listed);

    private static JsonArray Changes(IEnumerable<int> latents, double[] before, double[] after) => new([.. latents.Select(f => (JsonNode)new JsonObject
    {
        ["latent"] = f,
        ["base"] = FindingsData.Number(before[f]),
        ["finetuned"] = FindingsData.Number(after[f]),
    })]);

    private IEnumerable<(string Name, Cell Cell)> Classes(Variant variant) => _rows.Classes
        .Where(c => c.Rows != null && c.Name is not ("bos" or "blank"))
        .Select(c => (c.Name, new Cell(variant, c.Rows!, _autoencoder.Layer, _reducer)));
}
