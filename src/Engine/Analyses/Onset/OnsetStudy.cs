using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Drift;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Onset;

/// <summary>After how many steps does it generalise, in one step or smoothly, and does drift come before behaviour?</summary>
/// <remarks>Definitions: docs/onset.md. Drifts are |x|, each run's own; a perturbation's series is the mean over its runs.</remarks>
internal sealed partial class OnsetStudy
{
    // Without harmless runs to compare with, a drift that ends below this, in units of n0, is nothing to date.
    private const double SmallestDrift = 0.02;
    private const string DriftPlot = "Drift from the base", RatePlot = "Measured EM rate";

    private readonly OnsetRequest _request;
    private readonly List<Remark> _notes = [];
    private readonly Run[] _runs;
    private readonly Perturbation[] _perturbations;
    private readonly (double Value, string Run)? _benign;
    private readonly bool _severalModels;
    private readonly double[]? _axis;

    private OnsetStudy(OnsetRequest request)
    {
        _request = request;
        _severalModels = request.Scans.Count > 1;
        foreach (Remark remark in request.Scans.SelectMany(s => s.Remarks)) _notes.Add(remark);
        DriftScan.RequireComparable(request.Scans);
        _runs = [.. request.Scans.SelectMany((scan, s) => scan.Runs.Select(run => Read(scan, run, request.Labels.Count > s ? request.Labels[s] : null)))];
        _benign = BenignLevel();
        _axis = request.Axis ?? OwnAxis();
        Parallel.For(0, _runs.Length, i => _runs[i].Intervals = _runs[i].Bootstrap?.OverPrompts(request.Draws, request.Seed + i, null));
        _perturbations = [.. _runs.GroupBy(r => (r.Scan, r.Drifts.Perturbation)).Select(g => Gather([.. g]))];
        Parallel.For(0, _perturbations.Length, i => _perturbations[i].Draw(request, i, _benign?.Value));
    }

    /// <summary>Looks for onsets.</summary>
    /// <exception cref="EmScanException">The scans cannot be looked at together, or no run has enough checkpoints; the sentence says why.</exception>
    internal static Findings Conclude(OnsetRequest request)
    {
        var study = new OnsetStudy(request);
        if (study._runs.All(r => r.Reading.Shape == null))
            throw new EmScanException($"No run has a drift at {SeriesShape.FewestPoints} steps or more, the base among them; an onset needs several checkpoints of a run.");
        study.AddNotes();
        return study.ToFindings();
    }

    private Run Read(DriftScan scan, DriftRun run, RunLabels? labels)
    {
        IReadOnlyList<DriftOfStep> points = run.Numbered;
        double[] steps = [.. points.Select(p => (double)p.Step.Number!.Value)], values = [.. points.Select(p => p.Magnitude)];
        RateSeries? rates = labels?.Of(run);
        OnsetReading reading = OnsetReading.Of(steps, values, rates, _request.DangerousAbove);
        bool withPrompts = points.All(p => p.Prompts != null);
        var bootstrap = new OnsetBootstrap(
            steps, [[.. points.Select(p => p.Drift)]], withPrompts ? [[.. points.Select(p => p.Prompts!)]] : null, rates == null ? null : [rates], reading);
        return new Run(scan, run, points, _severalModels ? $"{scan.Model}: {run.Name}" : run.Name, reading, withPrompts && reading.Shape != null ? bootstrap : null);
    }

    /// <summary>The drift axis of the runs themselves: of one base model, three runs or more whose final drifts differ.</summary>
    private double[]? OwnAxis()
    {
        if (_severalModels || _runs.Length < DriftAxis.FewestRuns) return null;
        try
        {
            var builder = new DriftAxisBuilder(_request.Scans[0].Header.Traits);
            foreach (Run run in _runs) builder.Add(run.Drifts.Last.Drift, run.Drifts.Name);
            DriftAxis axis = builder.Fit();
            _notes.Add(new Remark("own-axis", $"'axis' is along the drift axis of these {_runs.Length} runs' final checkpoints."));
            return [.. axis.Loadings];
        }
        catch (EmScanException e)
        {
            _notes.Add(new Remark("no-axis", $"There is no axis, so that 'axis' is null: {e.Message}"));
            return null;
        }
    }

    private (double, string)? BenignLevel()
    {
        Run[] harmless =
        [
            .. _request.Benign is { } named ? _runs.Where(r => named.Matches(r.Drifts.Perturbation, r.Drifts.Name)) : _runs.Where(r => r.Reading.IsDangerous == false),
        ];
        if (_request.Benign != null && harmless.Length == 0)
        {
            throw new EmScanException(
                $"No run fits '{_request.Benign}', which was named as harmless; the perturbations are {string.Join(", ", _runs.Select(r => r.Drifts.Perturbation).Distinct().Order(NaturalOrder.Instance))}.");
        }

        foreach (Run run in harmless) run.IsBenign = true;
        return harmless.Length == 0 ? null : harmless.Select(r => (r.Reading.Values.Max(), r.Title)).MaxBy(r => r.Item1);
    }

    private Perturbation Gather(Run[] runs)
    {
        double[] steps = [.. runs.Select(r => (IEnumerable<double>)r.Reading.Steps).Aggregate((a, b) => a.Intersect(b))];
        int[][] places = [.. runs.Select(r => steps.Select(step => Array.IndexOf(r.Reading.Steps, step)).ToArray())];
        double[] values = [.. steps.Select((_, s) => runs.Select((r, i) => r.Reading.Values[places[i][s]]).Average())];
        RateSeries[]? rates = runs.All(r => r.Reading.Rates != null) ? [.. runs.Select(r => r.Reading.Rates!)] : null;
        OnsetReading reading = OnsetReading.Of(steps, values, rates == null ? null : OnsetBootstrap.Mean(rates), _request.DangerousAbove);
        bool withPrompts = runs.All(r => r.Points.All(p => p.Prompts != null)) && runs.Select(r => r.Points[0].Prompts!.Length).Distinct().Count() == 1;
        var bootstrap = new OnsetBootstrap(
            steps, [.. runs.Select((r, i) => places[i].Select(p => r.Points[p].Drift).ToArray())],
            withPrompts ? [.. runs.Select((r, i) => places[i].Select(p => r.Points[p].Prompts!).ToArray())] : null, rates, reading);
        string title = _severalModels ? $"{runs[0].Scan.Model}: {runs[0].Drifts.Perturbation}" : runs[0].Drifts.Perturbation;
        return new Perturbation(runs, title, reading, bootstrap);
    }

    private static JsonObject? Intervals(IReadOnlyDictionary<string, (double Low, double High)?>? intervals) => intervals == null ? null
        : new JsonObject(intervals.Select(i => KeyValuePair.Create(i.Key, i.Value is { } range ? (JsonNode?)FindingsData.Numbers([range.Low, range.High]) : null)));

    private sealed record Run(DriftScan Scan, DriftRun Drifts, IReadOnlyList<DriftOfStep> Points, string Title, OnsetReading Reading, OnsetBootstrap? Bootstrap)
    {
        internal bool IsBenign { get; set; }

        internal Dictionary<string, (double Low, double High)?>? Intervals { get; set; }

        internal JsonObject ToJson(double[]? axis)
        {
            var data = new JsonObject
            {
                ["run"] = Drifts.Name,
                ["perturbation"] = Drifts.Perturbation,
                ["seed"] = Drifts.Seed,
                ["model"] = Drifts.Model,
                ["layer"] = Scan.Header.Layer < 0 ? null : Scan.Header.Layer,
                ["n0"] = FindingsData.Number(Scan.Header.Step0Norm),
                ["benign"] = IsBenign,
            };
            Reading.AddTo(data);
            data["axis"] = axis == null ? null : FindingsData.Numbers(Points.Select(p => p.Drift.Zip(axis, (x, loading) => x * loading).Sum()));
            data["bootstrap_95"] = OnsetStudy.Intervals(Intervals);
            return data;
        }
    }

    private sealed record Perturbation(Run[] Runs, string Title, OnsetReading Reading, OnsetBootstrap Bootstrap)
    {
        internal Dictionary<string, (double Low, double High)?>? Intervals { get; private set; }

        /// <summary>Why no onset is claimed, a clause; null where one is.</summary>
        internal string? WhyNot { get; private set; }

        internal double? AboveBenign { get; private set; }

        internal void Draw(OnsetRequest request, int index, double? benign)
        {
            WhyNot = Runs.Length == 1 ? "one run says nothing of another one"
                : Reading.Shape == null ? "its runs have no drift at enough steps in common"
                : Runs.All(r => r.IsBenign) ? "it is one of the harmless ones"
                : benign is { } level && Reading.Values.Max() <= level ? string.Create(CultureInfo.InvariantCulture, $"its drift stays within the {level:0.000} n0 that harmless runs reach")
                : benign == null && Reading.Values.Max() < SmallestDrift ? string.Create(CultureInfo.InvariantCulture, $"its drift stays below {SmallestDrift} n0")
                : null;
            if (Runs.Length > 1 && Reading.Shape != null) Intervals = Bootstrap.OverRuns(request.Draws, request.Seed + 1_000_003 + index, benign);
            AboveBenign = WhyNot == null && benign is { } above ? PiecewiseLinear.FirstReach(Reading.Steps, Reading.Values, above) : null;
        }

        internal JsonObject ToJson()
        {
            var data = new JsonObject
            {
                ["perturbation"] = Runs[0].Drifts.Perturbation,
                ["model"] = Runs[0].Drifts.Model,
                ["runs"] = FindingsData.Texts(Runs.Select(r => r.Drifts.Name)),
            };
            Reading.AddTo(data);
            data["bootstrap_runs_95"] = OnsetStudy.Intervals(Intervals);
            data["onset"] = WhyNot != null ? null : new JsonObject
            {
                ["midpoint"] = FindingsData.Number(Reading.Shape!.Logistic.Midpoint),
                ["midpoint_95"] = Range("midpoint"),
                ["above_benign_at"] = FindingsData.Number(AboveBenign),
                ["above_benign_at_95"] = Range("above_benign_at"),
                ["lead_midpoint"] = FindingsData.Number(Reading.LeadMidpoint),
                ["lead_midpoint_95"] = Range("lead_midpoint"),
            };
            data["why_no_onset"] = WhyNot;
            return data;
        }

        private JsonArray? Range(string key) => Intervals?.GetValueOrDefault(key) is { } range ? FindingsData.Numbers([range.Low, range.High]) : null;
    }
}
