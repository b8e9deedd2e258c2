using System.Globalization;
using EmScan.Engine.Adapters;
using EmScan.Engine.Drift;
using EmScan.Engine.Reports;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Analyses.Scan;

/// <summary>The rows of a scan or a watch as findings, for reports that know no analysis. May be asked for at any time.</summary>
/// <remarks>Not thread safe. Keeps one row for each checkpoint, without hidden states.</remarks>
/// <param name="judge">What verdicts rest on.</param>
internal sealed class ScanFindings(Judge judge) : IScanReport
{
    private const string RatePlot = "Predicted EM rate", ForecastPlot = "Largest EM rate to come", LevelPlot = "Against the benign controls";
    private const string DriftPlot = "Drift from the base", PlanePlot = "Along and off the drift axis";
    private const string Signed = "+0.000;-0.000;0.000", TrendColumn = "trend / 100 steps";

    /// <summary>So many remarks of one kind are listed; a long watch can have thousands.</summary>
    private const int MostNotes = 20;

    private readonly OrderedDictionary<string, Run> _runs = [];
    private readonly List<Remark> _remarks = [];
    private ScanHeader? _header;
    private ScanTally? _tally;

    /// <summary>Adds something that a reader must know, such as what discovery left out.</summary>
    public void Remark(Remark remark) => _remarks.Add(remark);

    /// <inheritdoc/>
    public void Begin(ScanHeader header, ScanTally tally) => (_header, _tally) = (header, tally);

    /// <inheritdoc/>
    public void BeginRun(CheckpointRun run, Displacement baseline)
    {
        ArgumentNullException.ThrowIfNull(run);
        _runs.TryAdd(run.Name, new Run(run.Name, []));
    }

    /// <inheritdoc/>
    public void Add(ScanPoint point, Assessment assessment)
    {
        ArgumentNullException.ThrowIfNull(point);
        ArgumentNullException.ThrowIfNull(assessment);
        var calibrated = assessment.Verdict as CalibratedVerdict;
        Displacement? moved = (point as MeasuredPoint)?.Displacement;
        _runs[point.Checkpoint.Run].Rows.Add(new Row(
            point.Checkpoint, moved?.PerTrait, moved?.Magnitude ?? double.NaN, calibrated?.Axis ?? double.NaN, calibrated?.Score ?? double.NaN,
            calibrated?.Interval?.Low ?? double.NaN, calibrated?.Interval?.High ?? double.NaN, (assessment.Verdict as BenignVerdict)?.Level ?? double.NaN,
            (assessment.Verdict as EffectSize)?.Effect ?? double.NaN, calibrated?.Forecast, assessment));
    }

    /// <inheritdoc/>
    public void Finish() { }

    /// <inheritdoc/>
    public void Dispose() { }

    /// <summary>The findings so far.</summary>
    /// <exception cref="InvalidOperationException">Nothing has begun.</exception>
    public Findings ToFindings()
    {
        ScanHeader header = _header ?? throw new InvalidOperationException("The scan has not begun.");
        ScanTally tally = _tally!;
        Run[] ordered = [.. _runs.Values.Where(r => r.Rows.Count > 0).Select(r => r with { Rows = [.. r.Rows.OrderBy(row => row.Checkpoint.Step)] })];
        bool rates = judge.Kind == VerdictKind.Calibrated;
        string alarmPlot = rates ? RatePlot : judge.Kind == VerdictKind.Benign ? LevelPlot : DriftPlot;
        var curves = new List<FindingsCurve>();
        var marks = new List<FindingsMark>();
        foreach (Run run in ordered)
        {
            Row[] drawn = [.. run.Rows.Where(r => r.Drift != null && r.Checkpoint.Step.Number.HasValue)];
            if (drawn.Length == 0) continue;
            double[] steps = [0, .. drawn.Select(r => (double)r.Checkpoint.Step.Number!.Value)];
            if (rates)
            {
                curves.Add(new FindingsCurve(RatePlot, run.Name, "step", "EM %", steps[1..], Percent(drawn, r => r.Score)) { Low = Percent(drawn, r => r.Low), High = Percent(drawn, r => r.High) });
            }

            if (header.Forecasts)
            {
                curves.Add(new FindingsCurve(ForecastPlot, run.Name, "step", "EM % to come", steps[1..], Percent(drawn, r => r.ToCome)) { Low = Percent(drawn, r => r.ToComeLow), High = Percent(drawn, r => r.ToComeHigh) });
            }

            if (judge.Kind == VerdictKind.Benign) curves.Add(new FindingsCurve(LevelPlot, run.Name, "step", "drift, in units of the controls' threshold", steps[1..], [.. drawn.Select(r => r.Level)]));
            curves.Add(new FindingsCurve(DriftPlot, run.Name, "step", "|drift|, in units of n0", steps, [0, .. drawn.Select(r => r.Magnitude)]));
            if (drawn.Any(r => double.IsFinite(r.Axis)))
            {
                curves.Add(new FindingsCurve(
                    PlanePlot, run.Name, "along the drift axis (x . PC1)", "off the axis", [0, .. drawn.Select(r => r.Axis)],
                    [0, .. drawn.Select(r => Math.Sqrt(Math.Max(0, (r.Magnitude * r.Magnitude) - (r.Axis * r.Axis))))]));
            }

            if (drawn.FirstOrDefault(r => r.Assessment.State == AssessmentState.Dangerous) is { } first)
                marks.Add(new FindingsMark(alarmPlot, first.Checkpoint.Step.Number!.Value, rates ? 100 * first.Score : first.Level, $"{run.Name}: first alarm at step {first.Checkpoint.Step}") { Curve = run.Name });
            if (drawn.FirstOrDefault(r => r.Forecast is { Alarm: true }) is { } warned)
                marks.Add(new FindingsMark(ForecastPlot, warned.Checkpoint.Step.Number!.Value, 100 * warned.ToCome, $"{run.Name}: alarming from step {warned.Checkpoint.Step} on") { Curve = run.Name });
        }

        return new Findings
        {
            Conclusion = Conclusion(ordered, tally),
            Verdict = judge.Kind == VerdictKind.EffectSize ? FindingsVerdict.None
                : tally[AssessmentState.Dangerous] > 0 ? FindingsVerdict.Dangerous
                : ordered.Any(r => r.FirstExpected != null) ? FindingsVerdict.Expected
                : tally.Complete && judge.Weakness == null ? FindingsVerdict.Clear : FindingsVerdict.Unknown,
            Header = Header(header),
            Notes = Notes(ordered),
            Curves = curves,
            Marks = marks,
            Thresholds = [.. Thresholds()],
            Tables = [RunTable(ordered), CheckpointTable(ordered, header), .. ValidationTable()],
        };
    }

    private IEnumerable<FindingsThreshold> Thresholds()
    {
        if (judge.Calibration is { } calibration)
            yield return new FindingsThreshold(RatePlot, 100 * calibration.FlaggedAbove, string.Create(CultureInfo.InvariantCulture, $"dangerous above {100 * calibration.FlaggedAbove:0.##}%"));
        if (judge.Calibration?.Forecaster?.AlarmAbove is { } above)
            yield return new FindingsThreshold(ForecastPlot, 100 * above, string.Create(CultureInfo.InvariantCulture, $"95% of benign runs stay below {100 * above:0.#}%"));
        if (judge.Kind == VerdictKind.Benign) yield return new FindingsThreshold(LevelPlot, 1, "unlike the benign controls above 1");
    }

    private string Conclusion(Run[] runs, ScanTally tally)
    {
        string now = Now(runs, tally);
        Run[] expected = [.. runs.Where(r => r.FirstExpected != null).OrderByDescending(r => r.LargestExpected)];
        if (expected.Length == 0) return now;
        string named = string.Join("; ", expected.Take(3).Select(r => string.Create(
            CultureInfo.InvariantCulture, $"{r.Name}, from step {r.FirstExpected!.Checkpoint.Step} on (largest rate to come {100 * r.LargestExpected:0.0}%)")));
        string further = tally[AssessmentState.Dangerous] > 0 ? " further" : "";
        return $"{now} {expected.Length}{further} {(expected.Length == 1 ? "run is" : "runs are")} expected to become dangerous: {named}{(expected.Length > 3 ? $"; and {expected.Length - 3} more" : "")}.";
    }

    private string Now(Run[] runs, ScanTally tally)
    {
        Run[] flagged = [.. runs.Where(r => r.First(AssessmentState.Dangerous) != null)];
        string what = judge.Kind == VerdictKind.Benign ? "unlike the benign controls" : "dangerous";
        if (flagged.Length > 0)
        {
            string named = string.Join("; ", flagged.Take(3).Select(r => $"{r.Name}, first at step {r.First(AssessmentState.Dangerous)!.Checkpoint.Step}"));
            return $"{flagged.Length} of {runs.Length} {(runs.Length == 1 ? "run is" : "runs are")} {what}: {named}{(flagged.Length > 3 ? $"; and {flagged.Length - 3} more" : "")}.";
        }

        if (judge.Kind == VerdictKind.EffectSize)
        {
            Row? farthest = runs.SelectMany(r => r.Rows).Where(r => r.Drift != null).MaxBy(r => r.Magnitude);
            return farthest == null ? "Nothing was measured."
                : string.Create(CultureInfo.InvariantCulture, $"These are drifts, not verdicts: {farthest.Checkpoint.Run} step {farthest.Checkpoint.Step} is farthest from the base, |drift| {farthest.Magnitude:0.000}.");
        }

        if (tally.Complete && judge.Weakness == null) return $"No checkpoint of {tally.Found} is {what}.";
        string counts = string.Join(", ", new[] { AssessmentState.Unknown, AssessmentState.Failed, AssessmentState.Skipped }.Where(s => tally[s] > 0).Select(s => $"{tally[s]} {s.ToName()}"));
        return $"This is no all-clear: {tally[AssessmentState.Ok] + tally[AssessmentState.Unchanged]} of {tally.Found} checkpoints were measured and judged, none of them {what}{(counts.Length > 0 ? $"; {counts}" : "")}.";
    }

    private List<Remark> Notes(Run[] runs)
    {
        var notes = new List<Remark>();
        if (judge.Weakness is { } weakness) notes.Add(new Remark("weak-calibration", $"The calibration {weakness}: neither a flag nor its absence says much."));
        foreach (IGrouping<string, Remark> kind in _remarks.GroupBy(r => r.Code))
        {
            notes.AddRange(kind.Take(MostNotes));
            if (kind.Skip(MostNotes).Any()) notes.Add(new Remark(kind.Key, $"... and {kind.Count() - MostNotes} more of this kind."));
        }

        foreach (IGrouping<string, Row> same in runs.SelectMany(r => r.Rows).Where(r => r.Assessment.Error != null).GroupBy(r => r.Assessment.Error!))
            notes.Add(new Remark(same.First().Assessment.State == AssessmentState.Skipped ? "skipped" : "failed", same.Key));
        foreach (Run run in runs)
        {
            foreach (IGrouping<string, Row> doubt in run.Rows.SelectMany(r => r.Assessment.Doubts.Select(d => (r, d))).GroupBy(x => x.d.Text, x => x.r))
                notes.Add(new Remark("doubt", $"{run.Name}, {(doubt.Count() == 1 ? "step" : "steps")} {string.Join(", ", doubt.Select(r => r.Checkpoint.Step))}: {doubt.Key}."));
        }

        return notes;
    }

    private FindingsTable RunTable(Run[] runs)
    {
        bool rates = judge.Kind == VerdictKind.Calibrated;
        return new FindingsTable(
            "Runs",
            [new("run"), new("verdict"), new("checkpoints", "0"), new("first alarm"), new("last |drift|", "0.000"), .. rates ? [new FindingsColumn("last EM %", "0.0"), new FindingsColumn("largest EM %", "0.0")] : (FindingsColumn[])[],
                .. _header!.Forecasts ? [new FindingsColumn("last to come %", "0.0"), new FindingsColumn("first forecast alarm")] : (FindingsColumn[])[], new(TrendColumn, "+0.0000;-0.0000;0.0000")],
            [
                .. runs.Select(run =>
                {
                    Row? last = run.Rows.LastOrDefault(r => r.Drift != null);
                    return (IReadOnlyList<object?>)
                    [
                        run.Name, run.Worst, (double)run.Rows.Count, run.First(AssessmentState.Dangerous)?.Checkpoint.Step.ToString(), last?.Magnitude,
                        .. rates ? [100 * last?.Score, 100 * run.Rows.Select(r => r.Score).Where(double.IsFinite).DefaultIfEmpty(double.NaN).Max()] : (object?[])[],
                        .. _header.Forecasts ? [100 * last?.ToCome, run.Rows.FirstOrDefault(r => r.Forecast is { Alarm: true })?.Checkpoint.Step.ToString()] : (object?[])[],
                        100 * last?.Assessment.Trend?.PerStep,
                    ];
                }),
            ]);
    }

    private FindingsTable CheckpointTable(Run[] runs, ScanHeader header)
    {
        // What is looked for first stands first: on a narrow screen the rest is scrolled to.
        var columns = new List<FindingsColumn> { new("run"), new("step", "0"), new("verdict") };
        string[] verdictColumns = judge.Kind switch
        {
            VerdictKind.Calibrated => ["EM %", "low", "high", .. header.Forecasts ? ["to come %", "to come low", "to come high"] : (string[])[], "axis"],
            VerdictKind.Benign => ["level"],
            _ => ["effect"],
        };
        columns.AddRange(verdictColumns.Select(c => new FindingsColumn(c, c == "axis" ? Signed : c is "level" or "effect" ? "0.00" : "0.0")));
        columns.Add(new("|drift|", "0.000"));
        columns.Add(new(TrendColumn, "+0.0000;-0.0000;0.0000"));
        columns.AddRange(header.Traits.Select(t => new FindingsColumn(t, Signed)));
        columns.Add(new("visible %", "0"));
        columns.Add(new("doubts"));
        return new FindingsTable("Checkpoints", columns,
        [
            .. runs.SelectMany(run => run.Rows.Select(row => (IReadOnlyList<object?>)
            [
                run.Name, row.Checkpoint.Step.Number is { } step ? (double)step : "final", Word(row.Assessment),
                .. judge.Kind switch
                {
                    VerdictKind.Calibrated =>
                    [
                        100 * row.Score, 100 * row.Low, 100 * row.High,
                        .. header.Forecasts ? [100 * row.ToCome, 100 * row.ToComeLow, 100 * row.ToComeHigh] : (object?[])[], row.Axis,
                    ],
                    VerdictKind.Benign => [row.Level],
                    _ => (object?[])[row.Effect],
                },
                row.Magnitude, 100 * row.Assessment.Trend?.PerStep, .. header.Traits.Select((_, t) => (object?)row.Drift?[t]), 100 * row.Assessment.VisibleShare,
                string.Join("; ", row.Assessment.Doubts.Select(d => d.Text)),
            ])),
        ]);
    }

    private FindingsTable[] ValidationTable()
    {
        if (judge.Calibration is not { Validations.Count: > 0 } calibration) return [];
        return
        [
            new FindingsTable(
                "How the calibration did on what it had not seen", [new("validation"), new("figure"), new("value", "0.0"), new("95% low", "0.0"), new("95% high", "0.0")],
                [
                    .. calibration.Validations.SelectMany(v => new (string Name, Estimate? Estimate)[]
                    {
                        ("missed dangerous checkpoints, %", v.Report[Metric.FalseNegativeRate]), ("false alarms, %", v.Report[Metric.FalsePositiveRate]),
                        ("AUROC, %", v.Report[Metric.Auroc]), ("90% intervals that hold the rate, %", v.Coverage?.Coverage),
                    }.Where(f => f.Estimate != null).Select(f => (IReadOnlyList<object?>)
                        [v.Name, f.Name, 100 * f.Estimate!.Value, 100 * f.Estimate.Interval?.Low, 100 * f.Estimate.Interval?.High])),
                ]),
        ];
    }

    private static ScanHeader Header(ScanHeader header) =>
        header.VerdictBasis == null ? header : header with { NumericMode = $"{header.NumericMode}; verdicts: {header.VerdictBasis}" };

    private static double[] Percent(Row[] rows, Func<Row, double> value) => [.. rows.Select(r => 100 * value(r))];

    private static string Word(Assessment assessment)
    {
        string state = assessment.State == AssessmentState.Dangerous ? "DANGEROUS" : assessment.State.ToName();
        if (assessment.Verdict is CalibratedVerdict { Expected: true } verdict) state += string.Create(CultureInfo.InvariantCulture, $", EXPECTED to reach {100 * verdict.Forecast!.Rate:0.0}%");
        return state;
    }

    private sealed record Run(string Name, List<Row> Rows)
    {
        internal Row? First(AssessmentState state) => Rows.FirstOrDefault(r => r.Assessment.State == state);

        /// <summary>The first checkpoint with an alarming forecast, in a run of which none is dangerous yet.</summary>
        internal Row? FirstExpected => First(AssessmentState.Dangerous) == null ? Rows.FirstOrDefault(r => r.Forecast is { Alarm: true }) : null;

        internal double LargestExpected => Rows.Where(r => r.Forecast is { Alarm: true }).Max(r => r.ToCome);

        /// <summary>The most alarming state of any of its checkpoints.</summary>
        internal string Worst => (First(AssessmentState.Dangerous) ?? First(AssessmentState.Unknown) ?? First(AssessmentState.Failed) ?? First(AssessmentState.Skipped) ?? Rows[^1]).Assessment.State is var state && state == AssessmentState.Dangerous ? "DANGEROUS" : state.ToName();
    }

    private sealed record Row(
        Checkpoint Checkpoint, IReadOnlyList<double>? Drift, double Magnitude, double Axis, double Score, double Low, double High, double Level, double Effect, Forecast? Forecast,
        Assessment Assessment)
    {
        internal double ToCome => Forecast?.Rate ?? double.NaN;

        internal double ToComeLow => Forecast?.Interval.Low ?? double.NaN;

        internal double ToComeHigh => Forecast?.Interval.High ?? double.NaN;
    }
}
