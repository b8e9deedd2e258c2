using EmScan.Engine.Analyses.Scan;

namespace EmScan.Engine.Tests.Support;

/// <summary>The head of a report, for tests that do not care what was measured with what.</summary>
internal static class SampleHeader
{
    internal static ScanHeader Of(params IReadOnlyList<string> traits) => new()
    {
        ModelPath = "models/demo/model.gguf",
        ModelSha256 = new string('a', 64),
        ModelDescription = "llama, 898K parameters",
        LayerCount = 6,
        HiddenSize = 96,
        Layer = 3,
        Traits = traits,
        TraitSet = "traits.yaml",
        Directions = "extracted",
        Prompts = 52,
        Step0Norm = 35.12,
        NumericMode = "fast, CPU",
        Device = "CPU",
        Threads = 2,
    };
}
