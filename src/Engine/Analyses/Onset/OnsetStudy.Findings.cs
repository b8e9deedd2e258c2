using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Drift;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Onset;

/// <content>What is told of it.</content>
internal sealed partial class OnsetStudy
{
    private void AddNotes()
    {
        string[] unnumbered = [.. _runs.Where(r => r.Points.Count < r.Drifts.Points.Count).Select(r => r.Title)];
        if (unnumbered.Length > 0) _notes.Add(new Remark("no-step", $"{string.Join(", ", unnumbered)}: the adapter at the end has no step of its own and is left out."));
        string[] few = [.. _runs.Where(r => r.Reading.Shape == null).Select(r => r.Title)];
        if (few.Length > 0) _notes.Add(new Remark("no-shape", $"{string.Join(", ", few)}: fewer than {SeriesShape.FewestPoints} steps, or no drift at all, have no shape; its quantities are null."));
        if (_runs.Any(r => r.Bootstrap == null && r.Reading.Shape != null))
            _notes.Add(new Remark("no-prompts", "A scan's folder has means over prompts, so that nothing is drawn over prompts there; measure the adapters themselves with the same output folder, and what it has on record is not measured again."));
        if (_axis == null && _notes.All(n => n.Code != "no-axis"))
            _notes.Add(new Remark("no-axis", $"There is no axis, so that 'axis' is null: none is given, and one of the runs themselves takes {DriftAxis.FewestRuns} of one base model."));
        if (_runs.All(r => r.Reading.Rates == null)) _notes.Add(new Remark("no-labels", "There are no labels, so that nothing is said of behaviour: neither leads nor which runs are harmless."));
        else if (_runs.Where(r => r.Reading.Rates == null).Select(r => r.Title).ToArray() is { Length: > 0 } unlabelled)
            _notes.Add(new Remark("not-labelled", $"{string.Join(", ", unlabelled)}: not labelled; what needs EM rates is null."));
        if (_runs.Any(r => r.Reading.IsDangerous == false))
            _notes.Add(new Remark("rate-below-threshold", string.Create(CultureInfo.InvariantCulture, $"Where the EM rate never exceeds {_request.DangerousAbove:0.##%} it has no half and no lead; its change point, and lead_change_point, are noise.")));
        if (_benign == null) _notes.Add(new Remark("no-benign-level", "No run is known to be harmless, so that a drift is not compared with theirs; give harmless runs or labels."));
        foreach (IGrouping<string, Perturbation> same in _perturbations.Where(p => p.WhyNot != null).GroupBy(p => p.WhyNot!))
            _notes.Add(new Remark("no-onset", $"No onset is claimed for {string.Join(", ", same.Select(p => p.Title))}: {same.Key}."));
    }

    private Findings ToFindings() => new()
    {
        Header = _request.Scans[0].Header,
        Conclusion = Conclusion(),
        Data = new JsonObject
        {
            ["series"] = Series(),
            ["threshold"] = _request.DangerousAbove,
            ["axis_loadings"] = _axis == null ? null : FindingsData.ByName(_request.Scans[0].Header.Traits, _axis),
            ["benign_level"] = _benign is not { } level ? null : new JsonObject
            {
                ["value"] = FindingsData.Number(level.Value),
                ["of"] = level.Run,
                ["runs"] = FindingsData.Texts(_runs.Where(r => r.IsBenign).Select(r => r.Title)),
            },
            ["bootstrap"] = new JsonObject { ["draws"] = _request.Draws, ["seed"] = _request.Seed },
            ["runs"] = new JsonArray([.. _runs.Select(r => (JsonNode?)r.ToJson(_axis))]),
            ["perturbations"] = new JsonArray([.. _perturbations.Select(p => (JsonNode?)p.ToJson())]),
        },
        Tables = [.. _perturbations.Any(p => p.Runs.Length > 1) ? [PerturbationTable()] : (FindingsTable[])[], RunTable()],
        Curves = [.. Curves()],
        Marks = [.. _runs.Where(r => r.Reading.Shape?.Crossing50 != null).Select(r => new FindingsMark(DriftPlot, r.Reading.Shape!.Crossing50!.Value, r.Reading.Values.Max() / 2, $"{r.Title}: half-way") { Curve = r.Title })],
        Thresholds =
        [
            .. _benign is { } reach ? [new FindingsThreshold(DriftPlot, reach.Value, $"harmless runs reach this ({reach.Run})")] : (FindingsThreshold[])[],
            .. _runs.Any(r => r.Reading.Rates != null) ? [new FindingsThreshold(RatePlot, 100 * _request.DangerousAbove, string.Create(CultureInfo.InvariantCulture, $"dangerous above {_request.DangerousAbove:0.##%}"))] : (FindingsThreshold[])[],
        ],
        Notes = _notes,
    };

    private string Series()
    {
        double[] steps = _runs[0].Reading.Steps;
        bool same = _runs.All(r => r.Reading.Steps.SequenceEqual(steps));
        string which = !same ? "each run's own" : steps.Length > 3
            ? string.Create(CultureInfo.InvariantCulture, $"{steps[0]}, {steps[1]}, ..., {steps[^1]}") : string.Join(", ", steps.Select(s => s.ToString(CultureInfo.InvariantCulture)));
        int layer = _request.Scans[0].Header.Layer;
        string where = _request.Scans.Any(s => s.Header.Layer != layer) ? "each model's layer" : layer < 0 ? "a layer that is not told" : $"layer {layer}";
        return $"drift magnitude |x(c)| at {where}, steps {which}";
    }

    private string Conclusion()
    {
        Run[] shaped = [.. _runs.Where(r => r.Reading.Shape != null)];
        int steps = shaped.Count(r => r.Reading.Shape!.Shape == SeriesShape.Shapes[0]);
        string kinds = string.Join(", ", SeriesShape.Shapes.Skip(1).Select(s => (s, shaped.Count(r => r.Reading.Shape!.Shape == s))).Where(s => s.Item2 > 0).Select(s => $"{s.Item2} {s.s}"));
        double[] halves = [.. shaped.Select(r => r.Reading.Shape!.Crossing50).OfType<double>()];
        string how = string.Create(CultureInfo.InvariantCulture,
            $"Drift rises {(steps == 0 ? "smoothly" : steps == shaped.Length ? "in one step" : $"smoothly in {shaped.Length - steps}")} {(steps == 0 || steps == shaped.Length ? $"in {shaped.Length}" : "")} of {_runs.Length} {(_runs.Length == 1 ? "run" : "runs")}{(kinds.Length > 0 ? $" ({kinds})" : "")}{(halves.Length == 0 ? "" : halves.Length == 1 ? $", half-way at step {halves[0]:0.#}" : $", half-way at steps {halves.Min():0.#} to {halves.Max():0.#}")}.")
            .Replace("  ", " ", StringComparison.Ordinal);
        double[] leads = [.. _runs.Select(r => r.Reading.LeadCrossing).OfType<double>()];
        string lead = leads.Length == 0 ? ""
            : string.Create(CultureInfo.InvariantCulture, $" It is half-way before the EM rate is in {leads.Count(l => l > 0)} of {leads.Length} dangerous {(leads.Length == 1 ? "run" : "runs")}, by {Signed(leads.Min())}{(leads.Length > 1 ? $" to {Signed(leads.Max())}" : "")} steps.");
        return how + lead + Trust();
    }

    private string Trust()
    {
        if (_perturbations.All(p => p.Runs.Length == 1)) return " There is one run of each perturbation: intervals are over prompts alone, and no onset is claimed.";
        Perturbation[] claimed = [.. _perturbations.Where(p => p.WhyNot == null)];
        if (claimed.Length == 0)
        {
            return _benign is { } level ? string.Create(CultureInfo.InvariantCulture, $" No onset is claimed: no perturbation with several runs leaves the range of harmless ones, |x| up to {level.Value:0.000} ({level.Run}).")
                : " No onset is claimed: no drift is large enough.";
        }

        string some = string.Join("; ", claimed.Take(3).Select(p => string.Create(CultureInfo.InvariantCulture,
            $"{p.Title}, logistic midpoint at step {p.Reading.Shape!.Logistic.Midpoint:0.#}{Range(p, "midpoint")}{(p.Reading.LeadMidpoint is { } by ? $", {Signed(by)}{Range(p, "lead_midpoint")} steps before the rate's" : "")}")));
        return $" Over its runs an onset of drift is claimed for {claimed.Length} of {_perturbations.Length} perturbations: {some}{(claimed.Length > 3 ? $"; and {claimed.Length - 3} more" : "")}.";

        static string Range(Perturbation p, string key) =>
            p.Intervals?.GetValueOrDefault(key) is { } range ? string.Create(CultureInfo.InvariantCulture, $" [{range.Low:0.#}, {range.High:0.#}]") : "";
    }

    private static string Signed(double value) => value.ToString("+0.0;-0.0;0", CultureInfo.InvariantCulture);

    private FindingsTable PerturbationTable()
    {
        return new FindingsTable(
            "means over the runs of a perturbation; 95% intervals over runs; '-' where no onset is claimed",
            [
                new("perturbation"), new("runs", "0"), new("shape"), new("|x| at end", "0.000"), new("of benign", "0.00"), new("midpoint", "0.0"), new("low", "0.0"), new("high", "0.0"),
                new("above benign at", "0.0"), new("EM % at end", "0.0"), new("lead at midpoint", "+0.0;-0.0;0.0"), new("low", "+0.0;-0.0;0.0"), new("high", "+0.0;-0.0;0.0"),
            ],
            [
                .. _perturbations.Select(p => (IReadOnlyList<object?>)
                [
                    p.Title, (double)p.Runs.Length, p.Reading.Shape?.Shape, p.Reading.Values.LastOrDefault(), p.Reading.Values.LastOrDefault() / _benign?.Value,
                    Claimed(p, p.Reading.Shape?.Logistic.Midpoint), Claimed(p, p.Intervals?.GetValueOrDefault("midpoint")?.Low), Claimed(p, p.Intervals?.GetValueOrDefault("midpoint")?.High),
                    Claimed(p, p.AboveBenign), 100 * p.Reading.Rates?.Rates[^1], Claimed(p, p.Reading.LeadMidpoint),
                    Claimed(p, p.Intervals?.GetValueOrDefault("lead_midpoint")?.Low), Claimed(p, p.Intervals?.GetValueOrDefault("lead_midpoint")?.High),
                ]),
            ]);

        static double? Claimed(Perturbation p, double? value) => p.WhyNot == null ? value : null;
    }

    private FindingsTable RunTable() => new(
        "each run; 95% intervals over prompts, which is prompt noise only",
        [
            new("run"), new("shape"), new("|x| at end", "0.000"), new("of benign", "0.00"), new("change point", "0"), new("midpoint", "0.0"), new("low", "0.0"), new("high", "0.0"), new("10%", "0.0"), new("50%", "0.0"),
            new("EM above", "0"), new("EM midpoint", "0.0"), new("EM 50%", "0.0"), new("lead at 50%", "+0.0;-0.0;0.0"), new("lead of change", "+0;-0;0"),
        ],
        [
            .. _runs.Select(r => (IReadOnlyList<object?>)
            [
                r.Title, r.Reading.Shape?.Shape, r.Reading.Values[^1], r.Reading.Values[^1] / _benign?.Value, r.Reading.Shape?.Change.Step, r.Reading.Shape?.Logistic.Midpoint,
                r.Intervals?.GetValueOrDefault("midpoint")?.Low, r.Intervals?.GetValueOrDefault("midpoint")?.High, r.Reading.Shape?.Crossing10, r.Reading.Shape?.Crossing50,
                r.Reading.FirstAbove, r.Reading.IsDangerous == true ? r.Reading.RateShape?.Logistic.Midpoint : null, r.Reading.RateCrossing, r.Reading.LeadCrossing,
                r.Reading.IsDangerous == true ? r.Reading.LeadChange : null,
            ]),
        ]);

    private IEnumerable<FindingsCurve> Curves()
    {
        foreach (Run run in _runs) yield return new FindingsCurve(DriftPlot, run.Title, "step", "|drift|, in units of n0", run.Reading.Steps, run.Reading.Values);
        foreach (Run run in _runs.Where(r => r.Reading.Rates != null))
            yield return new FindingsCurve(RatePlot, run.Title, "step", "EM %", run.Reading.Rates!.Steps, [.. run.Reading.Rates.Rates.Select(r => 100 * r)]);
    }
}
