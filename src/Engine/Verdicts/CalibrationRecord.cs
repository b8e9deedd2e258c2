using System.Text.Json.Serialization;
using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>calibration.json as it is written; what the keys mean: see <see cref="CalibrationFile"/>. Members are null where a file
/// lacks them.</summary>
internal sealed record CalibrationRecord
{
    private IntervalRecord? _interval;
    private DriftAxisRecord? _axis;

    public string? Format { get; init; }

    public int? Version { get; init; }

    public string? CreatedBy { get; init; }

    public BaseRecord? Base { get; init; }

    public double? DangerousAbove { get; init; }

    public int? Seed { get; init; }

    public CalibrationSetRecord? CalibrationSet { get; init; }

    public ValidationRecord[]? Validation { get; init; }

    public DriftAxisRecord? DriftAxis
    {
        get => _axis;
        set => (_axis, HasDriftAxis) = (value, true);
    }

    public RangeRecord? Range { get; init; }

    public IntervalRecord? Interval
    {
        get => _interval;
        set => (_interval, HasInterval) = (value, true);
    }

    public DetectorRecord? Detector { get; init; }

    public ForecastRecord? Forecast { get; init; }

    public LabelledRunRecord[]? Labelled { get; init; }

    /// <summary>Whether the key is there, be it null: it may be absent, but not empty.</summary>
    [JsonIgnore]
    public bool HasDriftAxis { get; private set; }

    /// <summary>Whether the key is there, be it null.</summary>
    [JsonIgnore]
    public bool HasInterval { get; private set; }
}

/// <summary>What was measured, with the base's own figures.</summary>
internal sealed record BaseRecord
{
    public string? ModelSha256 { get; init; }

    public string? ModelDescription { get; init; }

    public int? Layers { get; init; }

    public int? Layer { get; init; }

    public string? LayerConvention { get; init; }

    public int? Prompts { get; init; }

    public string? NumericMode { get; init; }

    public string? Place { get; init; }

    public string? DirectionsPooling { get; init; }

    public string? DirectionsMethod { get; init; }

    [JsonConverter(typeof(FittedSinglesConverter))]
    public double[][]? Directions { get; init; }

    [JsonConverter(typeof(NumberRowsConverter))]
    public double[][]? Answers { get; init; }

    public string[]? Traits { get; init; }

    public double[]? ProjectionsNormalized { get; init; }

    public AutoencoderRecord? Autoencoder { get; init; }
}

/// <summary>The sparse autoencoder whose latents the detector reads.</summary>
internal sealed record AutoencoderRecord(string? Name, string? Digest, int? Latents);

/// <summary>What the detector was fitted on.</summary>
internal sealed record CalibrationSetRecord(
    string? Fingerprint, int? Runs, int? Checkpoints, int? DangerousCheckpoints, double? LowestEmRate, double? HighestEmRate, string[]? Perturbations)
{
    public double? VisibleShare { get; init; }

    public int? BorrowedCheckpoints { get; init; }
}

/// <summary>The checkpoints of one run that the detector was fitted on, a list for each of their properties; "base" is there where they are of another
/// base model.</summary>
internal sealed record LabelledRunRecord
{
    public string? Base { get; init; }

    public string? Run { get; init; }

    public string? Perturbation { get; init; }

    public string? Seed { get; init; }

    [JsonConverter(typeof(TextLineConverter))]
    public string[]? Steps { get; init; }

    public double? FinalStep { get; init; }

    public double[]? EmRates { get; init; }

    public double[]? NScored { get; init; }

    public double[]? ActivationNorms { get; init; }

    [JsonConverter(typeof(NumberRowsConverter))]
    public double[][]? Drifts { get; init; }
}

/// <summary>Figures on groups that the detector had not seen.</summary>
internal sealed record ValidationRecord : FiguresRecord
{
    [JsonConstructor]
    public ValidationRecord()
    {
    }

    public ValidationRecord(EvaluationReport report)
        : base(report)
    {
    }

    [JsonPropertyOrder(-1)]
    public string? Name { get; init; }

    [JsonPropertyOrder(1)]
    public EstimateRecord? IntervalCoverage { get; init; }
}

/// <summary>The drift axis by its moments.</summary>
internal sealed record DriftAxisRecord(int? Runs, double[]? Shares, double[]? Loadings, double[]? Mean, double[]? Covariance);

/// <summary>How far the calibration reaches.</summary>
internal sealed record RangeRecord(
    double? Limit, double[]? Scale, [property: JsonConverter(typeof(NumberRowsConverter))] double[][]? Checkpoints);

/// <summary>Intervals by the errors on unseen perturbations; files of before 0.3 have out-of-sample pairs of rates instead.</summary>
internal sealed record IntervalRecord(
    double? Level, int? Groups, double? Quantile, double? FalseUnknownRate, double? UnknownAbove, double[]? Predicted, double[]? True);

/// <summary>The largest rate to come.</summary>
internal sealed record ForecastRecord(
    double? FalseAlarmRate, double? AlarmAbove, double? StrictFalseAlarmRate, double? StrictAlarmAbove, int? BenignRuns, IntervalRecord? Interval,
    DetectorRecord? Detector);

/// <summary>The fitted detector.</summary>
internal sealed record DetectorRecord(string? Features, string? Learner, double? FlaggedAbove, string[]? Columns, RegressorRecord? Regressor);
