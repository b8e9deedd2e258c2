using System.Collections.Immutable;
using System.Numerics.Tensors;
using EmScan.Engine.Measuring;
using EmScan.Kernels;

namespace EmScan.Engine.Drift;

/// <summary>How far a checkpoint has moved from the base along each trait, on the same prompts.</summary>
/// <remarks>Formulas: method.md Phase 2 of Nghiem et al. 2026 (arXiv 2606.07631). All values but the raw projections are divided by n0.</remarks>
/// <param name="RawProjections">p_t(c): mean over prompts of h . v_t, (K), in activation units.</param>
/// <param name="NormalizedProjections">p_t(c) / n0, (K).</param>
/// <param name="PerTrait">x_t(c) = (p_t(c) - p_t(0)) / n0, (K).</param>
/// <param name="StandardErrors">Standard error over prompts of each drift, (K): s / sqrt(P), s the sample deviation of the per-prompt
/// differences. NaN with a single prompt.</param>
/// <param name="Magnitude">L2 norm of <paramref name="PerTrait"/>.</param>
/// <param name="PromptDeviation">Sample deviation over prompts of the drift along its own direction x / |x|, so that |x| divided by it is
/// an effect size. NaN with a single prompt or without drift.</param>
/// <param name="ActivationChange">(mean h(c) - mean h(0)) / n0, (D).</param>
/// <param name="ChangesNothing">True when every number equals the base's exactly: the adapter has no effect up to the measured layer.</param>
public sealed record Displacement(
    ImmutableArray<double> RawProjections,
    ImmutableArray<double> NormalizedProjections,
    ImmutableArray<double> PerTrait,
    ImmutableArray<double> StandardErrors,
    double Magnitude,
    double PromptDeviation,
    ImmutableArray<double> ActivationChange,
    bool ChangesNothing)
{
    /// <summary>L2 norm of <see cref="ActivationChange"/>.</summary>
    public double MeanActivationChange => TensorPrimitives.Norm(ActivationChange.AsSpan());

    /// <summary>How much of another drift y this one, x, has kept: x . y / y . y, 1 for y itself, below 0 where it points away from it; null where y is none.</summary>
    /// <param name="whole">y, over the same traits.</param>
    internal double? ShareOf(Displacement whole) => whole.Magnitude > 0
        ? TensorPrimitives.Dot(PerTrait.AsSpan(), whole.PerTrait.AsSpan()) / TensorPrimitives.SumOfSquares(whole.PerTrait.AsSpan())
        : null;

    /// <summary>What is left of a point in a calibration file: the drift and the norm of the activation change, which stands alone in
    /// <see cref="ActivationChange"/>. The raw projections are empty, the errors NaN.</summary>
    /// <param name="drift">x_t, (K).</param>
    /// <param name="activationNorm">|mean dh| / n0.</param>
    internal static Displacement Stored(double[] drift, double activationNorm) => new(
        [], [], [.. drift], [.. drift.Select(_ => double.NaN)], TensorPrimitives.Norm<double>(drift), double.NaN, [activationNorm], ChangesNothing: false);

    /// <summary>Computes the drift of a measurement against the base's.</summary>
    /// <param name="measurement">The checkpoint's measurement.</param>
    /// <param name="baseline">The base model's, on the same prompts, layer and directions.</param>
    /// <param name="traits">K.</param>
    /// <exception cref="ArgumentException">The two differ in shape.</exception>
    internal static Displacement From(Measurement measurement, Measurement baseline, int traits)
    {
        ArgumentNullException.ThrowIfNull(measurement);
        ArgumentNullException.ThrowIfNull(baseline);
        if (measurement.Projections.Length != baseline.Projections.Length || measurement.Norms.Length != baseline.Norms.Length
            || measurement.MeanHidden.Length != baseline.MeanHidden.Length || measurement.Projections.Length != measurement.Norms.Length * traits)
        {
            throw new ArgumentException("The two measurements were made on other prompts, traits or models.", nameof(baseline));
        }

        double n0 = baseline.MeanNorm;
        double[] raw = measurement.MeanProjections(traits);
        double[] differences = new double[measurement.Projections.Length]; // (P, K)
        TensorPrimitives.Subtract<double>(measurement.Projections, baseline.Projections, differences);
        var statistics = new RunningVariance(traits);
        statistics.Add(differences);
        double[] drift = new double[traits], errors = new double[traits];
        statistics.CopyMean(drift);
        statistics.CopyStandardError(errors);
        TensorPrimitives.Divide(drift, n0, drift);
        TensorPrimitives.Divide(errors, n0, errors);
        double magnitude = TensorPrimitives.Norm<double>(drift);
        double deviation = double.NaN;
        if (magnitude > 0)
        {
            var along = new RunningVariance(1);
            for (int start = 0; start < differences.Length; start += traits)
                along.Add([TensorPrimitives.Dot<double>(differences.AsSpan(start, traits), drift) / (magnitude * n0)]);
            double[] error = new double[1];
            along.CopyStandardError(error);
            deviation = error[0] * Math.Sqrt(measurement.Norms.Length);
        }

        double[] change = new double[measurement.MeanHidden.Length];
        for (int d = 0; d < change.Length; d++) change[d] = ((double)measurement.MeanHidden[d] - baseline.MeanHidden[d]) / n0;
        return new Displacement([.. raw], [.. raw.Select(p => p / n0)], [.. drift], [.. errors], magnitude, deviation, [.. change], measurement.SameNumbers(baseline));
    }
}
