using EmScan.Engine.Measuring;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Analyses.LayerChoice;

/// <summary>What <see cref="LayerChoiceAnalysis"/> is asked.</summary>
internal sealed record LayerChoiceRequest
{
    /// <summary>Plain texts as tokens, BOS first: where their log-likelihood has fallen, text is broken.</summary>
    public required IReadOnlyList<int[]> Texts { get; init; }

    /// <summary>How far directions tell their poles apart, for every trait and layer; empty where that is not known.</summary>
    public IReadOnlyList<DirectionValidity> Validity { get; init; } = [];

    /// <summary>Labelled checkpoints, to choose by and to score the choices with; null for none.</summary>
    public LabelMatch? Labels { get; init; }

    /// <summary>Where labelled checkpoints are measured; null for the evaluation prompts' last token.</summary>
    public PromptSet? Measured { get; init; }

    /// <summary>A checkpoint is dangerous above this EM rate.</summary>
    public double DangerousAbove { get; init; } = DangerThreshold.Default;

    /// <summary>Seed of the random directions and of the bootstrap.</summary>
    public int Seed { get; init; } = 42;
}
