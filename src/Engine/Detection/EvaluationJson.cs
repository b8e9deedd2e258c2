using System.Text.Json;
using EmScan.Engine.Detection.Evaluation;

namespace EmScan.Engine.Detection;

/// <summary>Figures as JSON: fractions, not percent; an undefined figure is null with its reason.</summary>
internal static class EvaluationJson
{
    /// <summary>The key of a metric: false_negative_rate and so on.</summary>
    public static string Key(Metric metric) => JsonNamingPolicy.SnakeCaseLower.ConvertName(metric.ToString());

    /// <summary>Writes thresholds, counts and metrics as members of the object that is open.</summary>
    public static void WriteFigures(Utf8JsonWriter json, EvaluationReport report)
    {
        json.WriteNumber("dangerous_above", report.DangerousAbove);
        json.WriteNumber("flagged_above", report.FlaggedAbove);
        json.WriteNumber("runs", report.Runs);
        json.WriteNumber("checkpoints", report.Counts.Total);
        json.WriteNumber("dangerous", report.Counts.Dangerous);
        json.WriteNumber("flagged", report.Counts.Flagged);
        json.WriteStartObject("metrics");
        foreach (Metric metric in Enum.GetValues<Metric>()) WriteEstimate(json, Key(metric), report[metric]);
        json.WriteEndObject();
    }

    /// <summary>Writes one figure with its interval.</summary>
    public static void WriteEstimate(Utf8JsonWriter json, string key, Estimate estimate)
    {
        json.WriteStartObject(key);
        if (estimate.Value is { } value) json.WriteNumber("value", value);
        else json.WriteNull("value");
        if (estimate.WhyUndefined is { } why) json.WriteString("why_undefined", why);
        if (estimate.Interval is { } interval)
        {
            json.WriteNumber("low", interval.Low);
            json.WriteNumber("high", interval.High);
        }

        json.WriteEndObject();
    }
}
