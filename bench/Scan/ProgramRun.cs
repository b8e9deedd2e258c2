using System.Diagnostics;
using System.Globalization;
using EmScan.Engine;

namespace EmScan.Bench.Scan;

/// <summary>What a command of emscan took, in a process of its own.</summary>
/// <param name="Time">From its start to its end.</param>
/// <param name="Processor">Processor time of all its threads.</param>
/// <param name="Resident">Bytes of memory at most, the mapped model included.</param>
/// <param name="Anonymous">Bytes of memory at most beside what is mapped from files.</param>
internal sealed record ProgramRun(TimeSpan Time, TimeSpan Processor, long Resident, long Anonymous)
{
    private static readonly TimeSpan Sample = TimeSpan.FromMilliseconds(50);

    /// <summary>Runs the program to its end.</summary>
    /// <param name="cache">Folder of its cache; a new one for a run that has nothing on record.</param>
    /// <param name="arguments">A verb and its options.</param>
    /// <exception cref="EmScanException">It did not end as it should, or this is not Linux.</exception>
    internal static ProgramRun ToItsEnd(string cache, params string[] arguments)
    {
        if (!OperatingSystem.IsLinux()) throw new EmScanException("What a process took is read from /proc, which there is on Linux.");
        long start = Stopwatch.GetTimestamp();
        using Process process = Start(cache, arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        long resident = 0, anonymous = 0;
        TimeSpan processor = default;
        while (!process.WaitForExit(Sample)) Read(process, ref processor, ref resident, ref anonymous);
        TimeSpan time = Stopwatch.GetElapsedTime(start);
        process.WaitForExit();

        // 3 is the verdict that something drifted, which random weights are free to do.
        if (process.ExitCode is not (0 or 3)) throw new EmScanException($"emscan {arguments[0]} ended with {process.ExitCode}: {errors.Result}{output.Result}");
        return new ProgramRun(time, processor, resident, anonymous);
    }

    /// <summary>Starts the program, its output and errors redirected.</summary>
    internal static Process Start(string cache, params string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "emscan");
        var info = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments) info.ArgumentList.Add(argument);
        info.Environment["EMSCAN_CACHE"] = cache;
        return Process.Start(info) ?? throw new EmScanException($"{program} cannot be started.");
    }

    private static void Read(Process process, ref TimeSpan processor, ref long resident, ref long anonymous)
    {
        try
        {
            processor = process.TotalProcessorTime;
            foreach (string line in File.ReadLines($"/proc/{process.Id}/status"))
            {
                if (line.StartsWith("VmHWM:", StringComparison.Ordinal)) resident = Math.Max(resident, Bytes(line));
                else if (line.StartsWith("RssAnon:", StringComparison.Ordinal)) anonymous = Math.Max(anonymous, Bytes(line));
            }
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            // It has ended meanwhile.
        }

        static long Bytes(string line) => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }
}
