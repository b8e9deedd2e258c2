using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Steering;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Analyses.LayerChoice;

/// <summary>Which layer should be measured? By steering, by separability, and by labels where there are some.</summary>
/// <remarks>
/// The paper's rule (method.md): for each layer of the middle half, the base answers prompts while +a v and -a v are added; divergence is
/// 1 - 2M/T (Ratcliff/Obershelp on characters) between its answers with and without, averaged over signs, prompts and traits; the layer of
/// highest divergence is taken. What a should be the rule leaves open. Here it is the dose at which plain text has lost half a nat a token, of
/// each direction and sign its own, so that all layers are compared at the same damage; beside it the same dose in n0 at every layer.
/// </remarks>
/// <param name="request">What is asked.</param>
internal sealed class LayerChoiceAnalysis(LayerChoiceRequest request) : IAnalysis
{
    private const int Prompts = 6;
    private const int Controls = 4;
    private const int AnswerTokens = 64;
    private const double FixedDose = 0.25;
    private static readonly double[] Doses = [-2, -1, -.5, -.25, -.1, 0, .1, .25, .5, 1, 2];
    private static readonly int[] Signs = [-1, 1];

    private int[] _layers = [];
    private SteeredDirection[][] _directions = []; // [layer][traits, then controls]
    private PromptSet? _prompts;
    private TextScores? _scores;
    private readonly Dictionary<int, double> _n0 = [];
    private readonly Dictionary<Checkpoint, Variant> _variants = []; // one object for each: what failed is known by it
    private readonly List<Remark> _notes = [];

    /// <summary>The layer that steering chooses, once there are findings.</summary>
    internal int Chosen { get; private set; }

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        int quarter = context.LayerCount / 4;
        _layers = [.. Enumerable.Range(quarter, context.LayerCount - (2 * quarter)).Where(layer => layer >= 1 && context.Directions.Layers.Contains(layer))];
        if (_layers.Length == 0) throw new EmScanException("No layer of the middle half can be steered and has directions; there is nothing to choose from.");
        int every = Math.Max(1, context.EvaluationPrompts.Prompts.Count / Prompts);
        _prompts = new PromptSet("steered prompts", [.. context.EvaluationPrompts.Prompts.Where((_, i) => i % every == 0).Take(Prompts)]);
        TextScores scores = _scores = new TextScores(context, request.Texts, [], []);
        yield return _layers.Select(layer => TraitDrift.Projections(context, Variant.Base, layer)).Concat(scores.Cells(Variant.Base)).Append(Answers(Variant.Base));

        foreach (int layer in _layers) _n0[layer] = context.Results[TraitDrift.Projections(context, Variant.Base, layer)]["norms"].Average();
        _directions = [.. _layers.Select(layer => Directions(context, layer).ToArray())];
        yield return _directions.SelectMany(d => d).SelectMany(direction => direction.Variants).Where(variant => !variant.IsBase).SelectMany(variant => scores.Cells(variant));
        yield return _directions.SelectMany(d => d).SelectMany(direction => Signs.SelectMany(sign => new[] { AtUsable(direction, sign), AtFixed(direction, sign) })).Select(Answers);
        if (request.Labels != null)
            yield return Labelled().Select(Of).Prepend(Variant.Base).SelectMany(variant => _layers.Select(layer => Drifts(context, variant, layer)));
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        string[] said = Said(context, Variant.Base);
        LayerReading[] layers = [.. _layers.Select((layer, i) => Read(context, said, layer, _directions[i]))];
        LayerSelection? labelled = Selection(context);
        var rules = new List<(string Rule, string Key, int? Layer)>
        {
            ("steering, before text breaks", "steering", layers.MaxBy(l => l.Effect)!.Layer),
            ("steering, over random directions", "steering_over_random", layers.MaxBy(l => l.Effect - l.RandomEffect)!.Layer),
            ("steering, same dose everywhere", "steering_fixed_dose", layers.MaxBy(l => l.FixedEffect)!.Layer),
            ("separability (d')", "separability", request.Validity.Count == 0 ? null : layers.MaxBy(l => l.Separability)!.Layer),
            ("half of the layers", "half_depth", context.LayerCount / 2),
            ("labels", "labels", labelled?.Chosen),
        };
        Chosen = rules[0].Layer!.Value;
        if (request.Labels == null) _notes.Add(new Remark("no-labels", "There are no labelled checkpoints: which of these choices is a good one is not known."));
        return new Findings
        {
            Header = context.Header,
            Conclusion = Conclusion(rules, labelled),
            Data = new JsonObject
            {
                ["doses"] = FindingsData.Numbers(Doses),
                ["fixed_dose"] = FixedDose,
                ["breaking_fall"] = DoseResponse.BreakingFall,
                ["steered_prompts"] = _prompts!.Prompts.Count,
                ["answer_tokens"] = AnswerTokens,
                ["random_directions"] = Controls,
                ["layers"] = new JsonArray([.. layers.Select(l => (JsonNode?)l.ToJson(labelled))]),
                ["chosen"] = new JsonObject(rules.Select(rule => KeyValuePair.Create(rule.Key, rule.Layer is { } layer ? (JsonNode?)layer : null))),
                ["nested"] = labelled == null ? null : Nested(labelled),
            },
            Tables = [Table(layers), .. RuleTable(rules, labelled)],
            Curves =
            [
                Curve("traits", l => l.Effect), Curve("random directions", l => l.RandomEffect), Curve($"traits at {FixedDose} n0", l => l.FixedEffect),
            ],
            Notes = _notes,
        };

        FindingsCurve Curve(string name, Func<LayerReading, double> value) =>
            new("divergence of what the steered model says", name, "layer", "1 - 2M/T", [.. layers.Select(l => (double)l.Layer)], [.. layers.Select(value)]);
    }

    private IEnumerable<SteeredDirection> Directions(AnalysisContext context, int layer)
    {
        for (int k = 0; k < context.Directions.Traits.Count; k++)
            yield return new SteeredDirection(context.Directions.Traits[k], SteeredKind.Trait, Array.ConvertAll(context.Directions.Direction(layer, k).ToArray(), v => (double)v), layer, _n0[layer], Doses);
        var random = new Random(unchecked((request.Seed * 1009) + layer));
        for (int i = 1; i <= Controls; i++)
            yield return new SteeredDirection($"random_{i}", SteeredKind.Random, SteeredDirection.Random(context.HiddenSize, random), layer, _n0[layer], Doses);
    }

    private Cell Drifts(AnalysisContext context, Variant variant, int layer) => TraitDrift.Projections(context, variant, layer, request.Measured);

    private Cell Answers(Variant variant) => new(variant, _prompts!, new GreedyAnswerReducer(AnswerTokens));

    /// <summary>The largest dose on one side before plain text breaks; the largest measured where it does not.</summary>
    private double UsableDose(SteeredDirection direction, int sign) =>
        DoseResponse.FallsAt(direction.Doses, [.. direction.Variants.Select(variant => _scores!.Plain(variant)!.Value)], sign) ?? Doses[^1];

    private Variant AtUsable(SteeredDirection direction, int sign) => direction.At(sign * UsableDose(direction, sign));

    private static Variant AtFixed(SteeredDirection direction, int sign) => direction.Variants[Array.IndexOf(Doses, sign * FixedDose)];

    private string[] Said(AnalysisContext context, Variant variant) =>
        [.. GreedyAnswerReducer.Answers(context.Results[Answers(variant)]).Select(tokens => context.Vocabulary.Detokenize(tokens))];

    private LayerReading Read(AnalysisContext context, string[] said, int layer, SteeredDirection[] directions)
    {
        SteeredDirection[] traits = [.. directions.Where(d => d.Kind == SteeredKind.Trait)], controls = [.. directions.Except(traits)];
        DirectionValidity[] validity = [.. request.Validity.Where(v => v.Layer == layer)];
        return new LayerReading(
            layer, _n0[layer], Mean(traits, UsableDose), Mean(traits, (d, sign) => Divergence(AtUsable(d, sign))), Mean(controls, UsableDose), Mean(controls, (d, sign) => Divergence(AtUsable(d, sign))),
            Mean(traits, (d, sign) => Divergence(AtFixed(d, sign))), Mean(traits, (d, sign) => _scores!.Plain(Variant.Base)!.Value - _scores.Plain(AtFixed(d, sign))!.Value),
            validity.Length == 0 ? null : validity.Average(v => v.DPrime), validity.Length == 0 ? null : validity.Average(v => v.ProbeAccuracy),
            [.. traits.Select(d => (d.Name, Mean([d], (one, sign) => Divergence(AtUsable(one, sign)))))]);

        double Divergence(Variant variant) => said.Zip(Said(context, variant), (without, with) => 1 - RatcliffObershelp.Ratio(without, with)).Average();

        static double Mean(SteeredDirection[] some, Func<SteeredDirection, int, double> value) => some.SelectMany(d => Signs.Select(sign => value(d, sign))).Average();
    }

    private IReadOnlyList<LabelledCheckpoint> Labelled() => request.Labels?.Checkpoints ?? [];

    private Variant Of(LabelledCheckpoint labelled)
    {
        if (!_variants.TryGetValue(labelled.Checkpoint, out Variant? variant))
            _variants.Add(labelled.Checkpoint, variant = Variant.Of(new AdapterSource(labelled.Checkpoint.Path, labelled.Checkpoint.Step)));
        return variant;
    }

    private LayerSelection? Selection(AnalysisContext context)
    {
        if (request.Labels == null) return null;
        LabelledCheckpoint[] measured = [.. Labelled().Where(c => context.Results.Find(Drifts(context, Of(c), _layers[0])) != null)];
        if (measured.Length < Labelled().Count) _notes.Add(new Remark("left-out", $"{Labelled().Count - measured.Length} of {Labelled().Count} labelled checkpoints could not be measured and are left out."));
        var model = new Lazy<GgufFile>(() => GgufFile.Open(context.Header.ModelPath));
        try
        {
            var selection = LayerSelection.Of(ByLayer(context, measured, model), DetectorRecipe.Default, request.DangerousAbove, request.Seed);
            _notes.AddRange(selection.Remarks.Select(remark => new Remark("not-fitted", remark)));
            return selection;
        }
        catch (EmScanException e)
        {
            _notes.Add(new Remark("labels-not-used", e.Message));
            return null;
        }
    }

    private Dictionary<int, IReadOnlyList<LabelledObservation>> ByLayer(AnalysisContext context, LabelledCheckpoint[] measured, Lazy<GgufFile> model)
    {
        return _layers.ToDictionary(layer => layer, layer => (IReadOnlyList<LabelledObservation>)[.. measured.Select(checkpoint => At(checkpoint, layer))]);

        LabelledObservation At(LabelledCheckpoint labelled, int layer) => new(
            new Observation(
                context.Header.ModelDescription, labelled.Checkpoint.Run, labelled.Checkpoint.Step, context.Directions.Traits,
                TraitDrift.Of(context, Of(labelled), layer, request.Measured),
                new Lazy<AdapterFacts>(() => AdapterFacts.Read(labelled.Checkpoint.Path, labelled.Checkpoint.Step, model.Value))),
            labelled.Label.EmRate, labelled.Label.Perturbation, labelled.Label.Seed);
    }

    private static string Conclusion(List<(string Rule, string Key, int? Layer)> rules, LayerSelection? labelled)
    {
        string chosen = $"Steering chooses layer {rules[0].Layer}{(rules[3].Layer is { } apart ? $", separability layer {apart}" : "")}{(labelled == null ? "" : $", the labels layer {labelled.Chosen}")}";
        if (labelled == null) return $"{chosen}; without labels nothing says which of them is right.";
        int best = labelled.ByLayer.MaxBy(pair => pair.Value[Metric.Auroc].Value).Key;
        string steered = labelled.ByLayer.TryGetValue(rules[0].Layer!.Value, out EvaluationReport? report) ? Auroc(report) : "-";
        return $"{chosen}; with perturbations left out the AUROC is {steered} at steering's layer, {Auroc(labelled.Nested)} where labels choose by the other perturbations, and {Auroc(labelled.ByLayer[best])} at layer {best}, the best in hindsight.";
    }

    private static string Auroc(EvaluationReport report) => report[Metric.Auroc].Value is { } value ? value.ToString("0.000", CultureInfo.InvariantCulture) : "-";

    private static JsonObject Nested(LayerSelection labelled) => new()
    {
        ["auroc"] = FindingsData.Number(labelled.Nested[Metric.Auroc].Value),
        ["fnr"] = FindingsData.Number(labelled.Nested[Metric.FalseNegativeRate].Value),
        ["fpr"] = FindingsData.Number(labelled.Nested[Metric.FalsePositiveRate].Value),
        ["choices"] = new JsonObject(labelled.Choices.Select(choice => KeyValuePair.Create(choice.Perturbation, (JsonNode?)choice.Layer))),
    };

    private static FindingsTable Table(LayerReading[] layers) => new(
        "layer by layer: usable dose in n0, divergence of what the steered model says there, of random directions likewise, at the same dose everywhere; separability",
        [
            new("layer", "0"), new("n0", "0.0"), new("usable dose", "0.00"), new("divergence", "0.000"), new("random: dose", "0.00"), new("divergence", "0.000"),
            new("at 0.25 n0", "0.000"), new("text's loss there", "0.00"), new("d'", "0.0"), new("probe accuracy", "0.000"),
        ],
        [.. layers.Select(l => (IReadOnlyList<object?>)[l.Layer, l.N0, l.Dose, l.Effect, l.RandomDose, l.RandomEffect, l.FixedEffect, l.FixedFall, l.Separability, l.ProbeAccuracy])]);

    private static IEnumerable<FindingsTable> RuleTable(List<(string Rule, string Key, int? Layer)> rules, LayerSelection? labelled)
    {
        if (labelled == null) yield break;
        var rows = new List<IReadOnlyList<object?>>();
        foreach ((string rule, string key, int? layer) in rules.Where(r => r.Key != "labels"))
            rows.Add([rule, layer, .. Figures(layer is { } at ? labelled.ByLayer.GetValueOrDefault(at) : null)]);
        rows.Add(["labels, chosen without the perturbation that is scored", null, .. Figures(labelled.Nested)]);
        int best = labelled.ByLayer.MaxBy(pair => pair.Value[Metric.Auroc].Value).Key;
        rows.Add(["best in hindsight (chosen on what it is scored on)", best, .. Figures(labelled.ByLayer[best])]);
        yield return new FindingsTable(
            "which rule chooses well: leave one perturbation out, the default detector",
            [new("rule"), new("layer", "0"), new("AUROC", "0.000"), new("95%"), new("FNR %", "0.0"), new("FPR %", "0.0")],
            rows);

        static object?[] Figures(EvaluationReport? report) => report == null ? [null, null, null, null] :
        [
            report[Metric.Auroc].Value,
            string.Create(CultureInfo.InvariantCulture, $"{report[Metric.Auroc].Interval?.Low:0.000} to {report[Metric.Auroc].Interval?.High:0.000}"),
            100 * report[Metric.FalseNegativeRate].Value, 100 * report[Metric.FalsePositiveRate].Value,
        ];
    }

    private sealed record LayerReading(
        int Layer, double N0, double Dose, double Effect, double RandomDose, double RandomEffect, double FixedEffect, double FixedFall,
        double? Separability, double? ProbeAccuracy, (string Trait, double Effect)[] ByTrait)
    {
        internal JsonObject ToJson(LayerSelection? labelled) => new()
        {
            ["layer"] = Layer,
            ["n0"] = FindingsData.Number(N0),
            ["usable_dose"] = FindingsData.Number(Dose),
            ["divergence"] = FindingsData.Number(Effect),
            ["divergence_by_trait"] = new JsonObject(ByTrait.Select(t => KeyValuePair.Create(t.Trait, FindingsData.Number(t.Effect)))),
            ["random_usable_dose"] = FindingsData.Number(RandomDose),
            ["random_divergence"] = FindingsData.Number(RandomEffect),
            ["fixed_dose_divergence"] = FindingsData.Number(FixedEffect),
            ["fixed_dose_fall"] = FindingsData.Number(FixedFall),
            ["d_prime"] = FindingsData.Number(Separability),
            ["probe_accuracy"] = FindingsData.Number(ProbeAccuracy),
            ["auroc"] = FindingsData.Number(labelled?.ByLayer[Layer][Metric.Auroc].Value),
            ["fnr"] = FindingsData.Number(labelled?.ByLayer[Layer][Metric.FalseNegativeRate].Value),
            ["fpr"] = FindingsData.Number(labelled?.ByLayer[Layer][Metric.FalsePositiveRate].Value),
        };
    }
}
