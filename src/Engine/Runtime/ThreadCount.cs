using System.Globalization;

namespace EmScan.Engine.Runtime;

/// <summary>
/// How many CPU threads to use when nobody says. ggml's threads spin at barriers: one thread more than there are idle cores makes a
/// forward pass many times slower (63 s instead of 6 s was measured for a small model on two busy cores), one fewer costs its share only.
/// </summary>
internal static class ThreadCount
{
    // Below this, the work between two barriers is shorter than the barrier.
    private const long SmallModel = 50_000_000;

    private static readonly TimeSpan Sample = TimeSpan.FromMilliseconds(40);

    internal static bool IsSmall(long parameterCount) => parameterCount < SmallModel;

    internal static int Default(long parameterCount) =>
        IsSmall(parameterCount) ? 1 : Idle();

    /// <summary>
    /// How many contexts measure different checkpoints at the same time, and with how many threads each, unless the number is given. Eight
    /// at most for a small model, whose threads would spend their time waiting for one another; two where a context costs little memory;
    /// one for a wide model, where threads of one context do as well (1.9 x for two, measured, as for two contexts) at half of the memory.
    /// An accelerator computes one thing at a time.
    /// </summary>
    /// <param name="threads">CPU threads in all; 0 for as many as there are idle processors.</param>
    /// <param name="contexts">Contexts; 0 for the default.</param>
    /// <param name="parameterCount">Weights of the model.</param>
    /// <param name="hiddenSize">D.</param>
    /// <param name="onCpu">Whether the processor computes.</param>
    internal static (int Contexts, int ThreadsEach) Split(int threads, int contexts, long parameterCount, int hiddenSize, bool onCpu)
    {
        int all = threads > 0 ? threads : Idle();
        int most = !onCpu || ContextLimits.IsWide(hiddenSize) ? 1 : IsSmall(parameterCount) ? 8 : 2;
        int used = contexts > 0 ? contexts : Math.Min(all, most);
        return (used, threads == 0 && IsSmall(parameterCount) ? 1 : Math.Max(1, all / used));
    }

    private static int Idle() =>
        Math.Clamp((int)Math.Round(IdleProcessors() ?? Environment.ProcessorCount), 1, Environment.ProcessorCount);

    /// <summary>Processors that are idle now, or null where the system does not say.</summary>
    internal static double? IdleProcessors()
    {
        if (!OperatingSystem.IsLinux()) return null;
        if (ReadTimes() is not { } before) return null;
        Thread.Sleep(Sample);
        if (ReadTimes() is not { } after || after.Total == before.Total) return null;
        double idle = (double)(after.Idle - before.Idle) / (after.Total - before.Total);
        return idle * after.Processors;
    }

    private static (long Idle, long Total, int Processors)? ReadTimes()
    {
        try
        {
            return ParseTimes(File.ReadAllLines("/proc/stat"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Some containers hide it; then the number of processors is all there is to go by.
            return null;
        }
    }

    /// <summary>Idle and total time of all processors, in ticks, from the lines of /proc/stat; null when they have another form.</summary>
    internal static (long Idle, long Total, int Processors)? ParseTimes(IReadOnlyList<string> lines)
    {
        if (lines.Count == 0 || !lines[0].StartsWith("cpu ", StringComparison.Ordinal)) return null;
        var ticks = new List<long>();
        foreach (string field in lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1))
        {
            if (!long.TryParse(field, NumberStyles.None, CultureInfo.InvariantCulture, out long value)) return null;
            ticks.Add(value);
        }

        // user nice system idle iowait irq softirq steal ...; guest time is part of user time already.
        if (ticks.Count < 5) return null;
        int processors = lines.Count(l => l.StartsWith("cpu", StringComparison.Ordinal)) - 1;
        return (ticks[3] + ticks[4], ticks.Take(8).Sum(), processors);
    }
}
