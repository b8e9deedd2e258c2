using System.Diagnostics;
using System.Globalization;

namespace EmScan.Bench.Scan;

/// <summary>Times of one thing, in milliseconds.</summary>
internal sealed class Samples(string name, bool cpuTime = false)
{
    private readonly List<double> _values = [];

    internal double Median
    {
        get
        {
            double[] sorted = [.. _values.Order()];
            return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        }
    }

    internal void Add(double milliseconds) => _values.Add(milliseconds);

    internal void Time(Action work)
    {
        long start = Stopwatch.GetTimestamp();
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        work();
        Add((cpuTime ? Environment.CpuUsage.TotalTime - cpu : Stopwatch.GetElapsedTime(start)).TotalMilliseconds);
    }

    internal async Task TimeAsync(Func<Task> work)
    {
        long start = Stopwatch.GetTimestamp();
        await work();
        Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
    }

    /// <summary>The ratio to another thing measured in the same rounds: the median of the ratios of each round, which a slow moment of the
    /// machine does not move.</summary>
    internal double Over(Samples other)
    {
        double[] sorted = [.. _values.Zip(other._values, (a, b) => a / b).Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"| {name,-66} | {Median,9:0.0} | {_values.Min(),9:0.0} to {_values.Max(),9:0.0} | {_values.Count} |");
}
