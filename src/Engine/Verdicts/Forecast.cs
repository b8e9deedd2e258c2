using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>What is to come: the largest EM rate from a checkpoint to the end of its run.</summary>
/// <param name="Rate">Predicted largest rate of the rest of the run, 0 to 1.</param>
/// <param name="Interval">Its interval at level <see cref="ConformalInterval.Level"/>.</param>
/// <param name="AlarmAbove">The rate above which it is alarming: 5% of benign runs exceed it at some checkpoint. Null without benign runs.</param>
/// <param name="StrictAlarmAbove">The same at 1% of benign runs.</param>
public sealed record Forecast(double Rate, Interval Interval, double? AlarmAbove, double? StrictAlarmAbove)
{
    /// <summary>Whether the rest of the run is expected to be worse than that of 95% of benign runs.</summary>
    public bool Alarm => Rate > AlarmAbove;

    /// <summary>The same against 99% of benign runs.</summary>
    public bool StrictAlarm => Rate > StrictAlarmAbove;
}
