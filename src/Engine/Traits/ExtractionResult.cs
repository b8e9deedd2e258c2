namespace EmScan.Engine.Traits;

/// <summary>Directions and how far they can be trusted.</summary>
/// <param name="Directions">Unit vectors for every trait and layer, with complete metadata.</param>
/// <param name="Validity">One entry for every trait and layer, traits outer, layers ascending; empty when not asked for.</param>
/// <param name="EmptyGenerations">
/// Prompts whose greedy answer was empty under <see cref="Pooling.MeanOutput"/>; the state of their last input token was taken, the one
/// that decided to say nothing.
/// </param>
internal sealed record ExtractionResult(DirectionSet Directions, IReadOnlyList<DirectionValidity> Validity, int EmptyGenerations);
