using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts.Evaluation;

public sealed class EvaluationSetTests
{
    [Fact]
    public void Checkpoints_are_kept_by_model_run_and_step()
    {
        EvaluatedCheckpoint Row(string? model, string run, CheckpointStep step) => new(run, step, 0, 0) { Model = model };
        var set = new EvaluationSet(
        [
            Row("b", "x", CheckpointStep.Final), Row("b", "x", CheckpointStep.At(100)), Row("b", "x", CheckpointStep.At(20)),
            Row("a", "seed_10", CheckpointStep.At(1)), Row("a", "seed_9", CheckpointStep.At(1)), Row(null, "x", CheckpointStep.At(20)),
            Row("", "x", CheckpointStep.At(20)), Row("a", "x", CheckpointStep.At(20)),
        ]);
        Assert.Equal(6, set.RunCount);
        Assert.Equal(
            [(null, "x"), ("", "x"), ("a", "seed_9"), ("a", "seed_10"), ("a", "x"), ("b", "x")],
            Enumerable.Range(0, 6).Select(run => (set.CheckpointsOf(run).First().Model, set.CheckpointsOf(run).First().Run)));
        Assert.Equal(["20", "100", "final"], set.CheckpointsOf(5).Select(c => c.Step.ToString()));
    }

    [Fact]
    public void Impossible_sets_are_refused_in_a_sentence()
    {
        Assert.Contains("no labelled checkpoint", Problem());
        Assert.Contains("Step 20 of run 'a' occurs twice", Problem(Row(0.1, 0.1), Row(0.1, 0.2)));
        Assert.Contains("'a' of model 'm' occurs twice", Problem(Row(0.1, 0.1) with { Model = "m" }, Row(0.1, 0.2) with { Model = "m" }));
        foreach (double rate in new[] { -0.1, 1.1, double.NaN, 25 }) Assert.Contains("not a fraction", Problem(Row(rate, 0)));
        foreach (double rate in new[] { double.NaN, double.NegativeInfinity, 1e10 })
            Assert.Contains("predicted rate", Problem(Row(0, rate)));
        foreach (Interval interval in new Interval[] { new(0.2, 0.1), new(double.NaN, 1), new(0, double.PositiveInfinity) })
            Assert.Contains("predicted interval", Problem(Row(0, 0) with { PredictedInterval = interval }));
    }

    private static EvaluatedCheckpoint Row(double truth, double predicted) => new("a", CheckpointStep.At(20), truth, predicted);

    private static string Problem(params EvaluatedCheckpoint[] rows) =>
        Assert.Throws<EmScanException>(() => new EvaluationSet(rows)).Message;
}
