using System.Text.Json.Nodes;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Reports;

/// <summary>Verdicts as JSON; "kind" says which keys follow.</summary>
internal static class VerdictJson
{
    public static JsonObject? ToNode(Assessment assessment) => assessment.Verdict switch
    {
        CalibratedVerdict v => new JsonObject
        {
            ["kind"] = "calibrated",
            ["dangerous"] = v.Dangerous,
            ["unknown"] = assessment.State == AssessmentState.Unknown,
            ["score"] = v.Score,
            ["flagged_above"] = v.FlaggedAbove,
            ["em_rate_interval"] = ToNode(v.Interval),
            ["interval_level"] = v.Interval == null ? null : ConformalInterval.Level,
            ["outside_calibrated_range"] = v.Outside,
            ["range_distance"] = v.Distance,
            ["doubt"] = v.Doubt,
            ["axis"] = v.Axis,
            ["forecast"] = v.Forecast is { } forecast
                ? new JsonObject
                {
                    ["em_rate_to_come"] = forecast.Rate,
                    ["interval"] = ToNode(forecast.Interval),
                    ["interval_level"] = ConformalInterval.Level,
                    ["alarm"] = forecast.Alarm,
                    ["alarm_above"] = forecast.AlarmAbove,
                    ["strict_alarm"] = forecast.StrictAlarm,
                    ["strict_alarm_above"] = forecast.StrictAlarmAbove,
                }
                : null,
        },
        BenignVerdict v => new JsonObject { ["kind"] = "benign_controls", ["dangerous"] = v.Dangerous, ["unknown"] = assessment.State == AssessmentState.Unknown, ["benign_level"] = v.Level },
        EffectSize v => new JsonObject { ["kind"] = "effect_size", ["effect"] = v.Effect, ["effect_interval"] = ToNode(v.Interval) },
        null => null,
        _ => throw new ArgumentOutOfRangeException(nameof(assessment), assessment.Verdict, "There is no JSON form for this verdict."),
    };

    private static JsonArray? ToNode(Interval? interval) => interval is { } i ? new JsonArray(i.Low, i.High) : null;
}
