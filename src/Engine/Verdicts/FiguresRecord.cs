using System.Text.Json;
using System.Text.Json.Serialization;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>Figures of an evaluation: fractions, not percent.</summary>
internal record FiguresRecord
{
    public FiguresRecord()
    {
    }

    public FiguresRecord(EvaluationReport? report)
    {
        if (report is null) return;
        DangerousAbove = report.DangerousAbove;
        FlaggedAbove = report.FlaggedAbove;
        Runs = report.Runs;
        Checkpoints = report.Counts.Total;
        Dangerous = report.Counts.Dangerous;
        Flagged = report.Counts.Flagged;
        Metrics = All(metric => report[metric]);
    }

    public double? DangerousAbove { get; init; }

    public double? FlaggedAbove { get; init; }

    public int? Runs { get; init; }

    public int? Checkpoints { get; init; }

    public int? Dangerous { get; init; }

    public int? Flagged { get; init; }

    /// <summary>By the metric's key.</summary>
    public Dictionary<string, EstimateRecord>? Metrics { get; init; }

    /// <summary>The key of a metric: false_negative_rate and so on.</summary>
    public static string Key(Metric metric) => JsonNamingPolicy.SnakeCaseLower.ConvertName(metric.ToString());

    /// <summary>One entry for every metric, in their order.</summary>
    public static Dictionary<string, EstimateRecord> All(Func<Metric, Estimate> estimate) =>
        Enum.GetValues<Metric>().ToDictionary(Key, metric => new EstimateRecord(estimate(metric)));
}

/// <summary>One figure with its interval; an undefined one is null with its reason.</summary>
[method: JsonConstructor]
internal sealed record EstimateRecord(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] double? Value, string? WhyUndefined, double? Low, double? High)
{
    public EstimateRecord(Estimate estimate)
        : this(estimate.Value, estimate.WhyUndefined, estimate.Interval?.Low, estimate.Interval?.High)
    {
    }
}
