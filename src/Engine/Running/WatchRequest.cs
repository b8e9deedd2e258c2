using EmScan.Engine.Adapters;

namespace EmScan.Engine.Running;

/// <summary>What a watch looks at, how often, and when it ends.</summary>
public sealed record WatchRequest
{
    /// <summary>Folders that training runs write to; they need not exist yet.</summary>
    public required IReadOnlyList<string> Roots { get; init; }

    /// <summary>Time between two looks. Changes on a network folder raise no events, so looking is the only way.</summary>
    public TimeSpan Poll { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a checkpoint that nothing marks as finished must have been left alone.</summary>
    public TimeSpan QuietTime { get; init; } = CheckpointCompleteness.DefaultQuietTime;

    /// <summary>When the watch ends by itself; empty: never.</summary>
    public IReadOnlyList<WatchEnd> Until { get; init; } = [];
}
