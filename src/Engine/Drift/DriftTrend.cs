using EmScan.Engine.Formats;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Drift;

/// <summary>Where the drift of a run is going: the slope of |drift| against the optimizer step over its last checkpoints, by least squares.</summary>
/// <param name="PerStep">Units of n0 for each optimizer step; above 0 the run moves away from the base.</param>
/// <param name="StandardError">Of the slope; 0 where the checkpoints lie on a line.</param>
/// <param name="Checkpoints">How many the line goes through: <see cref="RunTrends.Fewest"/> to <see cref="RunTrends.Most"/>.</param>
/// <remarks>A description of what was measured, and no prediction: a drift may level off at the next checkpoint.</remarks>
internal sealed record DriftTrend(double PerStep, double StandardError, int Checkpoints);

/// <summary>Follows runs checkpoint by checkpoint, in whatever order they come. Not thread safe; 16 bytes for each checkpoint.</summary>
internal sealed class RunTrends
{
    /// <summary>Two points always lie on a line, and say nothing of how well.</summary>
    internal const int Fewest = 3;

    /// <summary>Older checkpoints say how the run began, not where it is going.</summary>
    internal const int Most = 5;

    private readonly Dictionary<string, SortedList<long, double>> _runs = [];

    /// <summary>Takes a checkpoint in, and gives the trend of its run up to its step. A step that is measured again counts as it is now.</summary>
    /// <param name="run">The run's name.</param>
    /// <param name="step">Its step.</param>
    /// <param name="magnitude">|drift|, units of n0.</param>
    /// <returns>Null where the step is not a number, or with fewer than <see cref="Fewest"/> checkpoints up to it.</returns>
    internal DriftTrend? Add(string run, CheckpointStep step, double magnitude)
    {
        if (step.Number is not { } number || !double.IsFinite(magnitude)) return null;
        if (!_runs.TryGetValue(run, out SortedList<long, double>? points)) _runs.Add(run, points = []);
        points[number] = magnitude;
        int end = points.IndexOfKey(number) + 1, start = Math.Max(0, end - Most);
        if (end - start < Fewest) return null;
        double[] x = [.. Enumerable.Range(start, end - start).Select(i => (double)points.GetKeyAtIndex(i))];
        double[] y = [.. Enumerable.Range(start, end - start).Select(points.GetValueAtIndex)];
        var line = LineFit.Of(x, y);
        return new DriftTrend(line.Slope, line.SlopeStandardError, x.Length);
    }
}
