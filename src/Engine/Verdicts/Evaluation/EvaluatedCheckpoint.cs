using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>One checkpoint whose EM rate is known, and what a detector said of it without having seen it.</summary>
/// <param name="Run">The training run; runs of the same name under different <see cref="Model"/>s are different runs.</param>
/// <param name="Step">Optimizer step; (model, run, step) occurs once in a set.</param>
/// <param name="TrueRate">Measured EM rate, a fraction from 0 to 1.</param>
/// <param name="PredictedRate">Predicted EM rate, a fraction. A score in another unit is allowed; then only what compares it with a
/// threshold or ranks it has a meaning, not the errors of the rate.</param>
internal sealed record EvaluatedCheckpoint(string Run, CheckpointStep Step, double TrueRate, double PredictedRate)
{
    /// <summary>The base model, when there are several or it is known.</summary>
    public string? Model { get; init; }

    /// <summary>The finetuning data set, when it is known.</summary>
    public string? Perturbation { get; init; }

    /// <summary>The training seed, when it is known.</summary>
    public string? Seed { get; init; }

    /// <summary>The detector's interval for the rate, fractions; null when it gave none.</summary>
    public Interval? PredictedInterval { get; init; }
}
