using EmScan.Engine.Adapters;
using EmScan.Engine.Drift;

namespace EmScan.Engine.Analyses.Scan;

/// <summary>One row of a scan as it becomes known: a checkpoint that was measured, taken from the journal, or could not be measured.</summary>
/// <param name="Checkpoint">The checkpoint.</param>
/// <param name="Drift">Its drift, or null when it could not be measured.</param>
/// <param name="Error">One sentence that says why not, or null.</param>
/// <param name="FromJournal">True when nothing had to be computed.</param>
/// <param name="Changed">True when the file was measured before with other content.</param>
/// <param name="Elapsed">Time spent on it.</param>
public sealed record ScanPoint(Checkpoint Checkpoint, DriftPoint? Drift, string? Error, bool FromJournal, bool Changed, TimeSpan Elapsed)
{
    /// <summary>Set, beside <see cref="Error"/>, when nothing is wrong with the checkpoint: a running training took it away, or is still writing it.</summary>
    public LeftOut? Skipped { get; init; }
}
