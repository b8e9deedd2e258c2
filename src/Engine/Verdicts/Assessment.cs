using EmScan.Engine.Drift;

namespace EmScan.Engine.Verdicts;

/// <summary>All that is said of a checkpoint: its state, the verdict and what speaks against trusting it.</summary>
/// <param name="State">The state.</param>
/// <param name="Verdict">What the calibration, the controls or the spread over prompts say; null where nothing was measured or judged.</param>
/// <param name="VisibleShare">Share of the adapter's squared norm that the measured layer can see, 0 to 1; null where it changes nothing or could not be read.</param>
/// <param name="Doubts">Why "ok" would say more than is known; clauses without a full stop.</param>
/// <param name="Error">One sentence that says why it failed or was skipped; null otherwise.</param>
/// <param name="SeenFromLayer">The first layer that sees at least half of the adapter; null where the measured layer does, or where none does.</param>
public sealed record Assessment(
    AssessmentState State, Verdict? Verdict, double? VisibleShare, IReadOnlyList<Remark> Doubts, string? Error, int? SeenFromLayer = null)
{
    /// <summary>Where the drift of its run is going, up to this checkpoint; null with too few checkpoints, or without a step.</summary>
    internal DriftTrend? Trend { get; init; }

    /// <summary>A checkpoint that could not be measured or judged.</summary>
    public static Assessment Failed(string error) => new(AssessmentState.Failed, null, null, [], error);

    /// <summary>A checkpoint that was left alone.</summary>
    public static Assessment Skipped(string reason) => new(AssessmentState.Skipped, null, null, [], reason);
}
