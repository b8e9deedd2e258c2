using EmScan.Engine.Drift;

namespace EmScan.Engine.Verdicts;

/// <summary>Checkpoints of another base in the units of a base's own: how far the traits move for the same misalignment is a matter of the base.</summary>
/// <remarks>Each drift, and the activation norm, of another base is multiplied by (a / b)^(n / (n + 8)), a and b its root mean squares over the labelled
/// checkpoints of the own base and of that one, n the number of own checkpoints: a few of them are no measure yet. The form and the number were chosen on the
/// shipped organisms (docs/studies/2026-11-28-shipped.md).</remarks>
internal static class OwnUnits
{
    private const double Prior = 8;

    /// <summary>The checkpoints, base by base, in the units of <paramref name="own"/>.</summary>
    internal static IEnumerable<LabelledObservation> Of(IEnumerable<LabelledObservation> borrowed, IReadOnlyList<LabelledObservation> own)
    {
        foreach (IGrouping<string, LabelledObservation> other in borrowed.GroupBy(b => b.Observation.Model))
        {
            LabelledObservation[] all = [.. other];
            int traits = all[0].Observation.Traits.Count;
            double[] factors = [.. Enumerable.Range(0, traits + 1).Select(f => Factor(own.Select(c => Read(c, f)), all.Select(c => Read(c, f)), own.Count))];
            foreach (LabelledObservation c in all)
            {
                Displacement from = c.Observation.Displacement;
                var displacement = Displacement.Stored([.. from.PerTrait.Select((x, k) => x * factors[k])], from.MeanActivationChange * factors[traits]);
                yield return c with { Observation = c.Observation with { Displacement = displacement } };
            }
        }
    }

    // The last is the activation norm.
    private static double Read(LabelledObservation c, int feature) =>
        feature < c.Observation.Traits.Count ? c.Observation.Displacement.PerTrait[feature] : c.Observation.Displacement.MeanActivationChange;

    private static double Factor(IEnumerable<double> own, IEnumerable<double> other, int count)
    {
        double ratio = RootMeanSquare(own) / RootMeanSquare(other);
        return double.IsFinite(ratio) && ratio > 0 ? Math.Pow(ratio, count / (count + Prior)) : 1;
    }

    private static double RootMeanSquare(IEnumerable<double> values) => Math.Sqrt(values.Average(v => v * v));
}
