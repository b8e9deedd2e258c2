using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts;

/// <summary>What a checkpoint's files say without running the model: sizes of its weight changes and the training loss.</summary>
/// <remarks>Immutable as long as nobody writes to the dictionary; thread safe.</remarks>
/// <param name="Norms">Frobenius norm of (alpha / R) B A by weight name, in the model's weight units.</param>
/// <param name="TotalNorm">Root of the sum of their squares.</param>
/// <param name="Step">Optimizer step from trainer_state.json; null when there is none.</param>
/// <param name="Loss">Training loss at the step, linear between logged steps; null when none was logged.</param>
internal sealed record AdapterFacts(IReadOnlyDictionary<string, double> Norms, double TotalNorm, long? Step, double? Loss)
{
    /// <summary>Reads a checkpoint.</summary>
    /// <param name="checkpoint">A PEFT folder or LoRA GGUF file.</param>
    /// <param name="step">The step it was saved at; "final" takes the step that trainer_state.json names.</param>
    /// <param name="model">The model that it belongs to.</param>
    /// <exception cref="InputFileException">A file is damaged or does not fit the model.</exception>
    public static AdapterFacts Read(string checkpoint, CheckpointStep step, GgufFile model)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        (IReadOnlyDictionary<string, double> norms, double total) = AdapterReader.Open(checkpoint, model).FrobeniusNorms();
        string? folder = AdapterReader.PeftFolder(checkpoint);
        string? file = folder == null ? null : Path.Combine(folder, TrainerState.FileName);
        TrainerState? state = file != null && File.Exists(file) ? TrainerState.Read(file) : null;
        long? at = step.Number ?? state?.GlobalStep;
        double? loss = state == null ? null : at is { } number ? state.LossAt(number) : state.Losses.Count > 0 ? state.Losses[^1].Loss : null;
        return new AdapterFacts(norms, total, at, loss);
    }
}
