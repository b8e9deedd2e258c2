using EmScan.Engine.Adapters;
using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Scan;

/// <summary>One row of a scan as it becomes known: a <see cref="MeasuredPoint"/> or a <see cref="FailedPoint"/>. Immutable.</summary>
/// <param name="Checkpoint">The checkpoint.</param>
/// <param name="Elapsed">Time spent on it.</param>
public abstract record ScanPoint(Checkpoint Checkpoint, TimeSpan Elapsed);

/// <summary>A checkpoint that was measured, now or earlier.</summary>
/// <param name="Checkpoint">The checkpoint.</param>
/// <param name="Displacement">How far it has moved from the base.</param>
/// <param name="FromRecord">True when nothing had to be computed.</param>
/// <param name="Changed">True when the file was measured before with other content.</param>
/// <param name="Elapsed">Time spent on it.</param>
public sealed record MeasuredPoint(Checkpoint Checkpoint, Displacement Displacement, bool FromRecord, bool Changed, TimeSpan Elapsed)
    : ScanPoint(Checkpoint, Elapsed)
{
    /// <summary>What was measured, prompt by prompt; the scanner sets it.</summary>
    internal Measurement? Measurement { get; init; }

    /// <summary>The result of <see cref="Scanner.Beside"/>, where that was asked for; the scanner sets it.</summary>
    internal CellResult? Beside { get; init; }
}

/// <summary>A checkpoint of which nothing is known.</summary>
/// <param name="Checkpoint">The checkpoint.</param>
/// <param name="Error">One sentence that says why it could not be measured.</param>
/// <param name="Skipped">Set when nothing is wrong with the checkpoint: a running training took it away, or is still writing it.</param>
/// <param name="Elapsed">Time spent on it.</param>
public sealed record FailedPoint(Checkpoint Checkpoint, string Error, LeftOut? Skipped, TimeSpan Elapsed) : ScanPoint(Checkpoint, Elapsed);
