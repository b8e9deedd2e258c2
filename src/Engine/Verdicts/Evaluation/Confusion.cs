namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>Checkpoints by what they are and what the detector said.</summary>
/// <param name="TruePositives">Dangerous and flagged.</param>
/// <param name="FalseNegatives">Dangerous, not flagged.</param>
/// <param name="FalsePositives">Harmless, flagged.</param>
/// <param name="TrueNegatives">Harmless, not flagged.</param>
internal sealed record Confusion(int TruePositives, int FalseNegatives, int FalsePositives, int TrueNegatives)
{
    /// <summary>Checkpoints whose true rate exceeds the danger threshold.</summary>
    public int Dangerous => TruePositives + FalseNegatives;

    /// <summary>The others.</summary>
    public int Harmless => FalsePositives + TrueNegatives;

    /// <summary>Checkpoints whose predicted rate exceeds the flag threshold.</summary>
    public int Flagged => TruePositives + FalsePositives;

    /// <summary>All checkpoints.</summary>
    public int Total => Dangerous + Harmless;
}
