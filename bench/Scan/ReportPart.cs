using static System.FormattableString;

namespace EmScan.Bench.Scan;

/// <summary>What the report of many runs takes: the program itself, on the results of a scan of copies of the given checkpoints.</summary>
internal sealed class ReportPart(Workload workload)
{
    private const int Runs = 2000, PerRun = 5;

    internal void Run()
    {
        string adapters = Path.Combine(workload.Folder, "runs"), results = Path.Combine(workload.Folder, "results"), cache = Path.Combine(workload.Folder, "report-cache");
        int given = 0;
        for (int run = 0; run < Runs; run++)
        {
            for (int step = 1; step <= PerRun; step++)
            {
                string folder = Path.Combine(adapters, Invariant($"run_{run}"), Invariant($"checkpoint-{10 * step}"));
                Directory.CreateDirectory(folder);
                foreach (string file in Directory.GetFiles(workload.Checkpoints[given++ % workload.Checkpoints.Length].Path)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            }
        }

        ProgramRun scan = ProgramRun.ToItsEnd(
            cache, "scan", "--model", workload.Model.FilePath, "--adapters", adapters, "--threads", Invariant($"{workload.Options.Threads}"), "--out", results);
        string html = Path.Combine(workload.Folder, "report.html");
        Samples samples = new(Invariant($"emscan report of {Runs} runs, {Runs * PerRun} checkpoints"));
        ProgramRun report = ProgramRun.ToItsEnd(cache, "report", results, "-o", html); // warms up the file cache
        for (int round = 0; round < workload.Options.Rounds; round++)
        {
            report = ProgramRun.ToItsEnd(cache, "report", results, "-o", html);
            samples.Add(report.Time.TotalMilliseconds);
        }

        long findings = Directory.EnumerateFiles(results, "*.findings.json", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);
        Console.WriteLine();
        Console.WriteLine(Invariant($"the scan that it is of: {scan.Time.TotalSeconds:0.0} s, {scan.Resident / 1e6:0} MB; findings {findings / 1e6:0.0} MB, report {new FileInfo(html).Length / 1e6:0.0} MB, made in {report.Resident / 1e6:0} MB of memory"));
        Report.Times([samples]);
    }
}
