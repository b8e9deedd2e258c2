using BenchmarkDotNet.Environments;

namespace EmScan.Bench.Kernels;

/// <summary>What a measurement must be read with.</summary>
internal static class Machine
{
    /// <summary>Threads to measure with: one, and all processors if there are more.</summary>
    public static int[] Threads => Environment.ProcessorCount == 1 ? [1] : [1, Environment.ProcessorCount];

    /// <summary>Processor, system and runtime, and how busy the machine is now.</summary>
    public static string Describe(OpenBlas? peer)
    {
        List<string> lines = [.. HostEnvironmentInfo.GetCurrent().ToFormattedString().Select(line => line.TrimEnd())];
        lines.Add(peer == null ? "OpenBLAS is not installed" : peer.Description);
        if (File.Exists("/proc/loadavg"))
            lines.Add($"Load average at the start: {string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ')[..3])}");
        lines.Add(DateTime.UtcNow.ToString("yyyy-MM-dd"));
        return string.Join('\n', lines);
    }
}
