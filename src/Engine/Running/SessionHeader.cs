using EmScan.Engine.Analyses.Scan;

namespace EmScan.Engine.Running;

/// <summary>The head of the reports of a session.</summary>
internal static class SessionHeader
{
    /// <summary>The head, without verdicts.</summary>
    /// <param name="session">The model, its directions and the layer.</param>
    /// <param name="prompts">P.</param>
    /// <param name="n0">Mean norm of the base's hidden states.</param>
    /// <param name="shards">Says on what device it was measured, with how many threads.</param>
    internal static ScanHeader Of(SessionModel session, int prompts, double n0, ShardSession shards) => new()
    {
        ModelPath = session.Loaded.Request.Model,
        ModelSha256 = session.Loaded.Sha256,
        ModelDescription = session.Loaded.Model.Description,
        LayerCount = session.Loaded.Model.LayerCount,
        HiddenSize = session.Loaded.Model.HiddenSize,
        Layer = session.Layer,
        Traits = session.Directions.Traits,
        TraitSet = session.Loaded.TraitSource,
        Directions = session.DirectionsSource,
        DirectionsPooling = session.Directions.Metadata.Pooling,
        Prompts = prompts,
        Place = session.Loaded.Place,
        Step0Norm = n0,
        NumericMode = session.Loaded.NumericMode,
        Device = shards.Device,
        Threads = shards.Threads,
    };
}
