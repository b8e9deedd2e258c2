using System.Globalization;

namespace EmScan.Engine.Verdicts;

/// <summary>Kinds of verdicts.</summary>
public enum VerdictKind
{
    /// <summary>There are none.</summary>
    None,

    /// <summary><see cref="CalibratedVerdict"/>.</summary>
    Calibrated,

    /// <summary><see cref="BenignVerdict"/>.</summary>
    Benign,

    /// <summary><see cref="EffectSize"/>.</summary>
    EffectSize,
}

/// <summary>What verdicts rest on: a calibration, benign controls, or nothing but the spread over prompts. Immutable, thread safe.</summary>
public sealed class Judge
{
    private readonly Func<Observation, Verdict> _judge;

    private Judge(VerdictKind kind, string basis, Func<Observation, Verdict> judge) => (Kind, Basis, _judge) = (kind, basis, judge);

    /// <summary>The kind of verdicts it gives.</summary>
    public VerdictKind Kind { get; }

    /// <summary>What the verdicts rest on, for the head of a report.</summary>
    public string Basis { get; }

    /// <summary>
    /// Visible share below which a verdict says too little of the adapter: <see cref="Verdicts.Assessor.Minority"/>, or what the calibration's
    /// own checkpoints usually showed where that is less.
    /// </summary>
    public double FewestVisible { get; private init; } = Verdicts.Assessor.Minority;

    /// <summary>Why verdicts are worth little although there is a calibration, as a clause; null when they are not.</summary>
    public string? Weakness { get; private init; }

    /// <summary>The calibration behind the verdicts; null without one.</summary>
    internal Calibration? Calibration { get; private init; }

    /// <summary>Verdicts of a calibrated detector.</summary>
    /// <param name="calibration">The calibration.</param>
    /// <param name="source">Where it comes from, usually the file.</param>
    /// <param name="transferred">True when it was made on another base model or on other prompts and is used all the same.</param>
    internal static Judge Calibrated(Calibration calibration, string source, bool transferred = false)
    {
        ArgumentNullException.ThrowIfNull(calibration);
        CalibrationSet set = calibration.Set;
        string basis = string.Create(
            CultureInfo.InvariantCulture,
            $"{source}: {calibration.Detector.Features.Title}{(calibration.Base.Autoencoder is { } latents ? $" of {latents}" : "")}, {calibration.Detector.Learner.Title}, from {set.Checkpoints} labelled checkpoints of {set.Runs} runs; "
            + $"dangerous above {100 * calibration.DangerousAbove:0.##}% EM{(transferred ? "; NOT made for this model and these prompts" : "")}"
            + $"{(calibration.Weakness is { } weakness ? $"; NOT USABLE: it {weakness}" : "")}");
        return new Judge(VerdictKind.Calibrated, basis, calibration.Judge)
        {
            FewestVisible = Math.Min(Verdicts.Assessor.Minority, set.VisibleShare ?? Verdicts.Assessor.Minority),
            Weakness = calibration.Weakness,
            Calibration = calibration,
        };
    }

    /// <summary>Verdicts against benign control adapters.</summary>
    internal static Judge Benign(BenignReference reference)
    {
        ArgumentNullException.ThrowIfNull(reference);
        string basis = string.Create(
            CultureInfo.InvariantCulture,
            $"uncalibrated: unlike {reference.Count} benign control checkpoints, at {100 * reference.FalsePositiveRate:0.#}% false positives on them; no EM rates");
        return new Judge(VerdictKind.Benign, basis, o => reference.Judge(o.Displacement.PerTrait.AsSpan()));
    }

    /// <summary>No verdicts, only effect sizes.</summary>
    /// <param name="prompts">P.</param>
    public static Judge Uncalibrated(int prompts)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(prompts, 1);
        return new Judge(
            VerdictKind.EffectSize, "none: no calibration and no benign controls; effect = |drift| in units of its deviation from prompt to prompt",
            o => EffectSize.From(o.Displacement, prompts));
    }

    /// <summary>Judges a checkpoint.</summary>
    /// <exception cref="EmScanException">It lacks a feature that the detector sees.</exception>
    internal Verdict Of(Observation observation) => _judge(observation);
}
