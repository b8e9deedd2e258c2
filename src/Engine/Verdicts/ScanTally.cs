namespace EmScan.Engine.Verdicts;

/// <summary>How many checkpoints of a scan are in which state. What a summary may claim follows from it.</summary>
/// <remarks>Not thread safe.</remarks>
/// <param name="found">Checkpoints that the scan was to look at; null for a watch, where as many are found as come.</param>
/// <param name="leftAlone">Checkpoints beside them that were skipped before the scan began: not finished, or not there any more.</param>
internal sealed class ScanTally(int? found, int leftAlone = 0)
{
    private int _leftAlone = leftAlone;
    private readonly int[] _states = new int[Enum.GetValues<AssessmentState>().Length];

    /// <summary>Checkpoints found, those that were left alone included.</summary>
    public int Found => (found ?? Done) + _leftAlone;

    /// <summary>Checkpoints that something is known of by now.</summary>
    public int Done { get; private set; }

    /// <summary>Measurements that were taken from an earlier scan.</summary>
    public int FromRecord { get; private set; }

    /// <summary>Checkpoints whose drift is known, whatever was then said of them.</summary>
    public int Measured { get; private set; }

    /// <summary>Checkpoints in a state.</summary>
    public int this[AssessmentState state] => _states[(int)state] + (state == AssessmentState.Skipped ? _leftAlone : 0);

    /// <summary>
    /// True when every checkpoint that was found was measured and, where anything judges, judged: none is left, failed, skipped or unknown.
    /// Only then may a summary say that none is dangerous.
    /// </summary>
    public bool Complete => Done == (found ?? Done) && this[AssessmentState.Failed] + this[AssessmentState.Skipped] + this[AssessmentState.Unknown] == 0;

    /// <summary>Counts checkpoints that a watch saw and could not read: removed before they were complete, or not complete at its end.</summary>
    internal void LeaveAlone(int count = 1) => _leftAlone += count;

    /// <summary>Counts a checkpoint.</summary>
    /// <param name="assessment">What is said of it.</param>
    /// <param name="measured">Whether its drift is known.</param>
    /// <param name="fromRecord">Whether that was taken from an earlier scan.</param>
    public void Add(Assessment assessment, bool measured, bool fromRecord)
    {
        ArgumentNullException.ThrowIfNull(assessment);
        Done++;
        _states[(int)assessment.State]++;
        if (measured) Measured++;
        if (fromRecord) FromRecord++;
    }
}
