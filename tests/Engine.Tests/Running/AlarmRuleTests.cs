using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Running;

/// <summary>Which rows raise an alarm, of which kind, and what it says.</summary>
public class AlarmRuleTests
{
    [Fact]
    public void OfEachRunTheFirstDangerousCheckpointAndTheFirstWarningBeforeIt()
    {
        var rule = new AlarmRule([]);
        Assert.Null(Kind(rule, "a", 10, Calibrated(0.01, 0.02)));
        Assert.Equal("forecast", Kind(rule, "a", 20, Calibrated(0.02, 0.12)));
        Assert.Null(Kind(rule, "a", 30, Calibrated(0.03, 0.14)));
        Assert.Equal("dangerous", Kind(rule, "a", 40, Calibrated(0.08, 0.15)));
        Assert.Null(Kind(rule, "a", 50, Calibrated(0.09, 0.15)));
        Assert.Equal("dangerous", Kind(rule, "b", 10, Calibrated(0.08, 0.15)));
        Assert.Null(Kind(rule, "b", 20, Calibrated(0.02, 0.12))); // it was dangerous already: no news
        Assert.Null(Kind(rule, "c", 10, new Assessment(AssessmentState.Unknown, new EffectSize(3, null), 0, [new Remark("not-visible", "layer 2 sees nothing of it")], null)));
    }

    [Theory]
    [InlineData("forecast", 20)]
    [InlineData("dangerous", 40)]
    [InlineData("unknown", 30)]
    public void TheWatchEndsAtTheKindItWasToldOnly(string kind, int at)
    {
        var rule = new AlarmRule([kind]);
        Assessment unknown = Calibrated(0.03, 0.14) with { State = AssessmentState.Unknown };
        foreach ((int step, Assessment assessment) in new[] { (10, Calibrated(0.01, 0.02)), (20, Calibrated(0.02, 0.12)), (30, unknown), (40, Calibrated(0.08, 0.15)) })
        {
            Alarm? alarm = rule.Of(Point("a", step), assessment, out bool stops);
            Assert.Equal(step == at, stops);
            if (stops) Assert.Equal((kind, step.ToString()), (alarm!.Verdict, alarm.Step));
            if (stops) return;
        }

        Assert.Fail("It never ended.");
    }

    [Fact]
    public void AnAlarmHasRateForecastAndIntervals()
    {
        Alarm alarm = new AlarmRule([]).Of(Point("a", 20), Calibrated(0.02, 0.12) with { Trend = new DriftTrend(0.001, 0, 3) }, out _)!;
        Assert.Equal((0.02, 0.01, 0.04), (alarm.PredictedRate, alarm.IntervalLow, alarm.IntervalHigh));
        Assert.Equal((0.12, 0.06, 0.24), (alarm.ForecastRate, alarm.ForecastLow, alarm.ForecastHigh));
        Assert.Equal((null, 0.001), (alarm.BenignLevel, alarm.TrendPerStep));
        Assert.Equal("The largest EM rate to come is predicted at 12.0% [6.0, 24.0], above the 7% that 95% of benign runs stay below; now it is 2.0%.", alarm.Reason);
    }

    [Fact]
    public void WithoutACalibrationNoProbabilityIsMadeUp()
    {
        var assessment = new Assessment(AssessmentState.Dangerous, new BenignVerdict(1.5), 1, [], null);
        Alarm alarm = new AlarmRule(["dangerous"]).Of(Point("a", 20), assessment, out bool stops)!;
        Assert.True(stops);
        Assert.Equal((null, null, 1.5), (alarm.PredictedRate, alarm.ForecastRate, alarm.BenignLevel));
        Assert.DoesNotContain("%", alarm.Reason);
    }

    [Fact]
    public void WhatCannotBeMetIsSaid()
    {
        Judge none = Judge.Uncalibrated(12);
        Assert.Contains("calibration with a forecast", AlarmRule.NeverMet("forecast", none));
        Assert.Contains("benign controls", AlarmRule.NeverMet("dangerous", none));
        Assert.Null(AlarmRule.NeverMet("unknown", none));
    }

    private static string? Kind(AlarmRule rule, string run, int step, Assessment assessment) => rule.Of(Point(run, step), assessment, out _)?.Verdict;

    private static FailedPoint Point(string run, int step) => new(new Checkpoint(run, CheckpointStep.At(step), $"{run}/checkpoint-{step}"), "not looked at", null, default);

    /// <summary>Flagged above 6%, forecasts alarming above 7%.</summary>
    private static Assessment Calibrated(double rate, double toCome)
    {
        var verdict = new CalibratedVerdict(rate, new Interval(rate / 2, 2 * rate), 0.06, 0.5, null) { Forecast = new Forecast(toCome, new Interval(toCome / 2, 2 * toCome), 0.07, 0.2) };
        return new Assessment(verdict.Dangerous ? AssessmentState.Dangerous : AssessmentState.Ok, verdict, 1, [], null);
    }
}
