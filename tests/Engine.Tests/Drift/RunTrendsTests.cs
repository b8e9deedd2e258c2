using EmScan.Engine.Drift;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Tests.Drift;

public class RunTrendsTests
{
    /// <summary>Slope and its error by the textbook's sums in decimal arithmetic, over the last five of twelve random checkpoints, which come in any order.</summary>
    [Fact]
    public void TheSlopeIsThatOfTheLastCheckpoints()
    {
        var random = new Random(5);
        (int Step, double Drift)[] points = [.. Enumerable.Range(1, 12).Select(i => ((10 * i) + random.Next(5), 0.02 + random.NextDouble()))];
        var trends = new RunTrends();
        foreach ((int step, double drift) in points[..^1].OrderBy(_ => random.Next())) trends.Add("run", CheckpointStep.At(step), drift);
        trends.Add("another", CheckpointStep.At(3), 1e6);
        DriftTrend trend = trends.Add("run", CheckpointStep.At(points[^1].Step), points[^1].Drift)!;

        (decimal X, decimal Y)[] last = [.. points[^5..].Select(p => ((decimal)p.Step, (decimal)p.Drift))];
        decimal n = 5, sx = last.Sum(p => p.X), sy = last.Sum(p => p.Y), sxx = last.Sum(p => p.X * p.X), sxy = last.Sum(p => p.X * p.Y);
        decimal slope = ((n * sxy) - (sx * sy)) / ((n * sxx) - (sx * sx)), intercept = (sy - (slope * sx)) / n;
        double residual = (double)last.Sum(p => (p.Y - intercept - (slope * p.X)) * (p.Y - intercept - (slope * p.X)));
        Assert.Equal(5, trend.Checkpoints);
        Assert.Equal((double)slope, trend.PerStep, 1e-12);
        Assert.Equal(Math.Sqrt(residual / 3 / (double)(sxx - (sx * sx / n))), trend.StandardError, 1e-12);
    }

    [Fact]
    public void ThreeCheckpointsAreNeededAndAStepThatIsMeasuredAgainCountsOnce()
    {
        var trends = new RunTrends();
        Assert.Null(trends.Add("run", CheckpointStep.At(10), 0.1));
        Assert.Null(trends.Add("run", CheckpointStep.At(20), 5));
        Assert.Null(trends.Add("run", CheckpointStep.At(20), 0.2));
        Assert.Null(trends.Add("run", CheckpointStep.Final, 0.9));
        Assert.Null(trends.Add("run", CheckpointStep.At(25), double.NaN));
        DriftTrend trend = trends.Add("run", CheckpointStep.At(30), 0.3)!;
        Assert.Equal((3, 0.01), (trend.Checkpoints, Math.Round(trend.PerStep, 12)));
        Assert.Equal(0, trend.StandardError, 1e-12);
    }
}
