using System.Diagnostics;
using EmScan.Kernels;

namespace EmScan.Bench.Kernels;

/// <summary>
/// Tells whether as many threads as there are really do as many times the work of one. On a virtual machine they need not: a host lets a
/// virtual processor that wakes up share a core with another one, and may leave it there for milliseconds or for seconds; meanwhile
/// everything on two threads takes twice as long, whatever the kernel.
/// </summary>
internal sealed class CoreProbe
{
    private const long MultiplyAdds = 1 << 25; // About 0.3 ms with 512-bit vectors.
    private const double Patience = 0.1; // Seconds of work on all threads, in which a host has time to spread them.
    private const double WarmUpTime = 0.02; // Seconds.
    private const double Tolerance = 1.35;

    private readonly Ceiling _ceiling;
    private readonly int _threads;
    private readonly double _alone;

    /// <summary>Measures one thread.</summary>
    public CoreProbe(KernelSet set, Ceiling ceiling, int threads)
    {
        _ceiling = ceiling;
        _threads = threads;
        using Ceiling one = Ceiling.For(set, 1);
        _alone = Enumerable.Range(0, 50).Min(_ => Time(one, 1));
    }

    /// <summary>Whether every thread has a core to itself now; keeps all of them busy for a while until it is so.</summary>
    public bool EachThreadHasACore()
    {
        long start = Stopwatch.GetTimestamp();
        while (_threads > 1 && Time(_ceiling, _threads) > Tolerance * _alone)
        {
            if (Stopwatch.GetElapsedTime(start).TotalSeconds > Patience)
                return false;
        }

        return true;
    }

    /// <summary>
    /// Calls something on several threads again and again for a while: those threads are not the ones that the probe has kept busy, and
    /// threads that have slept may share a core at first.
    /// </summary>
    public void WarmUp(Action work)
    {
        long start = Stopwatch.GetTimestamp();
        while (_threads > 1 && Stopwatch.GetElapsedTime(start).TotalSeconds < WarmUpTime)
            work();
    }

    private static double Time(Ceiling ceiling, int threads)
    {
        long start = Stopwatch.GetTimestamp();
        ceiling.MultiplyAdd(MultiplyAdds * threads);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
