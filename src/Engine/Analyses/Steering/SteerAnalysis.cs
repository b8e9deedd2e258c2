using System.Globalization;
using System.Numerics.Tensors;
using System.Text.Json.Nodes;
using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Steering;

/// <summary>Can a direction be steered cheaply and predictably? Dose-response of trait directions and of adapters' mean activation changes.</summary>
/// <remarks>
/// Definitions: docs/steer.md. c n0 v is added to the residual stream after block L at every position, BOS included, as llama.cpp's
/// control vectors do. Controls: one fixed random direction over all doses, seeded ones over those that slopes are taken from.
/// </remarks>
/// <param name="request">What is asked.</param>
internal sealed partial class SteerAnalysis(SteerRequest request) : IAnalysis
{
    private static readonly double[] Grid = [-1, -.5, -.25, -.1, 0, .1, .25, .5, 1];
    private static readonly double[] Linear = [.. Grid.Where(c => Math.Abs(c) <= DoseResponse.LinearRange)];

    private readonly Dictionary<string, string> _names = AdapterNames.Of(request.Adapters);
    private readonly Dictionary<string, double[]> _meanChanges = [];
    private SteeredDirection[] _directions = [];
    private SteeredDirection[] _controls = [];
    private int[] _layers = [];
    private TextScores? _scores;

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (context.Layer < 1)
            throw new InvalidSettingException("Layer 0 cannot be steered: llama.cpp adds control vectors after blocks 1 and up; steer at layer 1 or above.");
        _layers = [.. Enumerable.Range(context.Layer, context.LayerCount - context.Layer).Where(context.Directions.Layers.Contains)];
        TextScores scores = _scores = new TextScores(context, request.Texts, request.Chats, request.Pairs);
        yield return Cells(context, Variant.Base).Concat(request.Adapters.SelectMany(adapter => Cells(context, Variant.Of(adapter)).Append(Spectrum(context, adapter))));

        foreach (AdapterSource adapter in request.Adapters) _meanChanges[adapter.Path] = MeanChange(context, adapter);
        _directions = [.. Directions(context)];
        var random = new Random(request.Seed);
        _controls = [.. Enumerable.Range(1, request.RandomDirections).Select(i => At(context, $"random_{i}", SteeredKind.Random, SteeredDirection.Random(context.HiddenSize, random), Linear))];
        yield return _directions.SelectMany(direction => direction.Variants).Where(variant => !variant.IsBase).SelectMany(variant => Cells(context, variant))
            .Concat(_controls.SelectMany(control => control.Variants).Where(variant => !variant.IsBase).SelectMany(variant => scores.Cells(variant)))
            .Concat(request.Adapters.SelectMany(adapter => Equivalents(context, adapter)).SelectMany(variant => Cells(context, variant)));
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var notes = new List<Remark>();
        if (request.Chats.Count == 0) notes.Add(new Remark("no-chats", "There are no conversations: what the log-likelihood of chats would give is null."));
        if (request.Pairs.Count == 0) notes.Add(new Remark("no-pairs", "There are no pairs of answers: preferences, and all that follows from them, are null."));
        if (_layers[^1] != context.LayerCount - 1)
            notes.Add(new Remark("no-last-layer", $"There are no directions for the last layer: 'drift_last' is that of layer {_layers[^1]}."));
        double[] nulls = [.. _controls.Select(control => Preference(control)?.Slope).OfType<double>()];
        Reading[] readings = [.. _directions.Select(direction => Read(context, direction, nulls))];
        Equivalence[] equivalences = [.. request.Adapters.Where(HasChange).Select(adapter => Equal(context, adapter))];
        foreach (AdapterSource adapter in request.Adapters.Where(adapter => !HasChange(adapter)))
            notes.Add(new Remark("no-change", $"{_names[adapter.Path]} changes nothing up to layer {context.Layer}: there is no mean activation change to steer with."));

        var data = new JsonObject
        {
            ["n0"] = FindingsData.Number(context.Step0Norm),
            ["grid"] = FindingsData.Numbers(Grid),
            ["base"] = new JsonObject
            {
                ["plain"] = FindingsData.Number(_scores!.Plain(Variant.Base)),
                ["chat"] = FindingsData.Number(_scores.Chat(Variant.Base)),
                ["pref"] = FindingsData.Number(_scores.Preference(Variant.Base).PerToken),
            },
            ["fixed_random"] = "r_i = sin((i+1)^2), i from 0, divided by its norm",
            ["directions"] = new JsonArray([.. readings.Select(r => (JsonNode?)r.Data)]),
            ["random"] = Controls(nulls),
            ["equivalence"] = equivalences.Length > 0 ? equivalences[0].ToJson() : null,
            ["equivalences"] = new JsonArray([.. equivalences.Select(e => (JsonNode?)e.ToJson())]),
        };
        return new Findings
        {
            Header = context.Header,
            Conclusion = Conclusion(context, readings, nulls, equivalences),
            Data = data,
            Tables = [Table(readings, nulls), DoseTable(readings), .. EquivalenceTable(equivalences)],
            Curves = [.. readings.SelectMany(Curves), .. ControlBand()],
            Notes = notes,
        };
    }

    private IEnumerable<SteeredDirection> Directions(AnalysisContext context)
    {
        for (int k = 0; k < context.Directions.Traits.Count; k++)
            yield return At(context, context.Directions.Traits[k], SteeredKind.Trait, Array.ConvertAll(context.Directions.Direction(context.Layer, k).ToArray(), v => (double)v), Grid);
        foreach (AdapterSource adapter in request.Adapters.Where(HasChange))
            yield return At(context, $"mean_dh:{_names[adapter.Path]}", SteeredKind.MeanChange, SteeredDirection.Unit(_meanChanges[adapter.Path])!, Grid);
        yield return At(context, "fixed_random", SteeredKind.FixedRandom, SteeredDirection.Fixed(context.HiddenSize), Grid);
    }

    private static SteeredDirection At(AnalysisContext context, string name, SteeredKind kind, double[] unit, double[] doses) =>
        new(name, kind, unit, context.Layer, context.Step0Norm, doses);

    private bool HasChange(AdapterSource adapter) => TensorPrimitives.Norm<double>(_meanChanges[adapter.Path]) > 0;

    // Adding the mean change, the adapter less its mean change, and the first direction of the change at the mean change's size.
    private Variant[] Equivalents(AnalysisContext context, AdapterSource adapter)
    {
        double[] mean = _meanChanges[adapter.Path];
        if (!HasChange(adapter)) return [];
        double[] first = context.Results[Spectrum(context, adapter)]["first_direction"];
        return
        [
            SteeredDirection.Steer(context.Layer, mean, 1),
            new Variant([new VariantTerm(adapter)], null, SteeredDirection.Vector(context.Layer, mean, -1)),
            SteeredDirection.Steer(context.Layer, first, TensorPrimitives.Dot<double>(first, mean)),
        ];
    }

    private IEnumerable<Cell> Cells(AnalysisContext context, Variant variant) => _layers.Select(layer => TraitDrift.Projections(context, variant, layer)).Concat(_scores!.Cells(variant));

    private static Cell Spectrum(AnalysisContext context, AdapterSource adapter) =>
        new(Variant.Of(adapter), context.EvaluationPrompts, context.Layer, new SpectrumReducer(default, context.KernelDevice));

    private static double[] MeanChange(AnalysisContext context, AdapterSource adapter) =>
        [.. context.Results[TraitDrift.Projections(context, Variant.Of(adapter), context.Layer)]["mean"].Zip(context.Results[TraitDrift.Projections(context, Variant.Base, context.Layer)]["mean"], (after, before) => after - before)];

    private double? PreferenceChange(Variant variant) => _scores!.Preference(variant).PerToken - _scores.Preference(Variant.Base).PerToken;

    private DoseResponse? Preference(SteeredDirection direction) => request.Pairs.Count == 0 ? null
        : DoseResponse.Of(direction.Doses, [.. direction.Variants.Select(variant => PreferenceChange(variant)!.Value)]);

    private Reading Read(AnalysisContext context, SteeredDirection direction, double[] nulls)
    {
        int trait = direction.Kind == SteeredKind.Trait ? context.Directions.Traits.ToList().IndexOf(direction.Name) : -1;
        Point[] points = [.. direction.Variants.Select((variant, i) => new Point(
            direction.Doses[i], [.. _layers.Select(layer => TraitDrift.Of(context, variant, layer))], _scores!.Plain(variant), _scores.Chat(variant), PreferenceChange(variant)))];
        DoseResponse? preference = Preference(direction);
        double? chance = preference == null || nulls.Length == 0 ? null : (1.0 + nulls.Count(slope => Math.Abs(slope) >= Math.Abs(preference.Slope))) / (nulls.Length + 1);
        DoseResponse? own = trait < 0 ? null : DoseResponse.Of(direction.Doses, [.. points.Select(p => p.Drifts[^1].PerTrait[trait])]);
        var reading = new Reading(direction, points, preference, chance, own,
            Falls(p => p.Plain, -1), Falls(p => p.Plain, 1), Falls(p => p.Chat, -1), Falls(p => p.Chat, 1), []);
        JsonObject? slope = preference?.ToJson();
        if (slope != null) slope["random_p"] = FindingsData.Number(chance);
        return reading with
        {
            Data = new JsonObject
            {
                ["direction"] = direction.Name,
                ["points"] = new JsonArray([.. points.Select(p => (JsonNode?)p.ToJson(context.Directions.Traits, _layers, trait))]),
                ["preference_per_unit"] = slope,
                ["own_projection_last_per_unit"] = own?.ToJson(),
                ["range"] = new JsonObject
                {
                    ["minus"] = FindingsData.Number(reading.Minus),
                    ["plus"] = FindingsData.Number(reading.Plus),
                    ["minus_chat"] = FindingsData.Number(reading.MinusChat),
                    ["plus_chat"] = FindingsData.Number(reading.PlusChat),
                },
            },
        };

        double? Falls(Func<Point, double?> value, int sign) =>
            value(points[0]) == null ? null : DoseResponse.FallsAt(direction.Doses, [.. points.Select(p => value(p)!.Value)], sign);
    }

    private Equivalence Equal(AnalysisContext context, AdapterSource adapter)
    {
        Variant[] equivalents = Equivalents(context, adapter);
        Variant itself = Variant.Of(adapter), mean = equivalents[0];
        double[] trained = [.. TraitDrift.Of(context, itself, _layers[^1]).PerTrait], added = [.. TraitDrift.Of(context, mean, _layers[^1]).PerTrait];
        double own = trained.Sum(x => x * x);
        return new Equivalence(
            _names[adapter.Path], PreferenceChange(itself), PreferenceChange(mean), PreferenceChange(equivalents[2]), PreferenceChange(equivalents[1]),
            TensorPrimitives.Norm<double>(_meanChanges[adapter.Path]) / context.Step0Norm,
            own > 0 ? TensorPrimitives.Dot<double>(added, trained) / own : null,
            _scores!.Plain(mean) - _scores.Plain(Variant.Base), _scores.Chat(mean) - _scores.Chat(Variant.Base), _scores.Chat(itself) - _scores.Chat(Variant.Base));
    }

    /// <summary>What one dose does; <paramref name="Drifts"/> for each layer from the steered one on.</summary>
    private sealed record Point(double Dose, Displacement[] Drifts, double? Plain, double? Chat, double? Preference)
    {
        internal JsonObject ToJson(IReadOnlyList<string> traits, int[] layers, int trait) => new()
        {
            ["c"] = Dose,
            ["own_projection"] = trait < 0 ? null : ByLayer(layers, drift => drift.PerTrait[trait]),
            ["drift_last"] = FindingsData.ByName(traits, Drifts[^1].PerTrait),
            ["drift_magnitude"] = ByLayer(layers, drift => drift.Magnitude),
            ["loglik_plain"] = FindingsData.Number(Plain),
            ["loglik_chat"] = FindingsData.Number(Chat),
            ["preference_change"] = FindingsData.Number(Preference),
        };

        private JsonObject ByLayer(int[] layers, Func<Displacement, double> value) =>
            FindingsData.ByName([.. layers.Select(layer => layer.ToString(CultureInfo.InvariantCulture))], [.. Drifts.Select(value)]);
    }

    private sealed record Reading(
        SteeredDirection Direction, Point[] Points, DoseResponse? Preference, double? Chance, DoseResponse? Own,
        double? Minus, double? Plus, double? MinusChat, double? PlusChat, JsonObject Data);

    private sealed record Equivalence(
        string Name, double? Adapter, double? MeanChange, double? FirstDirection, double? Subtracted, double RelativeNorm, double? DriftLeft, double? Plain, double? Chat, double? AdapterChat)
    {
        internal JsonObject ToJson() => new()
        {
            ["adapter"] = Name,
            ["adapter_preference_change"] = FindingsData.Number(Adapter),
            ["mean_dh_preference_change"] = FindingsData.Number(MeanChange),
            ["first_direction_preference_change"] = FindingsData.Number(FirstDirection),
            ["mean_dh_relative_norm"] = FindingsData.Number(RelativeNorm),
            ["drift_left_at_last"] = FindingsData.Number(DriftLeft),
            ["loglik_plain_change"] = FindingsData.Number(Plain),
            ["loglik_chat_change"] = FindingsData.Number(Chat),
            ["adapter_loglik_chat_change"] = FindingsData.Number(AdapterChat),
            ["subtract_mean_dh_from_adapter_preference_change"] = FindingsData.Number(Subtracted),
        };
    }
}
