using System.Globalization;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Reports;

/// <summary>States of checkpoints in the words of the tables.</summary>
internal static class StateText
{
    /// <summary>The word of a verdict's column.</summary>
    internal static string Word(AssessmentState state, string flagged, string clear) => state switch
    {
        AssessmentState.Dangerous => flagged,
        AssessmentState.Ok => clear,
        _ => state.ToName(),
    };

    /// <summary>What stands behind a verdict: that there is none where it has no column, and how much of the adapter the layer sees where it is less than all.</summary>
    internal static IEnumerable<string> Behind(Assessment? assessment)
    {
        if (assessment == null) yield break;
        if (assessment.State == AssessmentState.Failed) yield return "not judged";
        if (assessment.Verdict is EffectSize && assessment.State is AssessmentState.Unknown or AssessmentState.Unchanged) yield return assessment.State.ToName();
        if (assessment.VisibleShare is < 1 and var share)
        {
            // A share that is less than all is not rounded to all, nor one that is more than nothing to nothing.
            string percent = share is > 0 and < 0.01 ? "<1" : Math.Min(99, Math.Round(100 * share)).ToString("0", CultureInfo.InvariantCulture);
            yield return $"{percent}% visible";
        }
    }

    /// <summary>What is to come is only worth a word where it is alarming and not there yet; empty elsewhere.</summary>
    internal static string Expected(CalibratedVerdict verdict) =>
        verdict.Expected ? string.Create(CultureInfo.InvariantCulture, $", EXPECTED to reach {100 * verdict.Forecast!.Rate:0.0}%") : "";

    /// <summary>Why a checkpoint is unknown, or an alarm doubtful; empty where there is no doubt.</summary>
    internal static string Doubts(Assessment? assessment) =>
        assessment is { Doubts.Count: > 0 } ? $"({Printable.Of(string.Join("; ", assessment.Doubts.Select(d => d.Text)))})" : "";

    /// <summary>The row of a checkpoint that has no drift.</summary>
    internal static string NotMeasured(Assessment assessment) =>
        $"{(assessment.State == AssessmentState.Skipped ? "skipped" : "not measured")}: {Printable.Of(assessment.Error ?? "")}";
}
