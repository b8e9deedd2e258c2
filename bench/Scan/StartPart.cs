using System.Diagnostics;
using System.Globalization;
using EmScan.Engine;
using EmScan.Engine.Running;
using EmScan.Kernels;

namespace EmScan.Bench.Scan;

/// <summary>What the choice of a kernel device costs a command that ends up on the processor: each time in a process of its own, by turns, so
/// that everything is loaded for the first time.</summary>
internal static class StartPart
{
    /// <summary>In place of all options: chooses once and says how long it took.</summary>
    internal const string Choose = "--choose";

    private const int Width = 4096; // wide enough for a GPU to pay

    internal static void Run(int rounds)
    {
        string[] names = [KernelDeviceChoice.Cpu, KernelDeviceChoice.Auto];
        Samples[] samples = [.. names.Select(name => new Samples($"choosing a kernel device, {name}"))];
        for (int round = -1; round < rounds; round++)
        {
            for (int i = 0; i < names.Length; i++)
            {
                double time = InProcess(names[i]);
                if (round >= 0) samples[i].Add(time); // The first round warms up the file cache.
            }
        }

        Report.Times(samples);
        Report.Claims([("auto without a GPU over cpu, ms of start-up", "<= 5", samples[1].Median - samples[0].Median)]);
    }

    /// <summary>Prints the milliseconds that one choice takes, and what was chosen.</summary>
    internal static int ChooseOnce(string name)
    {
        long start = Stopwatch.GetTimestamp();
        using IKernelDevice device = KernelDeviceChoice.Open(name, Width, 1, "jobs", _ => throw new KernelDeviceException("There is a GPU here; this measures machines without one."), out Remark? remark);
        double time = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (remark != null) throw new EmScanException(remark.Text);
        Console.WriteLine(time.ToString(CultureInfo.InvariantCulture));
        return 0;
    }

    private static double InProcess(string name)
    {
        var info = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        info.ArgumentList.Add(Choose);
        info.ArgumentList.Add(name);
        using Process process = Process.Start(info) ?? throw new EmScanException($"{Environment.ProcessPath} cannot be started.");
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? double.Parse(output, CultureInfo.InvariantCulture) : throw new EmScanException("The choice of a kernel device cannot be measured here.");
    }
}
