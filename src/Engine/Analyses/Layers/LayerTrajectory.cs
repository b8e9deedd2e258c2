using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Layers;

/// <summary>The checkpoints of one run, for a map of drift by layer and step.</summary>
/// <param name="Run">The run's name.</param>
/// <param name="Checkpoints">In the order of their steps.</param>
internal sealed record LayerTrajectory(string Run, IReadOnlyList<(long Step, AdapterSource Adapter)> Checkpoints)
{
    internal IEnumerable<Cell> Cells(LayerProbe probe) => Checkpoints.SelectMany(c => probe.Sweep(Variant.Of(c.Adapter)));

    /// <summary>|drift| at [layer][step], each layer in units of its own n0.</summary>
    internal FindingsGrid ToGrid(LayerProbe probe) => new(
        $"{Run}: |drift|, in units of the layer's n0", "step", "layer", [.. Checkpoints.Select(c => (double)c.Step)], [.. probe.Layers.Select(l => (double)l)],
        [.. probe.Layers.Select(layer => (IReadOnlyList<double>)[.. Checkpoints.Select(c => probe.Drift(Variant.Of(c.Adapter), layer).Magnitude)])]);

    internal JsonObject ToJson(LayerProbe probe) => new()
    {
        ["run"] = Run,
        ["steps"] = new JsonArray([.. Checkpoints.Select(c => (JsonNode?)c.Step)]),
        ["drift_magnitude"] = new JsonArray([.. Checkpoints.Select(c => (JsonNode?)FindingsData.Numbers(probe.Layers.Select(layer => probe.Drift(Variant.Of(c.Adapter), layer).Magnitude)))]),
    };
}
