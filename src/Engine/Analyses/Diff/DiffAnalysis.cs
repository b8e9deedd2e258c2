using System.Globalization;
using System.Numerics.Tensors;
using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Diff;

/// <summary>
/// Is the activation difference a context-independent prior shift or context-dependent? How many dimensions has it? What does it say through
/// the model's head?
/// </summary>
/// <remarks>
/// Definitions: docs/diff.md, after the activation difference lens (arXiv 2510.13900). For N rows, d_i = h_i - h_base,i, m = mean d
/// and E = mean ||d_i||^2; the share of a common vector is ||m||^2 / E.
/// </remarks>
/// <param name="request">What is asked.</param>
internal sealed class DiffAnalysis(DiffRequest request) : IAnalysis
{
    private const int ProfilePositions = 40;

    private readonly Dictionary<string, string> _names = AdapterNames.Of(request.Adapters);
    private DiffRows? _rows;
    private SparseChange? _latents;
    private readonly Dictionary<(string Adapter, int Layer), DiffCells> _cells = [];

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        DiffRows rows = _rows = new DiffRows(context, request);
        _latents = request.Autoencoder == null ? null : new SparseChange(context, request.Autoencoder, rows);
        Variant[] variants = [.. request.Adapters.Select(adapter => Variant.Of(adapter))];
        if (rows.Bos is { } bos) yield return variants.SelectMany(variant => Layers(context).Select(layer => new Cell(variant, bos, layer, new DifferenceReducer())));

        // The base's own rows, for the drift.
        yield return Layers(context).Where(context.Directions.Layers.Contains).Select(layer => TraitDrift.Projections(context, Variant.Base, layer));
        yield return variants.SelectMany(variant => Layers(context).SelectMany(layer =>
        {
            DiffCells cells = new(context, DomainOf(variant.Terms[0].Adapter.Path), rows, variant, layer);
            _cells[(variant.Terms[0].Adapter.Path, layer)] = cells;
            return cells.All;
        }).Concat(_latents?.Cells(variant) ?? []));
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var notes = new List<Remark>();
        if (_rows!.Bos == null) notes.Add(new Remark("no-bos", "This model's texts begin with no BOS token: what is said of 'bos' is null."));
        if (_rows.Blank == null) notes.Add(new Remark("no-blank", "White space has no tokens in this model's vocabulary: 'blank' is null."));
        if (_rows.TextAll == null) notes.Add(new Remark("few-texts", "No position is seen in 5 texts or more: 'text_all' and 'text_far' are null; give more texts."));
        else if (_rows.TextFar == null) notes.Add(new Remark("short-texts", $"No 5 texts reach position {request.Far}: 'text_far' is null; give longer texts, or an earlier far position."));
        if (request.Chats.Count == 0) notes.Add(new Remark("no-chats", "There are no conversations: 'chat_all' and 'token_classes' are null."));
        if (request.DomainTokens.All(tokens => tokens.Count == 0)) notes.Add(new Remark("no-domain", "There are no words of a domain: domain probabilities are null."));
        if (request.Axis == null) notes.Add(new Remark("no-axis", "There is no drift axis: 'axis' is null."));
        Reading[] readings = [.. request.Adapters.Select(adapter => Read(context, adapter.Path, notes))];

        var data = new JsonObject();
        if (readings.Length == 1) data = readings[0].Data;
        else data["runs"] = new JsonArray([.. readings.Select(reading => (JsonNode?)reading.Data)]);
        return new Findings
        {
            Header = context.Header,
            Conclusion = string.Join('\n', readings.Select(r => r.Conclusion)),
            Data = data,
            Tables = [.. readings.Select(r => r.Table), .. LatentTables(context)],
            Curves = [.. readings.SelectMany(r => r.Curves)],
            Notes = notes,
        };
    }

    private IEnumerable<FindingsTable> LatentTables(AnalysisContext context) => _latents == null ? []
        : request.Adapters.Select(adapter => _latents.Table(context, Variant.Of(adapter), _names[adapter.Path]));

    private IReadOnlyList<int> DomainOf(string path) => request.DomainTokens.Count == 0 ? [] : request.DomainTokens[request.Adapters.ToList().FindIndex(a => a.Path == path)];

    private static IEnumerable<int> Layers(AnalysisContext context) => Enumerable.Range(0, context.LayerCount);

    private Reading Read(AnalysisContext context, string path, List<Remark> notes)
    {
        string adapter = _names[path];
        var layers = new JsonArray();
        var lens = new LensView(context.Lens, context.Vocabulary, DomainOf(path));
        var changes = new Dictionary<int, Dictionary<string, ChangeOfRows>>();
        foreach (int layer in Layers(context))
        {
            DiffCells cells = _cells[(path, layer)];
            changes[layer] = cells.Read(context.Results, lens);
            layers.Add(Layer(context, cells, changes[layer]));
        }

        Dictionary<string, ChangeOfRows> atScan = changes[context.Layer];
        var data = new JsonObject { ["adapter"] = adapter, ["path"] = path, ["far"] = request.Far, ["tokens"] = Tokens(), ["layers"] = layers };
        if (atScan.TryGetValue("text_all", out ChangeOfRows? text) && text.Positions is { } profile)
            data[$"position_profile_layer{context.Layer}_text_all"] = Profile(profile, text.BaseNorm);
        data["token_classes"] = TokenClasses(context, _cells[(path, context.Layer)]);
        if (_latents != null) data["sae"] = _latents.Data(context, _cells[(path, context.Layer)].Sizes["prompt_last"].Variant);
        if (context.IsApproximate)
        {
            foreach ((string name, ChangeOfRows change) in atScan.Where(c => c.Value.RelativeNorm < 0.01))
            {
                notes.Add(new Remark("near-rounding", string.Create(CultureInfo.InvariantCulture,
                    $"{adapter}: on {name} the change is {100 * change.RelativeNorm:0.00}% of the activation norm, near the error of the fast mode or of quantized weights (0.2% and more); a precise run on an F32 or F16 model is surer.")));
            }
        }

        return new Reading(data, Conclusion(adapter, context.Layer, atScan), Table(adapter, context.Layer, atScan), [.. Curves(adapter, context.Layer, atScan)]);
    }

    private JsonObject Tokens() => new()
    {
        ["texts"] = FindingsData.Integers(request.Texts.Select(t => t.Length)),
        ["chats"] = FindingsData.Integers(request.Chats.Select(c => c.Tokens.Length)),
    };

    private JsonObject Layer(AnalysisContext context, DiffCells cells, Dictionary<string, ChangeOfRows> changes)
    {
        var layer = new JsonObject { ["layer"] = cells.Layer, ["n0"] = FindingsData.Number(changes["prompt_last"].BaseNorm) };
        layer["drift"] = cells.Drift(context) is { } drift ? FindingsData.ByName(context.Directions.Traits, drift) : null;
        foreach ((string name, _) in _rows!.Classes) layer[name] = changes.GetValueOrDefault(name)?.Data;
        var cosines = new JsonObject();
        foreach ((string a, string b) in new[] { ("bos", "text_all"), ("bos", "text_far"), ("bos", "prompt_last"), ("prompt_last", "text_all"), ("prompt_last", "chat_all"), ("text_far", "text_all") })
            cosines[$"{a}.{b}"] = FindingsData.Number(FindingsData.Cosine(changes.GetValueOrDefault(a)?.Mean, changes.GetValueOrDefault(b)?.Mean));
        layer["cosines_of_mean"] = cosines;
        (double? text, double? promptLast) = cells.AlongBos(context.Results);
        layer["energy_share_along_bos_direction"] = new JsonObject { ["text"] = FindingsData.Number(text), ["prompt_last"] = FindingsData.Number(promptLast) };
        return layer;
    }

    private static JsonObject Profile(CellResult positions, double baseNorm) => new()
    {
        ["position"] = FindingsData.Integers(positions["group"].Take(ProfilePositions).Select(p => (int)p)),
        ["count"] = FindingsData.Integers(positions["count"].Take(ProfilePositions).Select(c => (int)c)),
        ["mean_vector_relative_norm"] = FindingsData.Numbers(positions["mean_vector_norm"].Take(ProfilePositions).Select(n => n / baseNorm)),
        ["mean_norm_relative"] = FindingsData.Numbers(positions["mean_norm"].Take(ProfilePositions).Select(n => n / baseNorm)),
    };

    // What the change does on each kind of token of a conversation.
    private JsonObject? TokenClasses(AnalysisContext context, DiffCells cells)
    {
        if (cells.AllTokens is not { } all) return null;
        CellResult everything = context.Results[all];
        double energy = everything["energy"][0] * everything["rows"][0];
        double[]? answerStart = cells.TokenKinds.FirstOrDefault(kind => kind.Name == "assistant_token").Cell is { } start ? context.Results[start]["mean"] : null;
        double n0 = context.Results[cells.Sizes["prompt_last"]]["base_norm"][0];
        var classes = new JsonObject();
        foreach ((string name, Cell? cell) in cells.TokenKinds)
        {
            if (cell == null)
            {
                classes[name] = null;
                continue;
            }

            CellResult result = context.Results[cell];
            double[] mean = result["mean"];
            double own = result["energy"][0];
            classes[name] = new JsonObject
            {
                ["rows"] = (int)result["rows"][0],
                ["relative_norm"] = FindingsData.Number(result["mean_norm"][0] / result["base_norm"][0]),
                ["energy_share_of_all"] = FindingsData.Number(own * result["rows"][0] / energy),
                ["energy_share_global_mean"] = FindingsData.Number(TensorPrimitives.SumOfSquares<double>(mean) / own),
                ["cosine_with_assistant_token_mean"] = FindingsData.Number(FindingsData.Cosine(mean, answerStart)),
                ["axis"] = FindingsData.Number(AlongAxis(context, cells.Layer, mean, n0)),
            };
        }

        return classes;
    }

    private double? AlongAxis(AnalysisContext context, int layer, double[] mean, double n0)
    {
        if (request.Axis == null || !context.Directions.Layers.Contains(layer)) return null;
        double sum = 0;
        for (int k = 0; k < request.Axis.Length; k++)
        {
            ReadOnlySpan<float> direction = context.Directions.Direction(layer, k);
            for (int d = 0; d < direction.Length; d++) sum += request.Axis[k] * direction[d] * mean[d];
        }

        return sum / n0;
    }

    private static string Conclusion(string adapter, int layer, Dictionary<string, ChangeOfRows> changes)
    {
        ChangeOfRows last = changes["prompt_last"];
        string size = string.Create(CultureInfo.InvariantCulture, $"the change at the prompts' last token is {100 * last.RelativeNorm:0.0}% of the activation norm at layer {layer}");
        if (last.Energy == 0) return $"{adapter}: no difference: {size}.";
        if (changes.GetValueOrDefault("text_far") is not { } far) return $"{adapter}: not decided, as there are no rows far from the start: {size}.";
        double? cosine = FindingsData.Cosine(changes.GetValueOrDefault("bos")?.Mean, far.Mean);
        string kind = cosine > 0.9 && far.GlobalMean > 0.7 ? "prior shift"
            : last.GlobalMean > 0.7 && far.GlobalMean < 0.5 ? "constant at the answer's start"
            : "context-dependent";
        return string.Create(CultureInfo.InvariantCulture,
            $"{adapter}: {kind}: {size}; one common vector holds {100 * last.GlobalMean:0}% of its energy there and {100 * far.GlobalMean:0}% far from the start.");
    }

    private static FindingsTable Table(string adapter, int layer, Dictionary<string, ChangeOfRows> changes) => new(
        $"{adapter}, layer {layer}",
        [
            new("rows"), new("n", "0"), new("relative norm", "0.000"), new("one vector", "0.000"), new("position adj", "0.000"), new("token adj", "0.000"),
            new("directions 90%", "0"), new("top tokens"),
        ],
        [.. changes.Select(c => (IReadOnlyList<object?>)
        [
            c.Key, c.Value.Rows, c.Value.RelativeNorm, c.Value.GlobalMean, c.Value.Positions?.Number("variance_share_adjusted"),
            c.Value.Tokens?.Number("variance_share_adjusted"), c.Value.Spectrum?.Number("uncentred.directions_90"), string.Join(' ', c.Value.TopTokens.Take(5)),
        ])]);

    private static IEnumerable<FindingsCurve> Curves(string adapter, int layer, Dictionary<string, ChangeOfRows> changes)
    {
        foreach ((string name, ChangeOfRows change) in changes)
        {
            if (change.Spectrum?.Find("uncentred.energy_share") is { } shares)
            {
                yield return new FindingsCurve($"spectrum of the change, layer {layer}", $"{adapter} {name}", "direction", "share of energy",
                    [.. Enumerable.Range(1, shares.Length).Select(k => (double)k)], shares);
            }

            if (change.Positions is { } positions)
            {
                yield return new FindingsCurve($"mean change by position, layer {layer}", $"{adapter} {name}", "position", "||mean change|| / mean ||h||",
                    positions["group"], [.. positions["mean_vector_norm"].Select(n => n / change.BaseNorm)]);
            }
        }
    }

    private sealed record Reading(JsonObject Data, string Conclusion, FindingsTable Table, IReadOnlyList<FindingsCurve> Curves);
}
