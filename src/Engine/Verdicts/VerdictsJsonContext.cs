using System.Text.Json.Serialization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts;

/// <summary>Generated readers and writers of the files of this room: no reflection, so that they work compiled ahead of time.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(NumberConverter), typeof(IntegerConverter), typeof(TextConverter), typeof(TextListConverter), typeof(NumberListConverter)])]
[JsonSerializable(typeof(CalibrationRecord))]
[JsonSerializable(typeof(RegressorRecord))]
[JsonSerializable(typeof(TreeRecord))]
internal sealed partial class VerdictsJsonContext : JsonSerializerContext;
