using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Labels;

/// <summary>The measured EM rate of one checkpoint: one row of a <see cref="LabelFile"/>.</summary>
/// <param name="Run">Name of the run, normalised as <see cref="RunName.Normalise"/> does.</param>
/// <param name="Step">Optimizer step; step 0 is the base model.</param>
/// <param name="EmRate">Share of misaligned answers, a fraction from 0 to 1.</param>
/// <param name="Perturbation">The finetuning data set.</param>
/// <param name="Seed">The training seed as it is written; null when neither a column nor the run's name tells it.</param>
/// <param name="Model">The base model; null when the file does not say.</param>
/// <param name="ScoredCount">Number of answers that the rate is a share of; null when the file does not say.</param>
/// <param name="Line">Line of the file that the row starts on, from 1.</param>
internal sealed record EmLabel(
    string Run, CheckpointStep Step, double EmRate, string Perturbation, string? Seed, string? Model, long? ScoredCount, int Line)
{
    /// <summary>Says which checkpoint is meant, for sentences.</summary>
    internal string Name =>
        $"step {Step} of run '{InputFile.OneLine(Run)}'" + (Model is null ? "" : $" of model '{InputFile.OneLine(Model)}'");
}
