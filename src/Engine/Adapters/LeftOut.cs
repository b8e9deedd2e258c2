using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>Why something that discovery came across is not scanned.</summary>
public enum LeftOutReason
{
    /// <summary>It is still being written, or was saved before its training began.</summary>
    Incomplete,

    /// <summary>It was there and is not any more: rotated away.</summary>
    Gone,

    /// <summary>A folder or file that may not be read, so nobody knows what it is.</summary>
    Unreadable,

    /// <summary>Weights of a checkpoint in a form that is no adapter: sharded training state, a whole model, another program's format.</summary>
    NoAdapter,

    /// <summary>An archive that holds adapters and is not opened.</summary>
    Archive,

    /// <summary>The same adapter as one that is scanned.</summary>
    Repeated,

    /// <summary>A link to what is scanned at its own place.</summary>
    Linked,

    /// <summary>A link that leads nowhere.</summary>
    DanglingLink,

    /// <summary>The frozen reference adapter of a preference training.</summary>
    Reference,

    /// <summary>Inside a folder that is hidden or that a trainer stages checkpoints in.</summary>
    Staging,

    /// <summary>A model among the adapters.</summary>
    Model,
}

/// <summary>Something that discovery came across and that is not scanned.</summary>
/// <param name="Path">The folder or file, as it is reached from what the user gave.</param>
/// <param name="Reason">Why.</param>
/// <param name="Text">The sentence for this one alone.</param>
/// <param name="IsCheckpoint">True when a checkpoint remains unmeasured through it; false when what it holds is measured elsewhere or is none.</param>
public sealed record LeftOut(string Path, LeftOutReason Reason, string Text, bool IsCheckpoint)
{
    private const int Single = 3;

    /// <summary>The code of the remark about it.</summary>
    public string Code => Reason switch
    {
        LeftOutReason.Incomplete => "incomplete-checkpoint",
        LeftOutReason.Gone => "checkpoint-gone",
        LeftOutReason.Unreadable => "unreadable",
        LeftOutReason.NoAdapter => "no-adapter",
        LeftOutReason.Archive => "archive",
        LeftOutReason.Repeated => "repeated-adapter",
        LeftOutReason.Linked => "linked-adapter",
        LeftOutReason.DanglingLink => "dangling-link",
        LeftOutReason.Reference => "reference-adapter",
        LeftOutReason.Staging => "staging-folder",
        _ => "model-among-adapters",
    };

    /// <summary>The remark about this one.</summary>
    public Remark ToRemark() => new(Code, Text);

    /// <summary>The entry for a checkpoint that may not be read yet, or no longer.</summary>
    internal static LeftOut NotReady(string path, CheckpointCompleteness completeness) => completeness.State == CheckpointState.Gone
        ? new LeftOut(path, LeftOutReason.Gone, $"{path} disappeared while it was looked at (rotated away, most likely) and is skipped.", true)
        : new LeftOut(path, LeftOutReason.Incomplete, $"{path} is still being written ({completeness.Why}) and is skipped.", true);

    /// <summary>Why a checkpoint that could not be read is no failure: it is gone, or is being written. Null when it is one.</summary>
    internal static LeftOut? WhyNotReady(string path, CheckpointStep? step, AdapterStamp before)
    {
        var completeness = CheckpointCompleteness.Of(path, step, DateTime.UtcNow, CheckpointCompleteness.DefaultQuietTime);
        if (completeness.State != CheckpointState.Complete) return NotReady(path, completeness);
        return AdapterStamp.Of(path) == before ? null : NotReady(path, new CheckpointCompleteness(CheckpointState.Incomplete, "it changed while it was read", false));
    }

    /// <summary>One remark each where a reason occurs a few times, one for all where it occurs often.</summary>
    internal static IEnumerable<Remark> Summarise(IEnumerable<LeftOut> all)
    {
        foreach (IGrouping<LeftOutReason, LeftOut> reason in all.GroupBy(l => l.Reason).OrderBy(g => g.Key))
        {
            LeftOut[] members = [.. reason];

            // State of a training comes with every checkpoint of a run; more than one sentence about it helps nobody.
            if (members.Length <= (reason.Key == LeftOutReason.NoAdapter ? 1 : Single))
            {
                foreach (LeftOut one in members) yield return one.ToRemark();
                continue;
            }

            yield return new Remark(
                members[0].Code,
                $"{members.Length} {Plural(reason.Key)}, for example: {members[0].Text} 'emscan inspect' on the same folder names each.");
        }
    }

    private static string Plural(LeftOutReason reason) => reason switch
    {
        LeftOutReason.Incomplete => "checkpoints are incomplete and are skipped",
        LeftOutReason.Gone => "checkpoints disappeared while they were looked at",
        LeftOutReason.Unreadable => "folders or files cannot be read and are skipped",
        LeftOutReason.NoAdapter => "folders hold no adapter that can be read and are skipped",
        LeftOutReason.Archive => "archives are not opened",
        LeftOutReason.Repeated => "adapters are the same as others and are not scanned twice",
        LeftOutReason.Linked => "links lead to what is scanned at its own place",
        LeftOutReason.DanglingLink => "links lead nowhere",
        LeftOutReason.Reference => "reference adapters are left out",
        LeftOutReason.Staging => "hidden or staging folders with adapters are left out",
        _ => "files or folders are models, not adapters, and are skipped",
    };
}
