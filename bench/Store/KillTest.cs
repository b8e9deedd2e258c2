using System.Diagnostics;
using System.Globalization;
using EmScan.Engine.Measuring;

namespace EmScan.Bench.Store;

/// <summary>Writers of one store that are killed at random moments. What a writer has acknowledged must be in the store, whole.</summary>
internal static class KillTest
{
    private const int Prompts = 20, Width = 64;

    internal static async Task<int> RunAsync(string folder, int writers, double minutes, int seed)
    {
        Directory.CreateDirectory(folder);
        var random = new Random(seed);
        string log = Path.Combine(folder, "acknowledged.txt");
        using var acknowledged = TextWriter.Synchronized(new StreamWriter(log, append: true));
        var running = new List<(Process Process, Task Reading)>();
        int number = 0, kills = 0;
        long end = Stopwatch.GetTimestamp() + (long)(minutes * 60 * Stopwatch.Frequency);
        while (Stopwatch.GetTimestamp() < end)
        {
            while (running.Count < writers) running.Add(Start(number++));
            await Task.Delay(random.Next(20, 800));
            int victim = random.Next(running.Count);
            running[victim].Process.Kill();
            kills++;
            await Ended(running[victim]);
            running.RemoveAt(victim);
        }

        foreach ((Process Process, Task Reading) writer in running)
        {
            writer.Process.Kill();
            await Ended(writer);
        }

        acknowledged.Flush();
        Console.WriteLine($"{number} writers, {kills} killed at random while {writers} wrote, {minutes} minutes");
        using var reader = Process.Start(new ProcessStartInfo("python3", [Path.Combine(AppContext.BaseDirectory, "reader.py"), folder, log]))!;
        await reader.WaitForExitAsync();
        return reader.ExitCode;

        (Process, Task) Start(int n)
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!, ["writer", "--folder", folder, "--number", n.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true };
            Process process = Process.Start(start)!;
            return (process, Task.Run(async () =>
            {
                // A line that was cut off by the kill was not acknowledged.
                var text = new System.Text.StringBuilder();
                char[] buffer = new char[4096];
                for (int read; (read = await process.StandardOutput.ReadAsync(buffer)) > 0;)
                {
                    text.Append(buffer, 0, read);
                    int whole = text.ToString().LastIndexOf('\n') + 1;
                    acknowledged.Write(text.ToString(0, whole));
                    text.Remove(0, whole);
                }
            }));
        }

        static async Task Ended((Process Process, Task Reading) writer)
        {
            await writer.Process.WaitForExitAsync();
            await writer.Reading;
            writer.Process.Dispose();
        }
    }

    /// <summary>Appends until it is killed; says each key and the checksum of its payload once the store has it on the disk.</summary>
    internal static int Write(string folder, int number)
    {
        using CellStore store = CellStore.Open(folder);
        using Stream output = Console.OpenStandardOutput();
        Span<byte> key = stackalloc byte[CellKey.Size];
        for (long i = 0; ; i++)
        {
            StoredCell cell = SimulatedCell.Stored((number * 1_000_000L) + i, Prompts, Width);
            store.Append([cell]);
            cell.Key.CopyTo(key);
            output.Write(System.Text.Encoding.ASCII.GetBytes(
                $"{Convert.ToHexStringLower(key)} {Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(cell.Result.Encode()))}\n"));
        }
    }
}
