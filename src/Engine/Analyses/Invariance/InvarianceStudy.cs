using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Adapters;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Features;

namespace EmScan.Engine.Analyses.Invariance;

/// <summary>Which traits predict the EM rate with the same slope in every environment, and does a detector do better with those alone?</summary>
/// <remarks>Definitions: analyses.md, section 10. Invariant prediction: Peters, Bühlmann and Meinshausen 2016 (arXiv 1501.01332).</remarks>
internal sealed class InvarianceStudy
{
    private const int FewestEnvironments = 3, RandomDraws = 20;
    private static readonly Metric[] Shown = [Metric.Auroc, Metric.FalseNegativeRate, Metric.FalsePositiveRate, Metric.Accuracy, Metric.Spearman];

    private readonly InvarianceRequest _request;
    private readonly FindingsHeader _header;
    private readonly LabelledObservation[] _all;
    private readonly string[] _environments;
    private readonly IReadOnlyList<string> _traits;
    private readonly List<Remark> _notes = [];
    private readonly TraitSlopes[] _slopes;
    private readonly TraitSlopes[] _roots;

    private InvarianceStudy(InvarianceRequest request, FindingsHeader header)
    {
        _request = request;
        _header = header;
        _all = [.. request.Sets.SelectMany(s => s.Checkpoints)];
        _traits = _all[0].Observation.Traits;
        if (_all.FirstOrDefault(c => !c.Observation.Traits.SequenceEqual(_traits)) is { } other)
            throw new EmScanException($"The traits of {other.Observation.Model} ({string.Join(", ", other.Observation.Traits)}) are not those of {_all[0].Observation.Model} ({string.Join(", ", _traits)}); measure all models with one trait set.");
        LabelledObservation[] known = [.. _all.Where(c => Environment(c) != null)];
        if (known.Length < _all.Length)
            _notes.Add(new Remark("no-seed", $"{string.Join(", ", _all.Except(known).Select(c => c.Observation.Run).Distinct())}: nothing tells the seed; left out."));
        _all = known;
        _environments = [.. _all.Select(c => Environment(c)!).Distinct().Order(NaturalOrder.Instance)];
        if (_environments.Length < FewestEnvironments)
        {
            throw new EmScanException(
                $"There {(_environments.Length == 1 ? "is 1 environment" : $"are {_environments.Length} environments")} by {Kind} ({string.Join(", ", _environments)}), and invariance needs at least {FewestEnvironments}; label runs of more, or look at another kind of environment.");
        }

        _slopes = [.. _traits.Select((_, k) => TraitSlopes.Of(Points(c => c.Observation.Displacement.PerTrait[k], root: false)))];
        _roots = [.. _traits.Select((_, k) => TraitSlopes.Of(Points(c => c.Observation.Displacement.PerTrait[k], root: true)))];
    }

    private string Kind => _request.By.ToString().ToLowerInvariant();

    /// <summary>Looks for traits that are invariant.</summary>
    /// <param name="request">The checkpoints, and what an environment is.</param>
    /// <exception cref="EmScanException">There are fewer than three environments, or the traits differ.</exception>
    internal static Findings Conclude(InvarianceRequest request)
    {
        FindingsHeader header = (request.Sets.Count > 0 ? request.Sets[0].Header : null) ?? throw new EmScanException("There are no labelled checkpoints.");
        return new InvarianceStudy(request, header).ToFindings();
    }

    private string? Environment(LabelledObservation c)
    {
        string? name = _request.By switch { EnvironmentKind.Model => c.Observation.Model, EnvironmentKind.Seed => c.Seed == null ? null : $"seed_{c.Seed}", _ => c.Perturbation };
        return name == null || _request.By == EnvironmentKind.Model || _request.Sets.Count == 1 ? name : $"{c.Observation.Model}: {name}";
    }

    private (string Name, SlopePoint[] Points)[] Points(Func<LabelledObservation, double> x, bool root) =>
    [
        .. _environments.Select(e => (e, _all.Where(c => Environment(c) == e).Select(c => new SlopePoint(
            $"{c.Observation.Model}\n{c.Observation.Run}", x(c), root ? Math.Sqrt(c.EmRate) : c.EmRate, Noise(c, root))).ToArray())),
    ];

    /// <summary>Sampling variance of a measured rate, at a rate that is never 0 or 1 (Agresti and Coull 1998); of its root, 1 / 4n.</summary>
    private static double Noise(LabelledObservation c, bool root)
    {
        if (c.ScoredCount is not { } n || n <= 0) return 0;
        double rate = ((c.EmRate * n) + 2) / (n + 4);
        return root ? 0.25 / n : rate * (1 - rate) / n;
    }

    private Findings ToFindings()
    {
        string[] stable = [.. _traits.Where((_, k) => _slopes[k].Stable)];
        TraitSlopes[] random = RandomDirections();
        Scored full = Score("all traits", _ => [.. Enumerable.Range(0, _traits.Count)])
            ?? throw new EmScanException(_notes.Last(n => n.Code == "not-fitted").Text);
        Scored? restricted = Score("stable traits", StableWithout);
        Scored beside = restricted == null ? full : full.On(restricted.Set, Flag, _request);
        Scored[] chance = restricted == null ? [] : SameSize();
        AddNotes(restricted);
        MetricComparison? against = restricted == null || restricted.Set.Checkpoints.Count != beside.Set.Checkpoints.Count ? null
            : MetricComparison.Compute(restricted.Set, beside.Set, _request.DangerousAbove, Flag, Flag, new BootstrapOptions(Seed: _request.Seed));
        return new Findings
        {
            Header = _header,
            Conclusion = Conclusion(stable, random, beside, restricted, against),
            Data = new JsonObject
            {
                ["models"] = new JsonArray([.. _request.Sets.Select(s => (JsonNode?)new JsonObject
                {
                    ["model"] = s.Checkpoints[0].Observation.Model, ["layer"] = s.Base.Layer, ["checkpoints"] = s.Checkpoints.Count, ["n0"] = FindingsData.Number(s.Header?.Step0Norm),
                })]),
                ["by"] = Kind,
                ["threshold"] = _request.DangerousAbove,
                ["learner"] = _request.Learner.Name,
                ["traits"] = new JsonArray([.. _traits.Select((trait, k) => (JsonNode?)TraitJson(trait, _slopes[k], _roots[k]))]),
                ["stable_traits"] = FindingsData.Texts(stable),
                ["random_directions"] = new JsonObject
                {
                    ["count"] = random.Length,
                    ["i2"] = FindingsData.Numbers(random.Select(r => r.I2 ?? double.NaN)),
                    ["stable"] = random.Count(r => r.Stable),
                },
                ["detector_full"] = full.ToJson(_traits),
                ["detector_full_on_same"] = beside == full ? null : beside.ToJson(_traits),
                ["detector_stable"] = restricted?.ToJson(_traits),
                ["detector_stable_minus_full"] = against == null ? null : new JsonObject(Shown.Select(m => KeyValuePair.Create(Key(m), (JsonNode?)EstimateJson(against.Differences[m])))),
                ["detector_random_traits"] = chance.Length == 0 ? null : new JsonObject { ["count"] = chance.Length, ["auroc"] = FindingsData.Numbers(chance.Select(c => c.Report[Metric.Auroc].Value ?? double.NaN)) },
            },
            Tables = [TraitTable(random), DetectorTable(full, beside, restricted, chance), SlopeTable()],
            Curves = [.. _traits.Select((trait, k) => Curve(trait, _slopes[k]))],
            Notes = _notes,
        };
    }

    private double Flag => _request.Learner.FlaggedAbove(_request.DangerousAbove);

    /// <summary>The same slopes along directions that mean nothing, one set of them for each base model.</summary>
    private TraitSlopes[] RandomDirections()
    {
        var directions = new Dictionary<string, double[][]>();
        foreach (LabelledObservation c in _all)
        {
            if (directions.ContainsKey(c.Observation.Model)) continue;
            var random = new Random(_request.Seed);
            var drawn = new double[RandomDraws][];
            for (int r = 0; r < RandomDraws; r++) Normal.Direction(random, drawn[r] = new double[c.Observation.Displacement.ActivationChange.Length]);
            directions.Add(c.Observation.Model, drawn);
        }

        return [.. Enumerable.Range(0, RandomDraws).Select(r => TraitSlopes.Of(Points(c => System.Numerics.Tensors.TensorPrimitives.Dot(
            c.Observation.Displacement.ActivationChange.AsSpan(), directions[c.Observation.Model][r]), root: false)))];
    }

    private int[] StableWithout(string left) =>
        [.. Enumerable.Range(0, _traits.Count).Where(k => TraitSlopes.Without(Points(c => c.Observation.Displacement.PerTrait[k], root: false), left).Stable)];

    /// <summary>Detectors on as many traits, drawn at random in each fold.</summary>
    private Scored[] SameSize()
    {
        Dictionary<string, int> sizes = _environments.ToDictionary(e => e, e => StableWithout(e).Length);
        if (sizes.Values.All(s => s == 0 || s == _traits.Count)) return [];
        var found = new Scored?[RandomDraws];
        Parallel.For(0, RandomDraws, draw =>
        {
            var random = new Random(_request.Seed + draw);
            var chosen = new Dictionary<string, int[]>();
            foreach (string environment in _environments)
            {
                int[] traits = [.. Enumerable.Range(0, _traits.Count)];
                random.Shuffle(traits);
                chosen[environment] = [.. traits.Take(sizes[environment]).Order()];
            }

            found[draw] = Score("random traits", e => chosen[e], remark: false);
        });
        return [.. found.OfType<Scored>()];
    }

    /// <summary>Scores every environment with a detector fitted on the others, on the traits that are chosen without it.</summary>
    private Scored? Score(string name, Func<string, int[]> traitsWithout, bool remark = true)
    {
        var scores = new List<ScoredCheckpoint>();
        var folds = new List<(string, int[])>();
        foreach (string left in _environments)
        {
            int[] traits = traitsWithout(left);
            folds.Add((left, traits));
            if (traits.Length == 0) continue;
            LabelledObservation[] test = [.. _all.Where(c => Environment(c) == left)];
            LabelledObservation[] training =
                [.. _all.Where(c => Environment(c) != left && (_request.By == EnvironmentKind.Model || c.Observation.Model == test[0].Observation.Model))];
            var features = new SimpleFeature(
                "drift-of-some", name, o => [.. traits.Select(k => $"drift_{o.Traits[k]}")], o => [.. traits.Select(k => o.Displacement.PerTrait[k])]);
            try
            {
                Detector detector = new DetectorRecipe(features, _request.Learner).Fit(training, _request.DangerousAbove, _request.Seed);
                scores.AddRange(test.Select(c => new ScoredCheckpoint(c, detector.Score(c.Observation))));
            }
            catch (EmScanException e)
            {
                if (remark) _notes.Add(new Remark("not-fitted", $"The detector on {name} could not be fitted without {left}: {e.Message}"));
            }
        }

        if (scores.Count == 0) return null;
        return Scored.Of(name, folds, new EvaluationSet(scores.Select(s => s.ToEvaluated())), Flag, _request);
    }

    private void AddNotes(Scored? restricted)
    {
        if (_slopes.All(s => s.DesignEffect == null)) _notes.Add(new Remark("one-run", "Every environment has one run, so that errors are those of independent checkpoints: too small, and I^2 too large."));
        string[] undefined = [.. _slopes[0].Environments.Where(e => _slopes.All(s => s.Environments.First(o => o.Name == e.Name).Slope == null)).Select(e => e.Name)];
        if (undefined.Length > 0) _notes.Add(new Remark("no-slope", $"{string.Join(", ", undefined)}: fewer than 3 labelled checkpoints, or no drift, and no slope; no trait is stable while that is so."));
        if (_all.Any(c => c.ScoredCount == null)) _notes.Add(new Remark("no-counts", "The labels do not say on how many answers they were measured, so that their sampling error is not known; an environment of equal rates has no error and is left out of Q."));
        if (restricted == null) _notes.Add(new Remark("no-stable-trait", "In no fold is any trait stable among the other environments, so that there is no detector to restrict."));
        else if (restricted.Folds.Any(f => f.Traits.Length == 0))
            _notes.Add(new Remark("unscored-folds", $"Without {string.Join(", ", restricted.Folds.Where(f => f.Traits.Length == 0).Select(f => f.Environment))} no trait is stable among the others, so that the restricted detector does not score it; its figures are of the rest."));
        string[] weak = [.. _environments.Where(e => _all.Where(c => Environment(c) == e).All(c => c.EmRate <= _request.DangerousAbove))];
        if (weak.Length > 0)
            _notes.Add(new Remark("harmless-environments", $"In {weak.Length} of {_environments.Length} environments no rate exceeds the threshold ({string.Join(", ", weak.Take(6))}{(weak.Length > 6 ? ", ..." : "")}): their slopes are near 0 whatever the drift, which alone makes slopes differ."));
    }

    private string Conclusion(string[] stable, TraitSlopes[] random, Scored full, Scored? restricted, MetricComparison? against)
    {
        double[] i2 = [.. _slopes.Select(s => s.I2).OfType<double>()];
        string where = $"{_environments.Length} {(_request.By == EnvironmentKind.Perturbation ? "perturbations" : Kind + "s")}";
        string which = stable.Length == 0
            ? string.Create(CultureInfo.InvariantCulture, $"No trait predicts the EM rate with the same slope in all {where}{(i2.Length == 0 ? "" : $" (I^2 {i2.Min():0.00} to {i2.Max():0.00})")}")
            : $"{(stable.Length == _traits.Count ? $"All {_traits.Count} traits" : $"{stable.Length} of {_traits.Count} traits ({string.Join(", ", stable)})")} {(stable.Length == 1 ? "predicts" : "predict")} the EM rate with the same slope in all {where}";
        int alike = random.Count(r => r.Stable);
        string chance = stable.Length > 0 && 2 * alike >= random.Length
            ? $", but so do {alike} of {random.Length} random directions: that is no property of traits." : $"; of {random.Length} random directions {alike} {(alike == 1 ? "does" : "do")}.";
        string detector = restricted == null
            ? string.Create(CultureInfo.InvariantCulture, $" On an environment that it has not seen a detector on all traits has AUROC {Auroc(full)}; there is nothing to restrict it to.")
            : string.Create(CultureInfo.InvariantCulture, $" On an environment that it has not seen a detector on the traits that are stable among the others has AUROC {Auroc(restricted)}, one on all traits {Auroc(full)}{(against?.Differences[Metric.Auroc] is { Value: { } d, Interval: { } range } ? $" (difference {d:+0.000;-0.000;0.000} [{range.Low:+0.000;-0.000;0.000}, {range.High:+0.000;-0.000;0.000}])" : "")}.");
        return which + chance + detector;

        static string Auroc(Scored s) => s.Report[Metric.Auroc].Value is { } v ? v.ToString("0.000", CultureInfo.InvariantCulture) : "that cannot be formed";
    }

    private static JsonObject TraitJson(string trait, TraitSlopes slopes, TraitSlopes roots) => new()
    {
        ["trait"] = trait,
        ["environments"] = new JsonArray([.. slopes.Environments.Select((e, i) => (JsonNode?)new JsonObject
        {
            ["name"] = e.Name,
            ["n"] = e.Count,
            ["runs"] = e.Runs,
            ["slope"] = FindingsData.Number(e.Slope),
            ["se"] = e.Slope == null ? null : FindingsData.Number(e.StandardError),
            ["interval_95"] = e.Slope is { } b ? FindingsData.Numbers([b - (1.96 * e.StandardError), b + (1.96 * e.StandardError)]) : null,
            ["se_checkpoints"] = e.Slope == null ? null : FindingsData.Number(e.CheckpointError),
            ["se_jackknife"] = FindingsData.Number(e.JackknifeError),
            ["slope_root"] = FindingsData.Number(roots.Environments[i].Slope),
            ["se_root"] = roots.Environments[i].Slope == null ? null : FindingsData.Number(roots.Environments[i].StandardError),
        })]),
        ["design_effect"] = FindingsData.Number(slopes.DesignEffect),
        ["slope"] = FindingsData.Number(slopes.Mean),
        ["q"] = FindingsData.Number(slopes.Q),
        ["df"] = slopes.Freedom,
        ["p"] = FindingsData.Number(slopes.P),
        ["i2"] = FindingsData.Number(slopes.I2),
        ["one_sign"] = slopes.OneSign,
        ["stable"] = slopes.Stable,
        ["q_root"] = FindingsData.Number(roots.Q),
        ["i2_root"] = FindingsData.Number(roots.I2),
        ["stable_root"] = roots.Stable,
    };

    private FindingsTable TraitTable(TraitSlopes[] random)
    {
        double[] i2 = [.. random.Select(r => r.I2).OfType<double>().Order()];
        return new FindingsTable(
            $"slope of the EM rate on the drift, by {Kind}; stable: I^2 below {TraitSlopes.LargestI2.ToString(CultureInfo.InvariantCulture)} and one sign",
            [new("trait"), new("slope", "+0.000;-0.000;0.000"), new("least", "+0.000;-0.000;0.000"), new("largest", "+0.000;-0.000;0.000"), new("Q", "0.0"), new("df", "0"), new("p", "0.0000"), new("I^2", "0.00"), new("I^2 of root", "0.00"), new("one sign"), new("stable")],
            [
                .. _traits.Select((trait, k) => (IReadOnlyList<object?>)
                [
                    trait, _slopes[k].Mean, _slopes[k].Environments.Min(e => e.Slope), _slopes[k].Environments.Max(e => e.Slope), _slopes[k].Q, (double)_slopes[k].Freedom, _slopes[k].P, _slopes[k].I2, _roots[k].I2,
                    _slopes[k].OneSign ? "yes" : "no", _slopes[k].Stable ? "yes" : "no",
                ]),
                [
                    $"{random.Length} random directions, median", null, null, null, null, null, null, i2.Length == 0 ? null : Quantile.OfSorted(i2, 0.5), null,
                    $"{random.Count(r => r.OneSign)} of {random.Length}", $"{random.Count(r => r.Stable)} of {random.Length}",
                ],
            ]);
    }

    private FindingsTable DetectorTable(Scored full, Scored beside, Scored? restricted, Scored[] chance)
    {
        return new FindingsTable(
            $"detectors ({_request.Learner.Title}) on a {Kind} that was left out; 95% intervals over runs; chance is AUROC 0.5",
            [new("on"), new("traits"), new("checkpoints", "0"), new("dangerous", "0"), new("AUROC", "0.000"), new("low", "0.000"), new("high", "0.000"), new("missed %", "0.0"), new("false alarms %", "0.0")],
            [
                Row(full, $"{_traits.Count}"),
                .. beside == full ? [] : (IReadOnlyList<object?>[])[Row(beside, $"{_traits.Count}")],
                .. restricted == null ? [] : (IReadOnlyList<object?>[])[Row(restricted, Range(restricted))],
                .. chance.Length == 0 ? [] : (IReadOnlyList<object?>[])
                [
                    [
                        $"as many random traits, mean of {chance.Length}", Range(chance[0]), (double)chance[0].Set.Checkpoints.Count, (double)chance[0].Report.Counts.Dangerous, Mean(Metric.Auroc), Quantiles(0.025), Quantiles(0.975),
                        100 * Mean(Metric.FalseNegativeRate), 100 * Mean(Metric.FalsePositiveRate),
                    ],
                ],
            ]);

        double? Mean(Metric metric) => chance.Select(c => c.Report[metric].Value).OfType<double>().ToArray() is { Length: > 0 } known ? known.Average() : null;

        double? Quantiles(double q) => chance.Select(c => c.Report[Metric.Auroc].Value).OfType<double>().ToArray() is { Length: > 0 } known ? Quantile.Of(known, q) : null;

        static IReadOnlyList<object?> Row(Scored s, string traits) =>
        [
            s.Name, traits, (double)s.Set.Checkpoints.Count, (double)s.Report.Counts.Dangerous, s.Report[Metric.Auroc].Value, s.Report[Metric.Auroc].Interval?.Low, s.Report[Metric.Auroc].Interval?.High,
            100 * s.Report[Metric.FalseNegativeRate].Value, 100 * s.Report[Metric.FalsePositiveRate].Value,
        ];

        static string Range(Scored s) => (s.Folds.Min(f => f.Traits.Length), s.Folds.Max(f => f.Traits.Length)) is var (low, high) && low == high ? $"{low}" : $"{low} to {high}";
    }

    private FindingsTable SlopeTable() => new(
        "slopes", [new(Kind), new("checkpoints", "0"), new("runs", "0"), .. _traits.SelectMany(t => new FindingsColumn[] { new(t, "+0.000;-0.000;0.000"), new("se", "0.000") })],
        [
            .. _environments.Select((name, e) => (IReadOnlyList<object?>)
            [
                name, (double)_slopes[0].Environments[e].Count, (double)_slopes[0].Environments[e].Runs,
                .. _slopes.SelectMany(s => new object?[] { s.Environments[e].Slope, s.Environments[e].Slope == null ? null : s.Environments[e].StandardError }),
            ]),
        ]);

    private FindingsCurve Curve(string trait, TraitSlopes slopes)
    {
        (EnvironmentSlope Slope, double X)[] known = [.. slopes.Environments.Select((e, i) => (e, i + 1.0)).Where(e => e.e.Slope != null)];
        return new FindingsCurve(
            $"Slopes by {Kind}", trait, $"{Kind}, by its place in the table of slopes", "slope of the EM rate on the drift", [.. known.Select(k => k.X)], [.. known.Select(k => k.Slope.Slope!.Value)])
        {
            Low = [.. known.Select(k => k.Slope.Slope!.Value - (1.96 * k.Slope.StandardError))],
            High = [.. known.Select(k => k.Slope.Slope!.Value + (1.96 * k.Slope.StandardError))],
        };
    }

    private static string Key(Metric metric) => metric switch { Metric.FalseNegativeRate => "fnr", Metric.FalsePositiveRate => "fpr", _ => metric.ToString().ToLowerInvariant() };

    private static JsonObject EstimateJson(Estimate e) => new() { ["value"] = FindingsData.Number(e.Value), ["low"] = FindingsData.Number(e.Interval?.Low), ["high"] = FindingsData.Number(e.Interval?.High) };

    /// <summary>A detector's figures over environments that it had not seen.</summary>
    private sealed record Scored(string Name, IReadOnlyList<(string Environment, int[] Traits)> Folds, EvaluationSet Set, EvaluationReport Report)
    {
        internal static Scored Of(string name, IReadOnlyList<(string, int[])> folds, EvaluationSet set, double flag, InvarianceRequest request) =>
            new(name, folds, set, EvaluationReport.Compute(set, request.DangerousAbove, flag, new BootstrapOptions(Seed: request.Seed)));

        /// <summary>The same on the checkpoints of another set; itself where it has no others.</summary>
        internal Scored On(EvaluationSet other, double flag, InvarianceRequest request)
        {
            if (other.Checkpoints.Count == Set.Checkpoints.Count) return this;
            HashSet<(string?, string, Formats.CheckpointStep)> kept = [.. other.Checkpoints.Select(c => (c.Model, c.Run, c.Step))];
            return Of($"{Name}, where there are stable ones", Folds, new EvaluationSet(Set.Checkpoints.Where(c => kept.Contains((c.Model, c.Run, c.Step)))), flag, request);
        }

        internal JsonObject ToJson(IReadOnlyList<string> traits)
        {
            var data = new JsonObject
            {
                ["checkpoints"] = Set.Checkpoints.Count,
                ["dangerous"] = Report.Counts.Dangerous,
                ["folds"] = new JsonArray([.. Folds.Select(f => (JsonNode?)new JsonObject { ["left_out"] = f.Environment, ["traits"] = FindingsData.Texts(f.Traits.Select(k => traits[k])) })]),
            };
            foreach (Metric metric in Shown) data[Key(metric)] = EstimateJson(Report[metric]);
            return data;
        }
    }
}
