using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Paths;

/// <summary>Between two adapters, on base + s A + t B: one basin or a barrier?</summary>
/// <remarks>Definitions: docs/path.md. Linear mode connectivity: arXiv 1912.05671; barrier above the chord: 2110.06296.</remarks>
/// <param name="pairs">Pairs of adapters; at least one.</param>
/// <param name="request">What is read at every point.</param>
internal sealed class PlaneAnalysis(IReadOnlyList<(PathAdapter A, PathAdapter B)> pairs, PathRequest request) : IAnalysis
{
    // Below this a barrier is no more than the rounding of a log-likelihood.
    private const double SmallestBarrier = 0.01;
    private static readonly double[] Grid = [0, .25, .5, .75, 1];
    private static readonly double[] Line = [0, .125, .25, .375, .5, .625, .75, .875, 1];

    private readonly Dictionary<string, string> _names = AdapterNames.Of(pairs.SelectMany(pair => new[] { pair.A.Adapter, pair.B.Adapter }));
    private PathProbe? _probe;
    private (PromptSet? A, PromptSet? B)[] _heldOut = [];
    private Bend[] _bends = [];

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _probe = new PathProbe(context, request);
        _heldOut = [.. pairs.Select(pair => (HeldOut(pair.A), HeldOut(pair.B)))];
        yield return pairs.SelectMany((pair, p) => GridPoints(pair).Concat(LinePoints(pair)).SelectMany(variant => _probe.Cells(variant, _heldOut[p].A, _heldOut[p].B)));
        if (request.Bend == null) yield break;
        _bends = [.. pairs.Select((pair, p) => new Bend(
            pair.A, pair.B, request.Bend.Through, variant => _probe.Cells(variant, _heldOut[p].A, _heldOut[p].B), (variant, half) => _probe.HalfLoss(variant, _heldOut[p], half)))];
        foreach (IEnumerable<Cell> stage in _bends.SelectMany(bend => bend.Plan(Line))) yield return stage;
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        List<Remark> notes = PathNotes.Of(request, [.. pairs.SelectMany(pair => new[] { pair.A, pair.B }).DistinctBy(a => a.Adapter.Path)], withReadability: false);
        if (request.Bend is { Through: null } && _heldOut.Any(h => h.A == null || h.B == null))
            notes.Add(new Remark("bend-near-base", "Without held-out texts of both finetunings the curve is searched by other texts, and those lose least near the base: give the held-out texts, or bend along a third adapter."));
        Reading[] readings = [.. pairs.Select((pair, p) => Read(context, pair, _heldOut[p], _bends.ElementAtOrDefault(p)))];
        return new Findings
        {
            Header = context.Header,
            Conclusion = string.Join('\n', readings.Select(r => r.Conclusion)),
            Data = new JsonObject { ["pairs"] = new JsonArray([.. readings.Select(r => (JsonNode?)r.Data)]) },
            Tables = [.. readings.SelectMany(r => r.Tables)],
            Curves = [.. readings.SelectMany(r => r.Curves)],
            Grids = [.. readings.SelectMany(r => r.Grids)],
            Notes = notes,
        };
    }

    private static PromptSet? HeldOut(PathAdapter adapter) => LogLikelihood.Answers($"held-out texts of {adapter.Adapter.Path}", adapter.HeldOut);

    private static Variant At((PathAdapter A, PathAdapter B) pair, double s, double t) => Variant.Sum(pair.A.Adapter, s, pair.B.Adapter, t);

    private static IEnumerable<Variant> GridPoints((PathAdapter A, PathAdapter B) pair) => Grid.SelectMany(s => Grid.Select(t => At(pair, s, t)));

    private static IEnumerable<Variant> LinePoints((PathAdapter A, PathAdapter B) pair) => Line.Select(u => At(pair, 1 - u, u));

    private Reading Read(AnalysisContext context, (PathAdapter A, PathAdapter B) pair, (PromptSet? A, PromptSet? B) heldOut, Bend? bend)
    {
        Point[][] grid = [.. Grid.Select(s => Grid.Select(t => Measured(At(pair, s, t), heldOut)).ToArray())];
        Point[] line = [.. LinePoints(pair).Select(variant => Measured(variant, heldOut))];
        string a = _names[pair.A.Adapter.Path], b = _names[pair.B.Adapter.Path];
        var data = new JsonObject
        {
            ["a"] = a,
            ["b"] = b,
            ["a_path"] = pair.A.Adapter.Path,
            ["b_path"] = pair.B.Adapter.Path,
            ["s"] = FindingsData.Numbers(Grid),
            ["t"] = FindingsData.Numbers(Grid),
            ["grids"] = "value[i][j] at s = s[i] (weight of a), t = t[j] (weight of b)",
        };
        (string Name, Func<Point, double?> Value)[] losses =
            [("loss", p => p.Loss), ("loss_plain", p => p.LossPlain), ("loss_mixed", p => p.LossMixed), ("loss_a", p => p.LossA), ("loss_b", p => p.LossB)];
        foreach ((string name, Func<Point, double?> value) in (IEnumerable<(string, Func<Point, double?>)>)
            [.. losses, ("drift_magnitude", p => p.Drift.Magnitude), ("axis", p => p.Axis), ("preference", p => p.Preference)])
        {
            data[name] = value(grid[0][0]) == null ? null : new JsonArray([.. grid.Select(row => (JsonNode?)FindingsData.Numbers(row.Select(p => value(p)!.Value)))]);
        }

        data["line"] = new JsonArray([.. line.Select((p, i) => (JsonNode?)p.ToJson(Line[i]))]);
        var barrier = new JsonObject();
        var barriers = new Dictionary<string, LossBarrier>();
        foreach ((string name, Func<Point, double?> value) in losses)
        {
            if (value(line[0]) == null)
            {
                barrier[name] = null;
                continue;
            }

            LossBarrier found = barriers[name] = LossBarrier.Of(Line, [.. line.Select(p => value(p)!.Value)], Grid, [.. grid.Select(row => row.Select(p => value(p)!.Value).ToArray())]);
            barrier[name] = found.ToJson();
        }

        data["barrier"] = barrier;
        double[] ends = [line[0].Drift.Magnitude, line[^1].Drift.Magnitude];
        double least = line.Min(p => p.Drift.Magnitude);
        data["drift_dip"] = new JsonObject { ["min_on_line"] = FindingsData.Number(least), ["ends"] = FindingsData.Numbers(ends), ["ratio"] = FindingsData.Number(least / ends.Min()) };
        double[] together = [.. grid[^1][^1].Drift.PerTrait], sum = [.. grid[^1][0].Drift.PerTrait.Zip(grid[0][^1].Drift.PerTrait, (x, y) => x + y)];
        double ratio = Math.Sqrt(together.Sum(x => x * x) / sum.Sum(x => x * x));
        data["additivity_of_drift_at_1_1"] = new JsonObject { ["ratio"] = FindingsData.Number(ratio), ["cosine"] = FindingsData.Number(FindingsData.Cosine(together, sum)) };
        double cosine = WeightChanges.Cosine(context.Read(pair.A.Adapter), context.Read(pair.B.Adapter));
        data["cosine_of_weight_changes"] = FindingsData.Number(cosine);

        string summary = string.Create(CultureInfo.InvariantCulture,
            $"{a} and {b}: {Basin(barriers)}; weight changes have cosine {cosine:0.00}, drift at A + B is {ratio:0.00} of the sum of both.");
        if (bend == null) return new Reading(data, summary, [BarrierTable(a, b, barriers), LineTable(line)], [], [.. Maps(a, b, grid)]);
        string objective = _probe!.Objective(heldOut), through = request.Bend!.Through == null ? "in the plane" : $"along {request.Bend.Name}";
        Point[] curve = [.. Line.Select(u => Measured(bend.At(bend.Best, u), heldOut))];
        data["bend"] = bend.ToJson(through, objective, Line, new JsonArray([.. curve.Select((p, i) => (JsonNode?)p.ToJson(Line[i]))]));
        Func<Point, double?> loss = losses.First(l => l.Name == objective).Value;
        FindingsTable beside = Bend.Table(
            string.Create(CultureInfo.InvariantCulture, $"the curve {through} (g = {bend.Best:0.###}) beside the line"), Line, line, curve,
            p => [loss(p), p.Loss, p.LossPlain, p.Drift.Magnitude, p.Preference], [objective, "chats", "plain", "|drift|", "preference"]);
        FindingsCurve[] curves =
        [
            new($"{objective} from {a} to {b}", "line", "u", "nats a token", Line, [.. line.Select(p => loss(p)!.Value)]),
            new($"{objective} from {a} to {b}", $"curve {through}", "u", "nats a token", Line, [.. curve.Select(p => loss(p)!.Value)]),
        ];
        return new Reading(
            data, $"{summary}\n{bend.Conclusion(through, objective, Line)}", [BarrierTable(a, b, barriers), beside, LineTable(line)], curves, [.. Maps(a, b, grid)]);
    }

    private static string Basin(Dictionary<string, LossBarrier> barriers)
    {
        if (barriers.Count == 0) return "not decided, as there are no texts";
        string loss = new[] { "loss_mixed", "loss", "loss_plain" }.First(barriers.ContainsKey);
        LossBarrier found = barriers[loss];
        return found.AboveChord <= SmallestBarrier
            ? string.Create(CultureInfo.InvariantCulture, $"one basin: {loss} stays {(found.AboveChord > 0 ? $"within {found.AboveChord:0.000} nats of" : "below")} the chord between them")
            : string.Create(CultureInfo.InvariantCulture, $"a barrier of {found.AboveChord:0.000} nats in {loss} at u = {found.AtU:0.000}");
    }

    private Point Measured(Variant variant, (PromptSet? A, PromptSet? B) heldOut)
    {
        Displacement drift = _probe!.Drift(variant);
        double? lossA = -_probe.Pooled(variant, heldOut.A), lossB = -_probe.Pooled(variant, heldOut.B);
        return new Point(drift, _probe.Axis(drift), -_probe.Chat(variant), -_probe.Plain(variant), lossA, lossB, (lossA + lossB) / 2, _probe.Preference(variant).PerToken);
    }

    private static FindingsTable BarrierTable(string a, string b, Dictionary<string, LossBarrier> barriers) => new(
        $"barriers from A = {a} to B = {b}, nats a token",
        [new("loss"), new("above chord", "0.0000"), new("at u", "0.000"), new("above mean of ends", "0.0000"), new("above higher end", "0.0000"), new("least pass above higher end", "0.0000")],
        [.. barriers.Select(pair => (IReadOnlyList<object?>)[pair.Key, pair.Value.AboveChord, pair.Value.AtU, pair.Value.AboveMean, pair.Value.AboveHigher, pair.Value.PassAboveHigher])]);

    private static FindingsTable LineTable(Point[] line) => new(
        "on the line (1 - u) A + u B",
        [
            new("u", "0.000"), new("loss", "0.0000"), new("plain", "0.0000"), new("a", "0.0000"), new("b", "0.0000"), new("mixed", "0.0000"), new("|drift|", "0.000"),
            new("axis", "+0.000;-0.000;0.000"), new("preference", "+0.000;-0.000;0.000"),
        ],
        [.. line.Select((p, i) => (IReadOnlyList<object?>)[Line[i], p.Loss, p.LossPlain, p.LossA, p.LossB, p.LossMixed, p.Drift.Magnitude, p.Axis, p.Preference])]);

    private static IEnumerable<FindingsGrid> Maps(string a, string b, Point[][] grid)
    {
        foreach ((string name, Func<Point, double?> value) in new (string, Func<Point, double?>)[] { ("loss of chats, nats a token", p => p.Loss), ("loss of held-out texts, nats a token", p => p.LossMixed), ("|drift|, n0", p => p.Drift.Magnitude) })
        {
            if (value(grid[0][0]) != null)
                yield return new FindingsGrid(name, $"weight of {b}", $"weight of {a}", Grid, Grid, [.. grid.Select(row => (IReadOnlyList<double>)[.. row.Select(p => value(p)!.Value)])]);
        }
    }

    private sealed record Point(Displacement Drift, double? Axis, double? Loss, double? LossPlain, double? LossA, double? LossB, double? LossMixed, double? Preference)
    {
        internal JsonObject ToJson(double u) => new()
        {
            ["u"] = u,
            ["loss"] = FindingsData.Number(Loss),
            ["loss_plain"] = FindingsData.Number(LossPlain),
            ["loss_a"] = FindingsData.Number(LossA),
            ["loss_b"] = FindingsData.Number(LossB),
            ["loss_mixed"] = FindingsData.Number(LossMixed),
            ["drift_magnitude"] = FindingsData.Number(Drift.Magnitude),
            ["axis"] = FindingsData.Number(Axis),
            ["preference"] = FindingsData.Number(Preference),
        };
    }

    private sealed record Reading(JsonObject Data, string Conclusion, IReadOnlyList<FindingsTable> Tables, IReadOnlyList<FindingsCurve> Curves, IReadOnlyList<FindingsGrid> Grids);
}
