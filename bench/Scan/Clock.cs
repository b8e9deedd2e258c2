using System.Diagnostics;

namespace EmScan.Bench.Scan;

/// <summary>What time is taken with: time itself, or processor time of this process, which other work hardly lengthens.</summary>
internal sealed class Clock(bool cpuTime)
{
    private static readonly long Start = Stopwatch.GetTimestamp();

    /// <summary>Whether this is processor time.</summary>
    internal bool IsCpuTime => cpuTime;

    /// <summary>Milliseconds since some moment.</summary>
    internal double Now => (cpuTime ? Environment.CpuUsage.TotalTime : Stopwatch.GetElapsedTime(Start)).TotalMilliseconds;

    /// <summary>Milliseconds that work takes.</summary>
    internal double Time(Action work)
    {
        double start = Now;
        work();
        return Now - start;
    }
}
