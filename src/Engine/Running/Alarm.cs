using System.Text.Json;
using System.Text.Json.Serialization;

namespace EmScan.Engine.Running;

/// <summary>What is handed on when a checkpoint raises an alarm: to the stop file, a command, a webhook.</summary>
/// <remarks>Immutable, thread safe.</remarks>
/// <param name="Run">The run's name.</param>
/// <param name="Step">Optimizer step, or "final".</param>
/// <param name="Checkpoint">Path of the adapter.</param>
/// <param name="Verdict">"dangerous", "unknown" or "forecast".</param>
/// <param name="Reason">One sentence.</param>
/// <param name="PredictedRate">Predicted EM rate, 0 to 1; null where nothing predicts one.</param>
/// <param name="IntervalLow">Lower end of its interval; null where there is none.</param>
/// <param name="IntervalHigh">Upper end of its interval.</param>
/// <param name="Time">When the alarm was raised.</param>
/// <param name="Version">Version of emscan.</param>
internal sealed record Alarm(
    string Run, string Step, string Checkpoint, string Verdict, string Reason, double? PredictedRate, double? IntervalLow, double? IntervalHigh,
    DateTimeOffset Time, string Version)
{
    /// <summary>Largest EM rate to come in the run, 0 to 1; null where nothing forecasts one.</summary>
    public double? ForecastRate { get; init; }

    /// <summary>Lower end of the forecast's interval; null where there is none.</summary>
    public double? ForecastLow { get; init; }

    /// <summary>Upper end of the forecast's interval.</summary>
    public double? ForecastHigh { get; init; }

    /// <summary>Drift in units of the benign controls' threshold; null without controls.</summary>
    public double? BenignLevel { get; init; }

    /// <summary>Slope of |drift| over the run's last checkpoints, in units of n0 for each optimizer step; null with fewer than three.</summary>
    public double? TrendPerStep { get; init; }

    /// <summary>One JSON object in UTF-8, keys in snake case, without a line break.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, AlarmJsonContext.Default.Alarm);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(Alarm))]
internal sealed partial class AlarmJsonContext : JsonSerializerContext;
