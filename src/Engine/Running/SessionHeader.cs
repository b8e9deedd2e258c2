using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Measuring;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Running;

/// <summary>The head of the reports of a session.</summary>
internal static class SessionHeader
{
    /// <summary>The head, without verdicts.</summary>
    /// <param name="prepared">The model.</param>
    /// <param name="layer">The measured layer.</param>
    /// <param name="directions">The directions.</param>
    /// <param name="source">Where they come from.</param>
    /// <param name="prompts">P.</param>
    /// <param name="n0">Mean norm of the base's hidden states.</param>
    /// <param name="shards">Says on what device it was measured, with how many threads.</param>
    internal static ScanHeader Of(LoadedModel prepared, int layer, DirectionSet directions, string source, int prompts, double n0, ShardSession shards) => new()
    {
        ModelPath = prepared.Request.Model,
        ModelSha256 = prepared.Sha256,
        ModelDescription = prepared.Model.Description,
        LayerCount = prepared.Model.LayerCount,
        HiddenSize = prepared.Model.HiddenSize,
        Layer = layer,
        Traits = directions.Traits,
        TraitSet = prepared.TraitSource,
        Directions = source,
        DirectionsPooling = directions.Metadata.Pooling,
        Prompts = prompts,
        Place = prepared.Place,
        Step0Norm = n0,
        NumericMode = prepared.NumericMode,
        Device = shards.Device,
        Threads = shards.Threads,
    };
}
