using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Analyses.Invariance;

/// <summary>What an environment is.</summary>
internal enum EnvironmentKind
{
    /// <summary>A finetuning data set (of each base model).</summary>
    Perturbation,

    /// <summary>A base model.</summary>
    Model,

    /// <summary>A training seed (of each base model).</summary>
    Seed,
}

/// <summary>What is asked of labelled checkpoints.</summary>
internal sealed record InvarianceRequest
{
    /// <summary>Labelled checkpoints, one entry of each base model.</summary>
    internal required IReadOnlyList<LabelledSet> Sets { get; init; }

    /// <summary>What environments are.</summary>
    internal EnvironmentKind By { get; init; }

    /// <summary>How detectors learn.</summary>
    internal Learner Learner { get; init; } = Learner.KernelRidge;

    /// <summary>Above this EM rate a checkpoint is dangerous.</summary>
    internal double DangerousAbove { get; init; } = DangerThreshold.Default;

    /// <summary>Seed of learners, draws and random directions.</summary>
    internal int Seed { get; init; } = 42;
}
