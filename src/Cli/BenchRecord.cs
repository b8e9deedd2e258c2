using System.Text.Json.Serialization;

namespace EmScan.Cli;

/// <summary>The output of <c>emscan bench --json</c>. Times in milliseconds, sizes in bytes, shares from 0 to 1.</summary>
internal sealed record BenchRecord(
    string Emscan, string LlamaCpp, string Model, string ModelDescription, string Device, string NumericMode, int Contexts, int ThreadsEach,
    int? SyntheticAdapterRank, string? Adapter, int Layer, int Layers, int Prompts, int PromptsMeasured, long Tokens, long TokensShared, double ShareOfPrefill,
    int Rounds, double CheckpointsPerMinute, double TokensPerSecond, StagesRecord CheckpointMs, double RawPrefillMs, double CeilingMs, double ShareOfCeiling,
    long PeakBytes, long ModelBytes, int Processors, double? ProcessorsIdle, bool MachineWasBusy);

/// <summary>Milliseconds of one checkpoint by stage.</summary>
internal sealed record StagesRecord(double Load, double Decode, double Capture, double Kernel, double Journal);

/// <summary>Generated writer of the record.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(BenchRecord))]
internal sealed partial class BenchJsonContext : JsonSerializerContext;
