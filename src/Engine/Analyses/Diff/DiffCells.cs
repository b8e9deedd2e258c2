using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Diff;

/// <summary>The cells of one adapter at one layer.</summary>
internal sealed class DiffCells
{
    private readonly DiffRows _rows;
    private readonly Dictionary<string, Cell> _positions = [];
    private readonly Dictionary<string, Cell> _tokens = [];
    private readonly Dictionary<string, Cell> _spectra = [];
    private readonly Dictionary<string, Cell> _lenses = [];
    private readonly Cell? _base;
    private readonly Cell? _projections;
    private readonly Cell? _textAlongBos;
    private readonly Cell? _promptsAlongBos;

    internal DiffCells(AnalysisContext context, IReadOnlyList<int> domain, DiffRows rows, Variant variant, int layer)
    {
        _rows = rows;
        Layer = layer;
        bool scanLayer = layer == context.Layer;
        if (context.Directions.Layers.Contains(layer))
        {
            _base = TraitDrift.Projections(context, Variant.Base, layer);
            _projections = TraitDrift.Projections(context, variant, layer);
        }

        foreach ((string name, PromptSet? prompts) in rows.Classes)
        {
            if (prompts == null) continue;
            Sizes.Add(name, new Cell(variant, prompts, layer, new DifferenceReducer()));
            if (!rows.InFull(prompts, scanLayer)) continue;
            bool groups = rows.HasGroups(prompts);
            if (groups)
            {
                _positions.Add(name, new Cell(variant, prompts, layer, new GroupReducer(RowGrouping.Position)));
                _tokens.Add(name, new Cell(variant, prompts, layer, new GroupReducer(RowGrouping.Token)));
            }

            _spectra.Add(name, new Cell(variant, prompts, layer, new SpectrumReducer(new SpectrumOptions(groups, groups), context.KernelDevice)));
            _lenses.Add(name, new Cell(variant, prompts, layer, new LensReducer(context.Lens, domain)));
        }

        if (Sizes.TryGetValue("bos", out Cell? bos) && context.Results.Find(bos) is { } start && start["energy"][0] > 0)
        {
            var along = new AlongReducer(start["mean"]);
            _promptsAlongBos = new Cell(variant, rows.PromptLast, layer, along);
            if (rows.TextWithoutBos is { } text) _textAlongBos = new Cell(variant, text, layer, along);
        }

        if (!scanLayer || rows.ChatTokens is not { } chats) return;
        AllTokens = new Cell(variant, chats, layer, new DifferenceReducer());
        TokenKinds = [.. rows.ByKind.Select(kind => (kind.Name, kind.Rows == null ? null : new Cell(variant, kind.Rows, layer, new DifferenceReducer())))];
    }

    internal int Layer { get; }

    /// <summary>Sizes of the change by class.</summary>
    internal Dictionary<string, Cell> Sizes { get; } = [];

    /// <summary>Sizes on all tokens of conversations; at the scan's layer.</summary>
    internal Cell? AllTokens { get; }

    /// <summary>Sizes by what a token of a conversation is; at the scan's layer.</summary>
    internal IReadOnlyList<(string Name, Cell? Cell)> TokenKinds { get; } = [];

    internal IEnumerable<Cell> All => new[] { _projections, AllTokens, _textAlongBos, _promptsAlongBos }.OfType<Cell>()
        .Concat(Sizes.Values).Concat(_positions.Values).Concat(_tokens.Values).Concat(_spectra.Values).Concat(_lenses.Values)
        .Concat(TokenKinds.Select(kind => kind.Cell).OfType<Cell>());

    /// <summary>x_t = mean(d . v_t) / n0 at the last tokens of the evaluation prompts, (K); null where there are no directions.</summary>
    internal double[]? Drift(AnalysisContext context) => _base == null ? null : [.. TraitDrift.Of(context.Results[_projections!], context.Results[_base]).PerTrait];

    /// <summary>Share of the energy of the change along that of BOS alone, on the texts behind BOS and on the last tokens of prompts.</summary>
    internal (double? Text, double? PromptLast) AlongBos(CellResults results) =>
        (_textAlongBos == null ? null : results[_textAlongBos].Number("along"), _promptsAlongBos == null ? null : results[_promptsAlongBos].Number("along"));

    /// <summary>What the change is on each class that has rows.</summary>
    internal Dictionary<string, ChangeOfRows> Read(CellResults results, LensView lens)
    {
        bool withLens = _lenses.ContainsKey("chat_all") || _lenses.ContainsKey("prompt_all"); // the scan's layer
        return Sizes.ToDictionary(pair => pair.Key, pair => new ChangeOfRows(
            results[pair.Value], Find(_positions, pair.Key), Find(_tokens, pair.Key), Find(_spectra, pair.Key), Find(_lenses, pair.Key), lens,
            pair.Key == "bos" && withLens, _rows.HasGroups(pair.Value.Prompts)));

        CellResult? Find(Dictionary<string, Cell> cells, string name) => cells.TryGetValue(name, out Cell? cell) ? results[cell] : null;
    }
}
