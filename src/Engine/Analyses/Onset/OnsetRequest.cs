using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Analyses.Onset;

/// <summary>What an onset is looked for in.</summary>
internal sealed record OnsetRequest
{
    /// <summary>Runs of one base model each.</summary>
    internal required IReadOnlyList<DriftScan> Scans { get; init; }

    /// <summary>Labels of each scan, as many as there are scans; null entries have none.</summary>
    internal IReadOnlyList<RunLabels?> Labels { get; init; } = [];

    /// <summary>Loadings of the drift axis, (K); null for that of the runs themselves.</summary>
    internal double[]? Axis { get; init; }

    /// <summary>Perturbations or runs that are known to be harmless; null to take those whose labels never exceed the threshold.</summary>
    internal NamePatterns? Benign { get; init; }

    /// <summary>Above this EM rate a checkpoint is dangerous.</summary>
    internal double DangerousAbove { get; init; } = DangerThreshold.Default;

    /// <summary>Draws of each bootstrap.</summary>
    internal int Draws { get; init; } = 1000;

    /// <summary>Seed of the draws.</summary>
    internal int Seed { get; init; } = 42;
}
