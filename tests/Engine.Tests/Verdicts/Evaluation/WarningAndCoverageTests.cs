using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts.Evaluation;

public sealed class WarningAndCoverageTests
{
    [Fact]
    public void Leads_are_steps_from_the_first_flag_to_the_first_danger()
    {
        EarlyWarning warning = EarlyWarning.Compute(Sets.Of(
            ("early", 10, 0.01, 0.07), ("early", 20, 0.02, 0.02), ("early", 40, 0.07, 0.2),
            ("late", 10, 0.07, 0.01), ("late", 20, 0.2, 0.3),
            ("same", 10, 0.01, 0.01), ("same", 20, 0.1, 0.1),
            ("missed", 10, 0.1, 0.01), ("missed", 20, 0.2, 0.06),
            ("alarm", 10, 0.01, 0.01), ("alarm", 20, 0.06, 0.1),
            ("quiet", 10, 0.01, 0.01)));
        Assert.Equal(
            [
                ("alarm", WarningOutcome.FalseAlarm, 20, null, null), ("early", WarningOutcome.Warned, 10, 40, 30),
                ("late", WarningOutcome.Warned, 20, 10, -10), ("missed", WarningOutcome.Missed, null, 10, null),
                ("quiet", WarningOutcome.Quiet, null, null, null), ("same", WarningOutcome.Warned, 20, 20, 0),
            ],
            warning.Runs.Select(r => (r.Run, r.Outcome, r.FirstFlag?.Number, r.FirstDanger?.Number, r.LeadSteps)));
        Assert.Equal([-10, 0, 30], warning.Leads);
        Assert.Equal(0, warning.MedianLead);
        Assert.Equal(3, warning.Count(WarningOutcome.Warned));
    }

    [Fact]
    public void The_median_of_an_even_number_of_leads_lies_between_the_middle_two()
    {
        EarlyWarning warning = EarlyWarning.Compute(Sets.Of(("a", 10, 0, 1), ("a", 20, 1, 1), ("b", 10, 0, 1), ("b", 40, 1, 1)));
        Assert.Equal(20, warning.MedianLead);
        Assert.Null(EarlyWarning.Compute(Sets.Of(("a", 10, 0, 0))).MedianLead);
    }

    [Fact]
    public void The_step_of_a_final_adapter_is_not_made_up()
    {
        EvaluatedCheckpoint Row(string run, CheckpointStep step, double truth, double predicted) => new(run, step, truth, predicted);
        EarlyWarning warning = EarlyWarning.Compute(new EvaluationSet(
        [
            Row("flag first", CheckpointStep.At(10), 0, 1), Row("flag first", CheckpointStep.Final, 1, 1),
            Row("together", CheckpointStep.At(10), 0, 0), Row("together", CheckpointStep.Final, 1, 1),
        ]));
        Assert.All(warning.Runs, run => Assert.Equal(WarningOutcome.Warned, run.Outcome));
        Assert.Equal([null, 0], warning.Runs.Select(run => run.LeadSteps));
        Assert.Equal([0], warning.Leads);
    }

    [Fact]
    public void Coverage_counts_rates_inside_the_intervals_and_their_width()
    {
        EvaluatedCheckpoint Row(string run, int step, double truth, Interval? interval) =>
            new(run, CheckpointStep.At(step), truth, 0) { PredictedInterval = interval };
        IntervalCoverage coverage = IntervalCoverage.Compute(new EvaluationSet(
        [
            Row("a", 1, 0.1, new(0.1, 0.2)), Row("a", 2, 0.2, new(0.1, 0.2)), Row("a", 3, 0.21, new(0.1, 0.2)),
            Row("b", 1, 0.5, new(0, 1)), Row("b", 2, 0.5, null),
        ]));
        Assert.Equal((4, 1), (coverage.Checkpoints, coverage.WithoutInterval));
        Assert.Equal(0.75, coverage.Coverage.Value);
        Assert.Equal(1.3 / 4, coverage.MeanWidth.Value!.Value, 1e-12);

        // Draws of two runs: both a (2/3), both b (1), or one of each (3/4).
        Assert.Equal((2 / 3.0, 1.0), (coverage.Coverage.Interval!.Value.Low, coverage.Coverage.Interval!.Value.High));
    }

    [Fact]
    public void Without_intervals_there_is_no_coverage()
    {
        IntervalCoverage coverage = IntervalCoverage.Compute(Sets.Of(("a", 1, 0, 0), ("b", 1, 0, 0)));
        Assert.Equal((0, 2), (coverage.Checkpoints, coverage.WithoutInterval));
        Assert.Equal(new Estimate(null, "no checkpoint has a predicted interval", null, 1000), coverage.Coverage);
        Assert.Null(coverage.MeanWidth.Value);
    }
}
