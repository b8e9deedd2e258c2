using System.Runtime.Versioning;
using System.Text.RegularExpressions;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cluster.Tests;

/// <summary>The shipped scripts on a real Slurm.</summary>
[SupportedOSPlatform("linux")]
public sealed partial class SlurmTests : IDisposable
{
    private readonly Organism _organism = new();

    public void Dispose() => _organism.Dispose();

    [SlurmFact]
    public void An_array_of_which_a_task_is_requeued_and_its_merge_say_what_one_process_says()
    {
        Emscan one = Emscan.Run(_organism["cache-one"], _organism.Scan("one"));
        Assert.True(one.ExitCode == 3, one.Errors);
        using var slurm = new Slurm();
        string output = _organism["out"];
        var environment = new Dictionary<string, string>
        {
            ["EMSCAN"] = Emscan.Program("emscan"),
            ["EMSCAN_PROGRESS"] = "0",

            // A node of two processors and little memory; the scripts ask for what real models need.
            ["EMSCAN_SHARD_JOB"] = ForOneProcessor("deploy/slurm/shard.sbatch"),
            ["EMSCAN_MERGE_JOB"] = ForOneProcessor("deploy/slurm/merge.sbatch"),
        };
        string said = slurm.Run(Repository.File("deploy/slurm/submit.sh"), environment, ["4", output, .. Without("--threads", Without("--out", _organism.Scan("out")))]);
        string array = Jobs().Match(said).Groups["array"].Value, merge = Jobs().Match(said).Groups["merge"].Value;

        // In the middle: as soon as a task has something on record.
        Slurm.Wait("a first measurement", () => Own(0).Any(f => f.Length > 0), () => slurm.Job(array));
        slurm.Run("/usr/bin/scontrol", [], "requeue", $"{array}_0");

        // Slurm holds a requeued task back for two minutes, in case its node is ill; this one is not.
        Slurm.Wait("the requeued task", () => slurm.Job($"{array}_0").Contains("JobState=PENDING", StringComparison.Ordinal), () => slurm.Job(array));
        slurm.Run("/usr/bin/scontrol", [], "update", $"JobId={array}_0", "StartTime=now");
        Slurm.Wait("the merge's end", () => Ended(slurm.Job(merge)), () => slurm.Job(merge) + slurm.Job(array));

        Assert.Contains("Restarts=1", slurm.Job($"{array}_0"));
        for (int i = 0; i < 4; i++) Assert.Contains("JobState=COMPLETED", slurm.Job($"{array}_{i}"));
        Assert.Contains("ExitCode=3:0", slurm.Job(merge));
        Written.Same(_organism["one"], output);
        string log = File.ReadAllText(Path.Combine(output, "logs", $"merge-{merge}.log"));
        Assert.Contains("DANGEROUS: bad_medical/seed_42, first at step ", log);

        IEnumerable<FileInfo> Own(int shard) => Directory.Exists(output) ? new DirectoryInfo(output).EnumerateFiles($"cells-*-s{shard}of4-*.emscan") : [];
    }

    private string ForOneProcessor(string script)
    {
        string copy = _organism[Path.GetFileName(script)];
        File.WriteAllText(copy, Resources().Replace(File.ReadAllText(Repository.File(script)), match => match.Groups["name"].Value == "mem" ? "#SBATCH --mem=256M" : "#SBATCH --cpus-per-task=1"));
        return copy;
    }

    private static bool Ended(string job) => job.Contains("JobState=COMPLETED", StringComparison.Ordinal) || job.Contains("JobState=FAILED", StringComparison.Ordinal);

    private static string[] Without(string option, string[] arguments)
    {
        int at = Array.IndexOf(arguments, option);
        return [.. arguments[..at], .. arguments[(at + 2)..]];
    }

    [GeneratedRegex(@"job (?<array>\d+); merge: job (?<merge>\d+)")]
    private static partial Regex Jobs();

    [GeneratedRegex(@"^#SBATCH --(?<name>mem|cpus-per-task)=.*$", RegexOptions.Multiline)]
    private static partial Regex Resources();
}
