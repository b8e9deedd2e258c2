using System.Text.Json;
using System.Text.Json.Serialization;
using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Reports;

/// <summary>The output of <c>emscan evaluate --json</c>: fractions, not percent.</summary>
internal sealed record DetectorStudyRecord(
    string EmscanVersion, ProtocolRecord[] Protocols, PlaceRecord[]? Places, AxisStudyRecord[] DriftAxes, StudyCheckpointRecord[] Checkpoints);

/// <summary>One way of leaving checkpoints out, and every detector under it.</summary>
internal sealed record ProtocolRecord(
    string Name, StudyRowRecord[] Detectors, PartRecord[] ByModel, PartRecord[] ByPerturbation, PartRecord[] BySeed, PartRecord[] AtThresholds,
    CertainLabelsRecord? CertainLabels, CoverageRecord? IntervalCoverage, CoverageRecord[]? CoverageByPerturbation, UnknownRecord? Unknown,
    RunWarningRecord[]? EarlyWarning, ForecastStudyRecord[]? Forecasts);

/// <summary>One detector under one protocol.</summary>
internal sealed record StudyRowRecord : FiguresRecord
{
    [JsonConstructor]
    public StudyRowRecord()
    {
    }

    public StudyRowRecord(EvaluationReport? report)
        : base(report)
    {
    }

    [JsonPropertyOrder(-2)]
    public string? Detector { get; init; }

    [JsonPropertyOrder(-1)]
    public string? Title { get; init; }

    [JsonPropertyOrder(1)]
    public Dictionary<string, EstimateRecord>? FirstMinusThis { get; init; }

    [JsonPropertyOrder(2)]
    public string[]? Remarks { get; init; }

    [JsonPropertyOrder(3)]
    public ScoreRecord[]? Scores { get; init; }
}

/// <summary>The score of one checkpoint that the detector had not seen.</summary>
internal sealed record ScoreRecord(
    string Model, string Run, [property: JsonConverter(typeof(StepConverter))] CheckpointStep Step, double EmRate, double Score, double? RangeDistance);

/// <summary>Figures of a part of the checkpoints.</summary>
internal sealed record PartRecord : FiguresRecord
{
    [JsonConstructor]
    public PartRecord()
    {
    }

    public PartRecord(string? name, EvaluationReport report)
        : base(report) => Name = name;

    [JsonPropertyOrder(-1)]
    public string? Name { get; init; }
}

/// <summary>Figures over the checkpoints whose label is certain.</summary>
internal sealed record CertainLabelsRecord : FiguresRecord
{
    [JsonConstructor]
    public CertainLabelsRecord()
    {
    }

    public CertainLabelsRecord(CertainLabels labels)
        : base(labels.Report) => (Known, Certain) = (labels.Checkpoints, labels.Certain);

    [JsonPropertyOrder(-2)]
    public int? Known { get; init; }

    [JsonPropertyOrder(-1)]
    public int? Certain { get; init; }
}

/// <summary>Figures of the headline detector at one place.</summary>
internal sealed record PlaceRecord : FiguresRecord
{
    [JsonConstructor]
    public PlaceRecord()
    {
    }

    public PlaceRecord(EvaluationReport report)
        : base(report)
    {
    }

    [JsonPropertyOrder(-3)]
    public string? Protocol { get; init; }

    [JsonPropertyOrder(-2)]
    public string? Place { get; init; }

    [JsonPropertyOrder(-1)]
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? DirectionsPooling { get; init; }

    [JsonPropertyOrder(1)]
    public Dictionary<string, EstimateRecord>? MinusFirst { get; init; }
}

/// <summary>How many true rates the intervals hold.</summary>
internal sealed record CoverageRecord(string? Name, int Checkpoints, EstimateRecord Coverage, EstimateRecord MeanWidth);

/// <summary>How often "unknown" is said.</summary>
internal sealed record UnknownRecord(double FalseUnknownRate, int Harmless, int HarmlessUnknown, int Missed, int MissedUnknown);

/// <summary>The forecast at one false-alarm rate.</summary>
internal sealed record ForecastStudyRecord(
    double FalseAlarmRate, EstimateRecord MedianLead, EstimateRecord Missed, EstimateRecord FalseAlarms, RunWarningRecord[] Runs, string[] Remarks);

/// <summary>When a run was flagged and when it became dangerous; a step is a text here.</summary>
internal sealed record RunWarningRecord(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Model,
    string Run,
    string Outcome,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? FirstFlag,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? FirstDanger,
    long? LeadSteps);

/// <summary>The drift axis of one base with its controls; loadings by trait, cosines by perturbation.</summary>
internal sealed record AxisStudyRecord(
    string Model, long Runs, double[] Shares, double ParticipationRatio, Dictionary<string, double> Loadings,
    Dictionary<string, double?>? WithoutOnePerturbation, WhitenedRecord? Whitened, NativeRecord? Native, ChanceRecord? IsotropicNull);

/// <summary>The axis without the overlap of the directions.</summary>
internal sealed record WhitenedRecord(double[] Shares, double Cosine);

/// <summary>The axis in the residual stream itself.</summary>
internal sealed record NativeRecord(double Share, double ParticipationRatio, double? Cosine, double VisibleShare);

/// <summary>The share that random directions would reach.</summary>
internal sealed record ChanceRecord(int Draws, double MeanShare, [property: JsonPropertyName("share_95")] double Share95, double PValue);

/// <summary>A labelled checkpoint with what was measured of it; drift by trait.</summary>
internal sealed record StudyCheckpointRecord(
    string Model, string Run, [property: JsonConverter(typeof(StepConverter))] CheckpointStep Step, string Perturbation,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Seed,
    double EmRate, long? NScored, double ActivationNorm, Dictionary<string, double> Drift);

/// <summary>A step as a number, or "final".</summary>
internal sealed class StepConverter : JsonConverter<CheckpointStep>
{
    public override CheckpointStep Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.Number ? CheckpointStep.At(reader.GetInt64()) : CheckpointStep.Final;

    public override void Write(Utf8JsonWriter writer, CheckpointStep value, JsonSerializerOptions options)
    {
        if (value.Number is { } number) writer.WriteNumberValue(number);
        else writer.WriteStringValue(value.ToString());
    }
}

/// <summary>Generated writer of the study.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(NumberListConverter)])]
[JsonSerializable(typeof(DetectorStudyRecord))]
internal sealed partial class DetectorStudyJsonContext : JsonSerializerContext;
