using EmScan.Engine.Formats;

namespace EmScan.Engine.Adapters;

/// <summary>One adapter on disk that a training run left behind.</summary>
/// <param name="Run">The run it belongs to: its path below the scanned folder, with forward slashes.</param>
/// <param name="Step">Optimizer step it was saved at.</param>
/// <param name="Path">The PEFT folder or LoRA GGUF file.</param>
public sealed record Checkpoint(string Run, CheckpointStep Step, string Path);

/// <summary>The checkpoints of one training run, in the order of their steps.</summary>
/// <param name="Name">Path of the run below the scanned folder, with forward slashes; the folder's own name when it is the run itself.</param>
/// <param name="OutputPath">The same path for output files; empty when the scanned folder is the run itself.</param>
/// <param name="Checkpoints">At least one.</param>
public sealed record CheckpointRun(string Name, string OutputPath, IReadOnlyList<Checkpoint> Checkpoints);
