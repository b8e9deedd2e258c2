using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>One adapter on disk that a training run left behind.</summary>
/// <param name="Run">The run it belongs to: its path below the scanned folder, with forward slashes.</param>
/// <param name="Step">Optimizer step it was saved at; of a run saved by epochs whose trainer_state.json names no steps, the epoch.</param>
/// <param name="Path">The PEFT folder or LoRA GGUF file.</param>
public sealed record Checkpoint(string Run, CheckpointStep Step, string Path)
{
    /// <summary>The epoch that its name tells, or null, also where that is a fraction.</summary>
    public long? Epoch { get; init; }
}

/// <summary>The checkpoints of one training run, in the order of their steps.</summary>
/// <param name="Name">Path of the run below the scanned folder, with forward slashes; the folder's own name when it is the run itself, and the folder above where the name is a seed alone (<c>seed_42</c>).</param>
/// <param name="OutputPath">The same path for output files; empty when the scanned folder is the run itself.</param>
/// <param name="Checkpoints">At least one.</param>
public sealed record CheckpointRun(string Name, string OutputPath, IReadOnlyList<Checkpoint> Checkpoints);

/// <summary>What <see cref="CheckpointDiscovery"/> found: runs in natural order, and everything that it left out.</summary>
/// <param name="Runs">Runs with at least one checkpoint.</param>
/// <param name="LeftOut">What looked like a checkpoint, or may hold one, and is not scanned; each with its reason.</param>
/// <param name="Notes">What was understood in a way that a user should know, such as epochs counted in steps.</param>
public sealed record DiscoveredCheckpoints(IReadOnlyList<CheckpointRun> Runs, IReadOnlyList<LeftOut> LeftOut, IReadOnlyList<Remark> Notes)
{
    /// <summary>Number of checkpoints over all runs, C.</summary>
    public int Count => Runs.Sum(r => r.Checkpoints.Count);

    /// <summary>Checkpoints that were found and are not measured here: incomplete, gone, in a form that cannot be read. A scan with any is not the whole story.</summary>
    public IReadOnlyList<LeftOut> Skipped { get; } = [.. LeftOut.Where(l => l.IsCheckpoint)];

    /// <summary>What a user should know, in few sentences: a reason that occurs often is one sentence with a count.</summary>
    public IReadOnlyList<Remark> Remarks { get; } = [.. Adapters.LeftOut.Summarise(LeftOut), .. Notes];
}
