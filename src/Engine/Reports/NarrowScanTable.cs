using System.Globalization;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Reports;

/// <summary>
/// The table for narrow terminals: step, the two largest drifts, EM % and verdict. Below 100 columns there is one drift before a calibration's
/// verdict, so that a row with its forecast fits 80 columns; below 64 the drifts have a line of their own, so that a row fits 40.
/// </summary>
internal sealed class NarrowScanTable(TextWriter output, int columns) : IScanReport
{
    private const int OneLine = 64;
    private const int StepWidth = 8;
    private const int StackedIndent = 2;
    private const int TwoDrifts = 100;

    private IReadOnlyList<string> _traits = [];
    private VerdictKind _kind;
    private int _driftsWidth, _largest = 2;

    private bool Stacked => columns < OneLine;

    /// <inheritdoc/>
    public void Begin(ScanHeader header, ScanTally tally)
    {
        ArgumentNullException.ThrowIfNull(header);
        _traits = [.. header.Traits.Select(Printable.Of)];
        _kind = header.VerdictKind;

        // " +0.000" behind a name and two spaces before it; what remains of the line is for two names.
        _largest = _kind == VerdictKind.Calibrated && columns < TwoDrifts && !Stacked ? 1 : 2;
        int taken = Stacked ? StackedIndent : StepWidth + (_kind == VerdictKind.None ? 0 : 7 + 2 + 13);
        int name = Math.Min(_traits.Max(t => t.Length), Math.Max(4, ((columns - taken) / _largest) - 10));
        _traits = [.. _traits.Select(t => t.Length <= name ? t : t[..(name - 1)] + "~")];
        _driftsWidth = _largest * (name + 10);
        output.WriteLine($"model   {Printable.Of(header.ModelPath)}  ({header.ModelDescription})");
        output.WriteLine($"traits  {Printable.Of(header.TraitSet)}, directions {Printable.Of(header.Directions)}");
        output.WriteLine($"drift   the {(_largest == 1 ? "largest" : "two largest")} of {_traits.Count}, mean of {header.Prompts} prompts, layer {header.Layer} of {header.LayerCount}, in units of the base's activation norm");
        output.WriteLine($"device  {header.Device}, {header.NumericMode} mode");
        if (header.VerdictBasis != null) output.WriteLine($"verdict {Printable.Of(header.VerdictBasis)}");
    }

    /// <inheritdoc/>
    public void BeginRun(CheckpointRun run, Displacement baseline)
    {
        ArgumentNullException.ThrowIfNull(run);
        output.WriteLine();
        output.WriteLine(Printable.Of(run.Name));
        string heading = _kind switch
        {
            VerdictKind.Calibrated => $"{"EM %",7}  verdict",
            VerdictKind.Benign => $"{"benign",7}  verdict",
            VerdictKind.EffectSize => $"{"effect",7}",
            _ => "",
        };
        output.WriteLine(Stacked ? $"{"step",StepWidth}{heading}" : $"{"step",StepWidth}{(_largest == 1 ? "  largest drift" : "  largest drifts").PadRight(_driftsWidth)}{heading}");
    }

    /// <inheritdoc/>
    public void Add(ScanPoint point, Assessment assessment)
    {
        ArgumentNullException.ThrowIfNull(point);
        ArgumentNullException.ThrowIfNull(assessment);
        string step = point.Checkpoint.Step.ToString();
        if (point is not MeasuredPoint { Displacement: var moved })
        {
            output.WriteLine($"{step,StepWidth}  {StateText.NotMeasured(assessment)}");
            output.Flush();
            return;
        }

        string[] drifts = [.. Enumerable.Range(0, _traits.Count).OrderByDescending(k => Math.Abs(moved.PerTrait[k])).Take(_largest)
            .Select(k => $"{_traits[k]} {Number(moved.PerTrait[k], "+0.000;-0.000;0.000")}")];
        string judged = assessment.Verdict switch
        {
            CalibratedVerdict v => $"{Number(100 * v.Score, "0.0"),7}  {StateText.Word(assessment.State, "DANGEROUS", "ok")}{(v.Outside && assessment.State != AssessmentState.Unknown ? ", outside" : "")}{StateText.Expected(v)}",
            BenignVerdict v => $"{Number(v.Level, "0.00"),6}x  {StateText.Word(assessment.State, "UNLIKE BENIGN", "like benign")}",
            EffectSize { Effect: { } effect } => $"{Number(effect, "0.00"),7}",
            _ => "",
        };
        string[] behind = [.. StateText.Behind(assessment), .. moved.ChangesNothing ? ["changes nothing"] : Array.Empty<string>()];
        if (behind.Length > 0) judged += (judged.Length == 0 ? "  " : ", ") + string.Join(", ", behind);
        if (Stacked)
        {
            output.WriteLine($"{step,StepWidth}{judged}");
            output.WriteLine($"{"",StackedIndent}{string.Join("  ", drifts)}");
        }
        else
        {
            output.WriteLine($"{step,StepWidth}{string.Concat(drifts.Select(d => $"  {d}".PadRight(_driftsWidth / _largest)))}{judged}");
        }

        if (assessment.Doubts.Count > 0) output.WriteLine($"{"",StackedIndent}{StateText.Doubts(assessment)}");
        output.Flush();
    }

    /// <inheritdoc/>
    public void Finish() => output.Flush();

    /// <summary>Flushes; the writer belongs to the caller.</summary>
    public void Dispose() => output.Flush();

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
