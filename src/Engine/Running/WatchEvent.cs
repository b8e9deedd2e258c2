using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Running;

/// <summary>Something that a watch has to say.</summary>
public abstract record WatchEvent
{
    private WatchEvent() { }

    /// <summary>A checkpoint was scored, or cannot be.</summary>
    public sealed record Row(ScanPoint Point, Assessment Assessment) : WatchEvent;

    /// <summary>Something that the user should know.</summary>
    public sealed record Note(Remark Remark) : WatchEvent;
}
