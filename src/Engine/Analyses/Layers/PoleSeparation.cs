using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Analyses.Layers;

/// <summary>How far each trait's direction tells its poles apart, layer by layer, on the prompts that it was made from.</summary>
internal sealed class PoleSeparation
{
    private const int Draws = 20;

    private readonly AnalysisContext _context;
    private readonly Cell[][] _cells; // [trait][layer]

    internal PoleSeparation(AnalysisContext context, int seed)
    {
        _context = context;
        _cells = [];
        if (context.TraitSet is not { } set || context.Prompts is not { } prompts) return;
        bool mean = context.Directions.Metadata.Pooling == Pooling.MeanInput.ToName();
        if (context.Directions.Metadata.Pooling == Pooling.MeanOutput.ToName())
        {
            Missing = new Remark("no-separability", "The directions are of generated answers: how far they tell the poles apart is not measured, and 'separability' is null.");
            return;
        }

        _cells = [.. context.Directions.Traits.Select((name, k) =>
        {
            Trait trait = set.Traits.Single(t => t.Name == name);
            (string Text, bool Positive)[] systems = [.. trait.PositivePrompts.Select(text => (text, true)), .. trait.NegativePrompts.Select(text => (text, false))];
            CapturePrompt[] rows = [.. systems.SelectMany(system => set.Questions, (system, question) => prompts.Encode(system.Text, question)).Select(tokens => mean ? CapturePrompt.From(tokens, 0) : CapturePrompt.Last(tokens))];
            bool[] positive = [.. systems.SelectMany(system => set.Questions, (system, _) => system.Positive)];
            bool[] odd = [.. systems.SelectMany(_ => set.Questions.Select((_, q) => q % 2 == 1))];
            var poles = new PromptSet($"poles of {name}", rows, mean ? RowPooling.MeanOfPrompt : RowPooling.EachPosition);

            // A variant of its own for each trait: its rows of all layers are what is held at a time.
            var asItIs = new Variant([]);
            return context.Directions.Layers.Select(layer =>
                new Cell(asItIs, poles, layer, new SeparationReducer(context.Directions.Direction(layer, k), positive, odd, Draws, seed))).ToArray();
        })];
    }

    /// <summary>Why there is nothing to measure, or null.</summary>
    internal Remark? Missing { get; }

    internal IEnumerable<Cell> Cells => _cells.SelectMany(cells => cells);

    /// <summary>By trait, a value for each layer; null when nothing was measured.</summary>
    internal JsonObject? ToJson() => _cells.Length == 0 ? null : new JsonObject(_cells.Select((cells, k) => KeyValuePair.Create(_context.Directions.Traits[k], (JsonNode?)new JsonObject
    {
        ["d_prime"] = Values(cells, "d_prime"),
        ["split_half_accuracy"] = Values(cells, "split_half_accuracy"),
        ["cosine_with_stored_direction"] = Values(cells, "cosine"),
        ["random_direction_d_prime"] = FindingsData.Numbers(cells.Select(cell => ByChance(cell))),
    })));

    /// <summary>A table with a row for each trait; null when nothing was measured.</summary>
    internal FindingsTable? Table()
    {
        if (_cells.Length == 0) return null;
        int at = _context.Directions.Layers.ToList().IndexOf(_context.Layer);
        return new FindingsTable(
            "how far a direction tells its poles apart, on the prompts it was made from",
            [
                new("trait"), new($"d' at layer {_context.Layer}", "0.0"), new("random direction", "0.0"), new("split-half accuracy", "0.000"), new("chance", "0.000"),
                new("best layer", "0"), new("d' there", "0.0"), new("split-half accuracy there", "0.000"),
            ],
            [.. _cells.Select((cells, k) =>
            {
                double[] all = [.. cells.Select(cell => _context.Results[cell].Number("d_prime") ?? double.NaN)];
                int best = Array.IndexOf(all, all.Where(double.IsFinite).DefaultIfEmpty(double.NaN).Max());
                return (IReadOnlyList<object?>)
                [
                    _context.Directions.Traits[k], all[at], ByChance(cells[at]), Accuracy(cells[at]), 0.5,
                    best < 0 ? null : _context.Directions.Layers[best], best < 0 ? null : all[best], best < 0 ? null : Accuracy(cells[best]),
                ];
            })]);
    }

    private double? Accuracy(Cell cell) => _context.Results[cell].Number("split_half_accuracy");

    private JsonArray Values(Cell[] cells, string part) => FindingsData.Numbers(cells.Select(cell => _context.Results[cell].Number(part) ?? double.NaN));

    private double ByChance(Cell cell) => _context.Results[cell].Find("random_d_prime")?.Average() ?? double.NaN;
}
