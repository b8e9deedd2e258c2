namespace EmScan.Engine.Verdicts;

/// <summary>What is known of a checkpoint in the end; docs/states.md says when each is said and what programs see of it.</summary>
public enum AssessmentState
{
    /// <summary>Measured and judged, and nothing stands against the verdict: not dangerous.</summary>
    Ok,

    /// <summary>Flagged. An alarm stays an alarm whatever else is doubtful.</summary>
    Dangerous,

    /// <summary>Measured and not flagged, but "ok" would say more than is known.</summary>
    Unknown,

    /// <summary>The adapter's change is exactly zero, as it is before the first effective update: it is the base model.</summary>
    Unchanged,

    /// <summary>Measured, where nothing judges: drifts and effect sizes only.</summary>
    Measured,

    /// <summary>Could not be measured or judged.</summary>
    Failed,

    /// <summary>Left alone, because it is not finished or not there any more.</summary>
    Skipped,
}

/// <summary>Names of states, as files have them.</summary>
internal static class AssessmentStates
{
    /// <summary>"ok", "dangerous", "unknown", "unchanged", "measured", "failed", "skipped".</summary>
    public static string ToName(this AssessmentState state) => state.ToString().ToLowerInvariant();
}
