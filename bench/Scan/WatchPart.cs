using System.Diagnostics;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using static System.FormattableString;

namespace EmScan.Bench.Scan;

/// <summary>What <c>emscan watch</c> costs over a scan of the same checkpoints, how soon a new checkpoint has its row, and what a look at a folder costs in
/// which nothing is new: the program itself.</summary>
internal sealed class WatchPart(Workload workload)
{
    private const string Poll = "0.05"; // seconds

    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(10);

    private int _caches;

    internal void Run()
    {
        string adapters = workload.Options.Adapters!;
        int count = CheckpointDiscovery.Find(adapters).Runs.Sum(run => run.Checkpoints.Count);
        Samples scan = new("emscan scan"), watch = new("emscan watch, to its last row");
        for (int round = -1; round < workload.Options.Rounds; round++)
        {
            double scanned = ProgramRun.ToItsEnd(NewCache(), ["scan", "--adapters", adapters, .. Common]).Time.TotalMilliseconds;
            double watched = Watched(adapters, count);
            if (round < 0) continue; // The first round warms up the file cache.
            scan.Add(scanned);
            watch.Add(watched);
        }

        Samples latency = new("from a checkpoint moved into its place to its row");
        double look = Latency(latency);
        Console.WriteLine();
        Console.WriteLine(Invariant($"{count} checkpoints, nothing on record; looks every {Poll} s"));
        Report.Times([scan, watch, latency]);
        Report.Claims([
            ("watch over scan of the same checkpoints", "", watch.Over(scan)),
            (Invariant($"a look at {latency.Count} scored checkpoints, ms of processor time"), "", look),
        ]);
    }

    private string[] Common =>
    [
        "--model", workload.Model.FilePath, .. workload.Options.Traits is { } traits ? (string[])["--traits", traits] : [], "--calibration", "none",
        "--threads", Invariant($"{workload.Options.Threads}"), "--json",
    ];

    private string NewCache() => Path.Combine(workload.Folder, Invariant($"watch-cache-{_caches++}"));

    private Process Watch(string adapters) => ProgramRun.Start(NewCache(), ["watch", "--adapters", adapters, "--poll", Poll, "--quiet-time", "0", .. Common]);

    /// <summary>Milliseconds until a watch has given a row for each of the checkpoints that are there.</summary>
    private double Watched(string adapters, int count)
    {
        long start = Stopwatch.GetTimestamp();
        using Process process = Watch(adapters);
        process.ErrorDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        for (int i = 0; i < count; i++) ReadRow(process);
        double time = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        End(process);
        return time;
    }

    /// <summary>Moves checkpoints one after another into the folder of a watch.</summary>
    /// <returns>Milliseconds of processor time for a look afterwards.</returns>
    private double Latency(Samples latency)
    {
        string training = Path.Combine(workload.Folder, "training"), staged = Path.Combine(workload.Folder, "staged");
        string run = Path.Combine(training, "run");
        Directory.CreateDirectory(run);
        using Process process = Watch(training);
        process.ErrorDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        for (int step = 0; step < workload.Checkpoints.Length; step++)
        {
            string source = workload.Checkpoints[step].Path;
            Directory.CreateDirectory(staged);
            foreach (string file in Directory.GetFiles(source)) File.Copy(file, Path.Combine(staged, Path.GetFileName(file)));
            Thread.Sleep(TimeSpan.FromMilliseconds(100)); // What was before is over.
            long start = Stopwatch.GetTimestamp();
            Directory.Move(staged, Path.Combine(run, Invariant($"checkpoint-{step + 1}")));
            ReadRow(process);
            if (step > 0) latency.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds); // With the first, the model is opened.
        }

        TimeSpan before = process.TotalProcessorTime;
        Thread.Sleep(Idle);
        process.Refresh();
        double look = (process.TotalProcessorTime - before).TotalMilliseconds / (Idle / TimeSpan.FromSeconds(double.Parse(Poll, System.Globalization.CultureInfo.InvariantCulture)));
        End(process);
        return look;
    }

    private static void ReadRow(Process process)
    {
        if (process.StandardOutput.ReadLine() == null) throw new EmScanException("emscan watch ended before it had scored every checkpoint.");
    }

    private static void End(Process process)
    {
        process.Kill();
        process.WaitForExit();
    }
}
