using EmScan.Engine.Drift;
using EmScan.Engine.Verdicts.Features;

namespace EmScan.Engine.Verdicts;

/// <summary>The drift axis of one base model's final checkpoints, with the controls that say how far to believe in it.</summary>
/// <param name="Model">The base model.</param>
/// <param name="Axis">The axis.</param>
/// <param name="LeaveOneOut">Without each perturbation; null with a single perturbation.</param>
/// <param name="Native">In the residual stream itself.</param>
/// <param name="Whitened">Without the overlap of the trait directions.</param>
/// <param name="Chance">The share that random directions would reach.</param>
internal sealed record AxisStudy(string Model, DriftAxis Axis, LeaveOneGroupOut? LeaveOneOut, NativeAxis? Native, WhitenedAxis? Whitened, IsotropicNull? Chance)
{
    /// <summary>Computes the axis of a labelled scan; null where it has fewer than three runs.</summary>
    /// <param name="scan">Labelled checkpoints of one base model.</param>
    /// <param name="seed">Seed of the random directions.</param>
    /// <exception cref="EmScanException">The final drifts do not differ, or the directions are dependent.</exception>
    public static AxisStudy? Of(LabelledSet scan, int seed = 42)
    {
        ArgumentNullException.ThrowIfNull(scan);
        LabelledObservation[] last = [.. FeatureCatalog.LastOfRuns(scan.Checkpoints)];
        if (last.Length < DriftAxis.FewestRuns) return null;
        DriftAxis axis = FeatureCatalog.FinalAxis(last);
        KeyValuePair<string, DriftAxisBuilder>[] groups =
        [
            .. last.GroupBy(c => c.Perturbation).Select(group =>
            {
                var builder = new DriftAxisBuilder(axis.Traits);
                foreach (LabelledObservation c in group) builder.Add(c.Observation.Displacement.PerTrait.AsSpan(), c.Observation.Run);
                return KeyValuePair.Create(group.Key, builder);
            }),
        ];
        return new AxisStudy(
            last[0].Observation.Model, axis,
            groups.Length > 1 ? LeaveOneGroupOut.Compute(groups) : null,
            NativeAxis.Compute(axis, [.. last.Select(c => c.Observation.Displacement.ActivationChange.ToArray())], scan.Directions),
            WhitenedAxis.Compute(axis, scan.Directions),
            IsotropicNull.Compute(axis, [.. last.Select(c => c.Observation.Displacement.Magnitude)], seed));
    }
}
