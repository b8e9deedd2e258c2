using EmScan.Engine.Runtime;
using static System.FormattableString;

namespace EmScan.Bench.Scan;

/// <summary>Writes tables in markdown, each as soon as it is known: on a slow machine somebody may lose patience.</summary>
internal static class Report
{
    /// <summary>Medians and ranges.</summary>
    internal static void Times(IEnumerable<Samples> rows)
    {
        Console.WriteLine();
        Console.WriteLine("| what | median ms | range | rounds |");
        Console.WriteLine("|---|---:|---:|---:|");
        foreach (Samples s in rows)
        {
            if (s.Count == 0) continue;
            Console.WriteLine(Invariant($"| {s.Name,-74} | {s.Median,9:0.0} | {s.Least,9:0.0} to {s.Most,9:0.0} | {s.Count} |"));
        }

        Console.WriteLine();
    }

    /// <summary>What is claimed, what was asked for, what was measured.</summary>
    internal static void Claims(IEnumerable<(string What, string Target, double Value)> rows)
    {
        Console.WriteLine("| claim | target | this run |");
        Console.WriteLine("|---|---:|---:|");
        foreach ((string what, string target, double value) in rows)
            Console.WriteLine(Invariant($"| {what,-84} | {target,8} | {value,8:0.000} |"));
        Console.WriteLine();
    }

    /// <summary>One line about a round that has ended.</summary>
    internal static void Round(string part, int round, int rounds, double milliseconds) =>
        Console.WriteLine(Invariant($"{part}, round {round + 1} of {rounds}: {milliseconds / 1000:0.0} s"));

    /// <summary>Says so when something else uses the machine.</summary>
    internal static void WarnIfBusy()
    {
        int all = Environment.ProcessorCount;
        if (ThreadCount.IdleProcessors() is not { } idle || idle >= all - 0.25) return;
        string busy = Invariant($"({idle:0.0} of {all} processors idle)");
        Console.WriteLine($"NOTE: the machine is busy {busy}; only a quiet one gives figures to go by.");
    }
}
