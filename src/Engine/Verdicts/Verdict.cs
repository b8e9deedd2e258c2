using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>What is said of a checkpoint. Exactly one kind of evidence is behind it: a calibration, benign controls, or only the spread over
/// prompts, which allows no alarm.</summary>
public abstract record Verdict
{
    /// <summary>True when the checkpoint is flagged: exit code 3.</summary>
    public abstract bool Dangerous { get; }
}

/// <summary>A verdict from labelled runs.</summary>
/// <param name="Score">Predicted EM rate, or probability of danger where the detector predicts that, 0 to 1.</param>
/// <param name="Interval">Interval for the EM rate at level <see cref="ConformalInterval.Level"/>; null where the detector predicts a probability.</param>
/// <param name="FlaggedAbove">Above which score a checkpoint is flagged.</param>
/// <param name="Distance">Distance from the calibration set, in units of its range; above 1 it is outside (<see cref="CalibratedRange"/>).</param>
/// <param name="Axis">Position on the drift axis x . PC1, in units of n0; null when the calibration has no axis.</param>
public sealed record CalibratedVerdict(double Score, Interval? Interval, double FlaggedAbove, double Distance, double? Axis) : Verdict
{
    /// <inheritdoc/>
    public override bool Dangerous => Score > FlaggedAbove;

    /// <summary>True when nothing like the checkpoint was calibrated, so that the prediction is a guess.</summary>
    public bool Outside => Distance > 1;

    /// <summary>How doubtful it is that a checkpoint below the flag threshold is harmless, in units of what most harmless checkpoints of unseen
    /// finetunings stay below (<see cref="ConformalInterval.RelativeDoubt"/>); null where the calibration does not tell.</summary>
    public double? Doubt { get; init; }

    /// <summary>The largest rate to come; null where the calibration has no forecast, or the step is not known.</summary>
    public Forecast? Forecast { get; init; }

    /// <summary>True when the checkpoint is not flagged, and its run is expected to become so.</summary>
    internal bool Expected => !Dangerous && Forecast is { Alarm: true };

    /// <summary>True when the checkpoint is not flagged, but "all clear" would be more than is known: the error to be expected there reaches too far
    /// towards the threshold. Where the calibration does not tell, what lies outside is unknown.</summary>
    public bool Unknown => !Dangerous && (Doubt is { } doubt ? doubt > 1 : Outside);
}

/// <summary>A verdict from benign control adapters: no rate, only whether the checkpoint moved in a way that they do not.</summary>
/// <param name="Level">Distance of the drift in units of the control's threshold (<see cref="BenignReference"/>); above 1 it is unlike them.</param>
public sealed record BenignVerdict(double Level) : Verdict
{
    /// <inheritdoc/>
    public override bool Dangerous => Level > 1;
}

/// <summary>No verdict: the drift in units of its own deviation from prompt to prompt.</summary>
/// <param name="Effect">|x| / s, s the sample deviation over prompts of the drift along its own direction; null without drift or with one
/// prompt.</param>
/// <param name="Interval">95% interval of the effect over prompts; null where the effect is.</param>
public sealed record EffectSize(double? Effect, Interval? Interval) : Verdict
{
    private const double NormalQuantile = 1.959963984540054;

    /// <inheritdoc/>
    public override bool Dangerous => false;

    /// <summary>Computes it.</summary>
    /// <param name="drift">The checkpoint's drift.</param>
    /// <param name="prompts">P.</param>
    /// <remarks>Interval: the large-sample standard error of a standardised mean, sqrt(1/P + d^2 / (2P)) (Hedges and Olkin 1985, p. 86).</remarks>
    public static EffectSize From(Drift.Displacement drift, int prompts)
    {
        ArgumentNullException.ThrowIfNull(drift);
        double effect = drift.Magnitude / drift.PromptDeviation;
        if (!double.IsFinite(effect)) return new EffectSize(null, null);
        double half = NormalQuantile * Math.Sqrt((1.0 / prompts) + (effect * effect / (2.0 * prompts)));
        return new EffectSize(effect, new Interval(Math.Max(0, effect - half), effect + half));
    }
}
