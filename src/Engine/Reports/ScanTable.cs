using System.Globalization;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Reports;

/// <summary>The table for people: one block per run, one row per checkpoint, drifts in units of n0.</summary>
internal sealed class ScanTable(TextWriter output) : IScanReport
{
    private const int StepWidth = 8;
    private const int TrendWidth = 11;

    /// <summary>Slope of |drift| over the last checkpoints, for 100 optimizer steps.</summary>
    private const string Trend = "trend/100";

    private IReadOnlyList<string> _traits = [];
    private int[] _widths = [];
    private string _heading = "";
    private bool _forecasts;

    /// <inheritdoc/>
    public void Begin(ScanHeader header, ScanTally tally)
    {
        ArgumentNullException.ThrowIfNull(header);
        _traits = header.Traits;
        _widths = [.. _traits.Select(t => Math.Max(t.Length, 6) + 2)];
        output.WriteLine($"model   {Printable.Of(header.ModelPath)}  ({header.ModelDescription}, {header.LayerCount} layers, hidden size {header.HiddenSize})");
        output.WriteLine($"traits  {Printable.Of(header.TraitSet)}, directions {Pooling(header)}{Printable.Of(header.Directions)}");
        output.WriteLine(
            $"drift   mean of {header.Prompts} prompts, {header.Place.ToPhrase()}, layer {header.Layer}, in units of the base's activation norm ({Number(header.Step0Norm, "G4")})");
        output.WriteLine($"device  {header.Device}, {header.Threads} {(header.Threads == 1 ? "thread" : "threads")}, {header.NumericMode} mode");
        _forecasts = header.Forecasts;
        _heading = header.VerdictKind switch
        {
            VerdictKind.Calibrated => $"{"axis",9}{"EM %",7} [ 90%      ]{(_forecasts ? $"{"to come",9}" : "")}  verdict",
            VerdictKind.Benign => $"{"benign",10}{Trend,TrendWidth}  verdict",
            VerdictKind.EffectSize => $"{Trend,TrendWidth}{"effect",8} [95%]",
            _ => "",
        };
        if (header.VerdictBasis != null) output.WriteLine($"verdict {Printable.Of(header.VerdictBasis)}");
    }

    // The usual ones need no word; others are named, also where they are what fits the place.
    private static string Pooling(ScanHeader header) =>
        header.DirectionsPooling is { } pooling && pooling != Traits.Pooling.LastToken.ToName() ? $"({pooling}) " : "";

    /// <inheritdoc/>
    public void BeginRun(CheckpointRun run, Displacement baseline)
    {
        ArgumentNullException.ThrowIfNull(run);
        output.WriteLine();
        output.WriteLine(Printable.Of(run.Name));
        output.Write("step".PadLeft(StepWidth));
        for (int k = 0; k < _traits.Count; k++) output.Write(_traits[k].PadLeft(_widths[k]));
        output.WriteLine($"   |drift|{_heading}");
        Row("0", baseline, null, "base");
    }

    /// <inheritdoc/>
    public void Add(ScanPoint point, Assessment assessment)
    {
        ArgumentNullException.ThrowIfNull(point);
        ArgumentNullException.ThrowIfNull(assessment);
        string step = point.Checkpoint.Step.ToString();
        if (point is not MeasuredPoint measured)
        {
            output.WriteLine($"{step.PadLeft(StepWidth)}  {StateText.NotMeasured(assessment)}");
            output.Flush();
            return;
        }

        Row(step, measured.Displacement, assessment, measured.Displacement.ChangesNothing ? "changes nothing up to this layer" : measured.Changed ? "changed on disk, measured again" : "");
    }

    /// <inheritdoc/>
    public void Finish() => output.Flush();

    /// <summary>Flushes; the writer belongs to the caller.</summary>
    public void Dispose() => output.Flush();

    private void Row(string step, Displacement point, Assessment? assessment, string remark)
    {
        output.Write(step.PadLeft(StepWidth));
        for (int k = 0; k < _traits.Count; k++) output.Write(Number(point.PerTrait[k], "+0.000;-0.000;0.000").PadLeft(_widths[k]));
        string text = assessment?.Verdict switch
        {
            CalibratedVerdict v => Text(v, assessment.State),
            BenignVerdict v => $"{Number(v.Level, "0.00"),9}x{TrendOf(assessment),TrendWidth}  {StateText.Word(assessment.State, "UNLIKE BENIGN", "like benign")}",
            EffectSize { Effect: { } effect, Interval: { } interval } => $"{TrendOf(assessment),TrendWidth}{Number(effect, "0.00"),8} [{Number(interval.Low, "0.00")}, {Number(interval.High, "0.00")}]",
            _ => "",
        };
        string[] remarks = [.. StateText.Behind(assessment), remark, StateText.Doubts(assessment)];
        output.WriteLine($"{Number(point.Magnitude, "0.000"),10}{text}{string.Concat(remarks.Where(r => r.Length > 0).Select(r => "  " + r))}");
        output.Flush();
    }

    private static string TrendOf(Assessment assessment) => assessment.Trend is { } trend ? Number(100 * trend.PerStep, "+0.0000;-0.0000;0.0000") : "-";

    private string Text(CalibratedVerdict v, AssessmentState state)
    {
        string axis = v.Axis is { } position ? Number(position, "+0.000;-0.000;0.000") : "-";
        string interval = v.Interval is { } i ? $" [{Number(100 * i.Low, "0.0"),4}, {Number(100 * i.High, "0.0"),4}]" : "";
        string toCome = !_forecasts ? "" : $"{(v.Forecast is { } forecast ? Number(100 * forecast.Rate, "0.0") : "-"),9}";
        string outside = v.Outside ? $", outside the calibrated range ({Number(v.Distance, "0.0")}x)" : "";
        return $"{axis,9}{Number(100 * v.Score, "0.0"),7}{interval}{toCome}  {StateText.Word(state, "DANGEROUS", "ok")}{outside}{StateText.Expected(v)}";
    }

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
