using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses;

/// <summary>The drift of a variant from the base, of the results of a <see cref="ProjectionReducer"/>.</summary>
internal static class TraitDrift
{
    /// <summary>Drift along each trait and what belongs to it.</summary>
    /// <param name="variant">The variant's result.</param>
    /// <param name="baseline">The base's, on the same rows and directions.</param>
    internal static Displacement Of(CellResult variant, CellResult baseline) =>
        Displacement.From(Measurement.From(variant), Measurement.From(baseline), variant["projections"].Length / variant["norms"].Length);
}
