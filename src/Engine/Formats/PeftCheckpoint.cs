namespace EmScan.Engine.Formats;

/// <summary>What a PEFT checkpoint folder says about its training. What it does not say is null.</summary>
/// <param name="Rank">r.</param>
/// <param name="Alpha">lora_alpha.</param>
/// <param name="BaseModel">base_model_name_or_path.</param>
/// <param name="LearningRate">The largest learning rate that was logged.</param>
/// <param name="Epochs">num_train_epochs.</param>
/// <param name="Seed">The seed.</param>
/// <param name="SaveSteps">Steps between two checkpoints.</param>
internal sealed record PeftCheckpoint(
    int Rank, double Alpha, string? BaseModel, double? LearningRate, double? Epochs, long? Seed, long? SaveSteps)
{
    /// <summary>Reads adapter_config.json, and trainer_state.json where there is one.</summary>
    /// <exception cref="InputFileException">A file is damaged, or the configuration is missing or not of a LoRA adapter.</exception>
    public static PeftCheckpoint Read(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var config = PeftConfig.Read(Path.Combine(folder, PeftAdapterReader.ConfigName));
        string statePath = Path.Combine(folder, TrainerState.FileName);
        TrainerState? state = File.Exists(statePath) ? TrainerState.Read(statePath) : null;
        return new PeftCheckpoint(
            config.Rank, config.Alpha, config.BaseModel, state?.PeakLearningRate, state?.Epochs, state?.Seed, state?.SaveSteps);
    }
}
