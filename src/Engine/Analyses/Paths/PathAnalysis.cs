using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Paths;

/// <summary>Along theta(t) = base + t dW: does drift rise smoothly while capability stays flat?</summary>
/// <remarks>Definitions: docs/path.md. Linear mode connectivity: arXiv 1912.05671; task vectors: 2212.04089.</remarks>
/// <param name="adapters">Each with a path of its own; at least one.</param>
/// <param name="request">What is read at every point.</param>
internal sealed class PathAnalysis(IReadOnlyList<PathAdapter> adapters, PathRequest request) : IAnalysis
{
    // A drift that ends below this, in units of n0, has no shape worth a word.
    private const double SmallestDrift = 0.02;
    private static readonly double[] Doses = [0, .125, .25, .375, .5, .625, .75, .875, 1, 1.25, 1.5];
    private static readonly double[] Falls = [0.02, 0.05, 0.1];
    private static readonly int AtOne = Array.IndexOf(Doses, 1);

    private readonly Dictionary<string, string> _names = AdapterNames.Of(adapters.Select(a => a.Adapter));
    private PathProbe? _probe;
    private PromptSet?[] _heldOut = [];

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _probe = new PathProbe(context, request);
        _heldOut = [.. adapters.Select(adapter => LogLikelihood.Answers($"held-out texts of {adapter.Adapter.Path}", adapter.HeldOut))];
        yield return _probe.Cells(Variant.Base, _heldOut)
            .Concat(adapters.SelectMany((adapter, a) => Points(adapter).Skip(1).SelectMany(point => _probe.Cells(point, _heldOut[a]))));
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        List<Remark> notes = PathNotes.Of(request, adapters, withReadability: true);
        Run[] runs = [.. adapters.Select((adapter, a) => Read(context, adapter, _heldOut[a], notes))];
        return new Findings
        {
            Header = context.Header,
            Conclusion = string.Join('\n', runs.Select(r => r.Conclusion)),
            Data = new JsonObject { ["runs"] = new JsonArray([.. runs.Select(r => (JsonNode?)r.Data)]) },
            Tables = [.. runs.Select(r => r.Table)],
            Curves = [.. runs.SelectMany(r => r.Curves)],
            Notes = notes,
        };
    }

    private static Variant[] Points(PathAdapter adapter) => [.. Doses.Select(t => Variant.Of(adapter.Adapter, t))];

    private Run Read(AnalysisContext context, PathAdapter adapter, PromptSet? heldOut, List<Remark> notes)
    {
        string name = _names[adapter.Adapter.Path];
        var lens = new LensView(context.Lens, context.Vocabulary, adapter.DomainTokens);
        Point[] points = [.. Points(adapter).Select((variant, i) => Measured(variant, Doses[i], heldOut, lens))];
        double[] upToOne = Doses[..(AtOne + 1)];
        Point one = points[AtOne];
        (double magnitudeError, double axisError) = _probe!.StandardErrors(Points(adapter)[AtOne], one.Drift);

        var shape = new JsonObject();
        var unclear = new List<string>();
        for (int k = 0; k < context.Directions.Traits.Count; k++)
            Add(context.Directions.Traits[k], [.. points.Take(AtOne + 1).Select(p => p.Drift.PerTrait[k])], one.Drift.StandardErrors[k]);
        PathShape magnitude = Add("drift_magnitude", [.. points.Take(AtOne + 1).Select(p => p.Drift.Magnitude)], magnitudeError);
        if (one.Axis != null) Add("axis", [.. points.Take(AtOne + 1).Select(p => p.Axis!.Value)], axisError);
        else shape["axis"] = null;
        if (unclear.Count > 0)
            notes.Add(new Remark("no-shape", $"{name}: {string.Join(", ", unclear)} {(unclear.Count == 1 ? "ends" : "end")} below {SmallestDrift} n0 or two standard errors; what their shape says is noise ('significant' is false)."));

        double[] sizes = [.. points.Select(p => p.Drift.Magnitude)];
        double? chatChange = one.Chat - points[0].Chat, plainChange = one.Plain - points[0].Plain;
        var data = new JsonObject
        {
            ["adapter"] = name,
            ["path"] = adapter.Adapter.Path,
            ["layer"] = context.Layer,
            ["n0"] = FindingsData.Number(context.Step0Norm),
            ["axis_loadings"] = request.Axis == null ? null : FindingsData.ByName(context.Directions.Traits, request.Axis),
            ["points"] = new JsonArray([.. points.Select(p => (JsonNode?)p.ToJson(context.Directions.Traits))]),
            ["shape"] = shape,
            ["half_dose"] = FindingsData.Number(one.Drift.Magnitude > 0 ? PiecewiseLinear.FirstReach(upToOne, sizes[..(AtOne + 1)], one.Drift.Magnitude / 2) : null),
            ["chat_falls_at"] = FallsAt(points, p => p.Chat),
            ["plain_falls_at"] = FallsAt(points, p => p.Plain),
            ["loglik_chat_change_at_1"] = FindingsData.Number(chatChange),
            ["loglik_plain_change_at_1"] = FindingsData.Number(plainChange),
            ["preference_spearman_with_drift"] = points[0].Preference.PerToken == null ? null
                : FindingsData.RankCorrelation(RankCorrelation.Spearman([.. points.Take(AtOne + 1).Select(p => p.Preference.PerToken!.Value)], sizes[..(AtOne + 1)])),
        };
        return new Run(data, Conclusion(name, one, magnitude, unclear.Contains("drift_magnitude"), chatChange, plainChange), Table(context, name, points), Curves(name, points));

        PathShape Add(string quantity, double[] values, double error)
        {
            PathShape described = PathShape.Of(upToOne, values);
            bool significant = Math.Abs(values[^1]) >= Math.Max(SmallestDrift, 2 * error);
            if (!significant) unclear.Add(quantity);
            shape[quantity] = new JsonObject
            {
                ["spearman"] = FindingsData.RankCorrelation(described.Spearman),
                ["linearity_r2"] = FindingsData.Number(described.LinearityR2),
                ["chord_deviation"] = FindingsData.Number(described.ChordDeviation),
                ["monotone_steps"] = described.MonotoneSteps,
                ["steps"] = described.Steps,
                ["significant"] = significant,
            };
            return described;
        }
    }

    private Point Measured(Variant variant, double t, PromptSet? heldOut, LensView lens)
    {
        Displacement drift = _probe!.Drift(variant);
        return new Point(
            t, drift, _probe.Axis(drift), _probe.Plain(variant), _probe.Chat(variant), _probe.Pooled(variant, heldOut), _probe.Preference(variant),
            drift.MeanActivationChange > 0 ? lens.DomainProbability(_probe.MeanChange(variant)) : null);
    }

    private static JsonObject FallsAt(Point[] points, Func<Point, double?> logLikelihood)
    {
        var falls = new JsonObject();
        foreach (double fall in Falls)
        {
            falls[fall.ToString(CultureInfo.InvariantCulture)] = logLikelihood(points[0]) is not { } start ? null
                : FindingsData.Number(PiecewiseLinear.FirstReach(Doses, [.. points.Select(p => start - logLikelihood(p)!.Value)], fall));
        }

        return falls;
    }

    private static string Conclusion(string name, Point one, PathShape magnitude, bool unclear, double? chat, double? plain)
    {
        string rise = one.Drift.Magnitude == 0 ? "no drift"
            : unclear ? string.Create(CultureInfo.InvariantCulture, $"hardly any drift (|x| {one.Drift.Magnitude:0.000} n0)")
            : string.Create(CultureInfo.InvariantCulture,
                $"drift rises {(magnitude.LinearityR2 >= 0.99 ? "linearly" : magnitude.MonotoneSteps == magnitude.Steps ? "smoothly" : "unevenly")} to {one.Drift.Magnitude:0.000} n0 (R2 {magnitude.LinearityR2:0.000}, off the chord by {100 * magnitude.ChordDeviation:0}%)");
        return $"{name}: {rise}; {Change("chat", chat)}, {Change("plain text", plain)} at t = 1.";

        static string Change(string what, double? change) => change is not { } nats ? $"log-likelihood of {what} not measured"
            : string.Create(CultureInfo.InvariantCulture, $"log-likelihood of {what} {(nats < 0 ? "falls" : "rises")} by {Math.Abs(nats):0.000} nats a token");
    }

    private static FindingsTable Table(AnalysisContext context, string name, Point[] points) => new(
        name,
        [
            new("t", "0.000"), .. context.Directions.Traits.Select(trait => new FindingsColumn(trait, "+0.000;-0.000;0.000")), new("|drift|", "0.000"),
            new("axis", "+0.000;-0.000;0.000"), new("plain", "0.0000"), new("chat", "0.0000"), new("finetuning", "0.0000"), new("preference", "+0.000;-0.000;0.000"),
        ],
        [.. points.Select(p => (IReadOnlyList<object?>)[p.T, .. p.Drift.PerTrait.Cast<object?>(), p.Drift.Magnitude, p.Axis, p.Plain, p.Chat, p.HeldOut, p.Preference.PerToken])]);

    private static IReadOnlyList<FindingsCurve> Curves(string name, Point[] points)
    {
        return [.. new[] { Curve("drift along the path", "|x| / n0", p => p.Drift.Magnitude), Curve("log-likelihood along the path", "chat, nats a token", p => p.Chat), Curve("log-likelihood along the path", "plain, nats a token", p => p.Plain) }.OfType<FindingsCurve>()];

        FindingsCurve? Curve(string plot, string label, Func<Point, double?> value) =>
            value(points[0]) == null ? null : new FindingsCurve(plot, $"{name} {label}", "t", label, Doses, [.. points.Select(p => value(p)!.Value)]);
    }

    private sealed record Point(
        double T, Displacement Drift, double? Axis, double? Plain, double? Chat, double? HeldOut, (double? PerToken, double? Sum) Preference, double? Readability)
    {
        internal JsonObject ToJson(IReadOnlyList<string> traits) => new()
        {
            ["t"] = T,
            ["drift"] = FindingsData.ByName(traits, Drift.PerTrait),
            ["drift_magnitude"] = FindingsData.Number(Drift.Magnitude),
            ["axis"] = FindingsData.Number(Axis),
            ["mean_activation_change"] = FindingsData.Number(Drift.MeanActivationChange),
            ["loglik_plain"] = FindingsData.Number(Plain),
            ["loglik_chat"] = FindingsData.Number(Chat),
            ["loglik_finetuning"] = FindingsData.Number(HeldOut),
            ["answer_preference"] = FindingsData.Number(Preference.PerToken),
            ["answer_preference_sum"] = FindingsData.Number(Preference.Sum),
            ["readability"] = FindingsData.Number(Readability),
        };
    }

    private sealed record Run(JsonObject Data, string Conclusion, FindingsTable Table, IReadOnlyList<FindingsCurve> Curves);
}
