using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Analyses.Invariance;

/// <content>What is told of it.</content>
internal sealed partial class InvarianceStudy
{
    private Findings ToFindings()
    {
        string[] stable = [.. _traits.Where((_, k) => _slopes[k].Stable)];
        TraitSlopes[] random = RandomDirections();
        ScoredEnvironments full = Score("all traits", _ => [.. Enumerable.Range(0, _traits.Count)])
            ?? throw new EmScanException(_notes.Last(n => n.Code == "not-fitted").Text);
        ScoredEnvironments? restricted = Score("stable traits", StableWithout);
        ScoredEnvironments beside = restricted == null ? full : full.On(restricted.Set, Flag, _request);
        ScoredEnvironments[] chance = restricted == null ? [] : SameSize();
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
                ["detector_stable_minus_full"] = against == null ? null : new JsonObject(ScoredEnvironments.Shown.Select(m => KeyValuePair.Create(ScoredEnvironments.Key(m), (JsonNode?)ScoredEnvironments.EstimateJson(against.Differences[m])))),
                ["detector_random_traits"] = chance.Length == 0 ? null : new JsonObject { ["count"] = chance.Length, ["auroc"] = FindingsData.Numbers(chance.Select(c => c.Report[Metric.Auroc].Value ?? double.NaN)) },
            },
            Tables = [TraitTable(random), DetectorTable(full, beside, restricted, chance), SlopeTable()],
            Curves = [.. _traits.Select((trait, k) => Curve(trait, _slopes[k]))],
            Notes = _notes,
        };
    }

    private void AddNotes(ScoredEnvironments? restricted)
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

    private string Conclusion(string[] stable, TraitSlopes[] random, ScoredEnvironments full, ScoredEnvironments? restricted, MetricComparison? against)
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

        static string Auroc(ScoredEnvironments s) => s.Report[Metric.Auroc].Value is { } v ? v.ToString("0.000", CultureInfo.InvariantCulture) : "that cannot be formed";
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

    private FindingsTable DetectorTable(ScoredEnvironments full, ScoredEnvironments beside, ScoredEnvironments? restricted, ScoredEnvironments[] chance)
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

        static IReadOnlyList<object?> Row(ScoredEnvironments s, string traits) =>
        [
            s.Name, traits, (double)s.Set.Checkpoints.Count, (double)s.Report.Counts.Dangerous, s.Report[Metric.Auroc].Value, s.Report[Metric.Auroc].Interval?.Low, s.Report[Metric.Auroc].Interval?.High,
            100 * s.Report[Metric.FalseNegativeRate].Value, 100 * s.Report[Metric.FalsePositiveRate].Value,
        ];

        static string Range(ScoredEnvironments s) => (s.Folds.Min(f => f.Traits.Length), s.Folds.Max(f => f.Traits.Length)) is var (low, high) && low == high ? $"{low}" : $"{low} to {high}";
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
}
