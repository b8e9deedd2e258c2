using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses;

/// <summary>The drift of a variant from the base.</summary>
internal static class TraitDrift
{
    /// <summary>The cell that a variant's drift at a layer is read from.</summary>
    /// <param name="context">The model and its directions.</param>
    /// <param name="variant">The variant, or the base.</param>
    /// <param name="layer">A layer that there are directions for.</param>
    /// <param name="prompts">Where it is measured; null for the evaluation prompts.</param>
    internal static Cell Projections(AnalysisContext context, Variant variant, int layer, PromptSet? prompts = null) =>
        new(variant, prompts ?? context.EvaluationPrompts, layer, new ProjectionReducer(context.Directions.Direction(layer), context.Directions.Traits.Count));

    /// <summary>Drift along each trait and what belongs to it, of cells that were planned.</summary>
    internal static Displacement Of(AnalysisContext context, Variant variant, int layer, PromptSet? prompts = null) =>
        Of(context.Results[Projections(context, variant, layer, prompts)], context.Results[Projections(context, Variant.Base, layer, prompts)]);

    /// <summary>The same of results of a <see cref="ProjectionReducer"/>.</summary>
    /// <param name="variant">The variant's result.</param>
    /// <param name="baseline">The base's, on the same rows and directions.</param>
    internal static Displacement Of(CellResult variant, CellResult baseline) =>
        Displacement.From(Measurement.From(variant), Measurement.From(baseline), variant["projections"].Length / variant["norms"].Length);
}
