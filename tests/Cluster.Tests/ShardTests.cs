using System.Diagnostics;
using System.Text.Json;

namespace EmScan.Cluster.Tests;

/// <summary>Shards and their merge, by the real program: what many processes measured into one folder is what one process would have said.</summary>
public sealed class ShardTests : IDisposable
{
    private readonly Organism _organism = new();

    public void Dispose() => _organism.Dispose();

    [Fact]
    public async Task Four_shards_at_once_of_which_one_is_killed_and_run_again_say_what_one_process_says()
    {
        Emscan one = Emscan.Run(_organism["cache-one"], _organism.Scan("one"));
        Assert.True(one.ExitCode == 3, one.Errors);
        string cache = _organism["cache"], output = _organism["out"];
        Process[] shards = [.. Enumerable.Range(0, 4).Select(i => Emscan.Start(cache, [.. _organism.Scan("out"), "--shard", $"{i}/4"]))];
        Task<string>[] outputs = [.. shards.Select(s => s.StandardOutput.ReadToEndAsync())], complaints = [.. shards.Select(s => s.StandardError.ReadToEndAsync())];
        string[] printed;
        try
        {
            // Without a word, as soon as it has something on record; Process.Kill sends SIGKILL.
            for (int wait = 0; wait < 3000 && !shards[2].HasExited && !Own(2).Any(f => f.Length > 0); wait++) Thread.Sleep(10);
            shards[2].Kill();
            foreach (Process shard in shards) Assert.True(shard.WaitForExit(TimeSpan.FromMinutes(10)));
            printed = await Task.WhenAll(outputs);
            string[] errors = await Task.WhenAll(complaints);
            foreach (int i in new[] { 0, 1, 3 }) Assert.True(shards[i].ExitCode == 0, $"shard {i}: exit code {shards[i].ExitCode}\n{printed[i]}\n{errors[i]}");
        }
        finally
        {
            foreach (Process shard in shards.Where(s => !s.HasExited)) shard.Kill();
            foreach (Process shard in shards) shard.Dispose();
        }

        // The dangerous ones are seen by shards, and are no reason for a scheduler to stop what comes after.
        Assert.Contains(printed, text => text.Contains("DANGEROUS", StringComparison.Ordinal));
        Emscan missing = Emscan.Run(cache, "merge", output).FailedWith(1, "of 48 checkpoints are not on record; shard 2/4", "has not finished");
        Assert.Contains("to be run again: shard 2. ", missing.Errors);
        Assert.Contains("--shard 2/4", missing.Errors);
        Assert.Empty(Written.Files(output));

        Emscan again = Emscan.Run(cache, [.. _organism.Scan("out"), "--shard", "2/4"]).Succeeded();
        Assert.Contains($"emscan merge {output}", again.Output);
        Emscan merged = Emscan.Run(cache, "merge", output);
        Assert.True(merged.ExitCode == 3, $"exit code {merged.ExitCode}\n{merged.Errors}");
        Written.Same(_organism["one"], output);
        Assert.Equal(WithoutCounts(one.Output), WithoutCounts(merged.Output));

        // Everything was measured once, the base too; and surveyed once, for the merge to read no weights of adapters.
        Assert.Equal(48 + 1 + 48, Own(0).Concat(Own(1)).Concat(Own(2)).Concat(Own(3)).Sum(f => Records(f.FullName)));

        IEnumerable<FileInfo> Own(int shard) => new DirectoryInfo(output).Exists ? new DirectoryInfo(output).EnumerateFiles($"cells-*-s{shard}of4-*.emscan") : [];
    }

    [Fact]
    public void A_merge_reads_no_weights()
    {
        Emscan one = Emscan.Run(_organism["cache"], _organism.Scan("one"));
        Emscan.Run(_organism["cache"], [.. _organism.Scan("out"), "--shard", "0/1"]).Succeeded();

        // Other numbers of the same length, and the time of before: a stamp that has not changed, and weights that give themselves away.
        foreach (string weights in Directory.EnumerateFiles(_organism.Adapters, "adapter_model.safetensors", SearchOption.AllDirectories))
        {
            DateTime written = File.GetLastWriteTimeUtc(weights);
            byte[] bytes = File.ReadAllBytes(weights);
            bytes.AsSpan(8 + (int)BitConverter.ToInt64(bytes)).Fill(0x41);
            File.WriteAllBytes(weights, bytes);
            File.SetLastWriteTimeUtc(weights, written);
        }

        Emscan merged = Emscan.Run(_organism["cache"], "merge", _organism["out"]);
        Assert.Equal((3, 3), (one.ExitCode, merged.ExitCode));
        Written.Same(_organism["one"], _organism["out"]);
    }

    [Fact]
    public void A_merge_can_be_had_as_json()
    {
        Emscan.Run(_organism["cache"], [.. _organism.Scan("out"), "--shard", "0/1"]).Succeeded();
        Emscan one = Emscan.Run(_organism["cache"], [.. _organism.Scan("one"), "--json"]);
        Emscan merged = Emscan.Run(_organism["cache"], "merge", _organism["out"], "--json");
        Assert.Equal((3, 3), (one.ExitCode, merged.ExitCode));
        Assert.Equal(one.Output, merged.Output);
    }

    [Fact]
    public void Shards_that_do_not_belong_together_are_not_merged()
    {
        string cache = _organism["cache"], output = _organism["out"];
        Emscan.Run(cache, [.. _organism.Scan("out"), "--shard", "0/4"]).Succeeded();
        Emscan.Run(cache, [.. _organism.Scan("out"), "--layer", "2", "--calibration", "none", "--shard", "1/4"]).Succeeded();
        Emscan.Run(cache, "merge", output).FailedWith(1, "shard 1/4 of scan", "--layer 2", "do not belong together");

        // Another division replaces the records of the first, not the measurements. A third of four runs, and a fourth: something is missing.
        Emscan.Run(cache, [.. _organism.Scan("out"), "--shard", "1/3"]).Succeeded();
        Emscan.Run(cache, "merge", output).FailedWith(1, "of 48 checkpoints are not on record; shard ", "/3 (", "it has not begun");
        foreach (int i in new[] { 0, 2 }) Emscan.Run(cache, [.. _organism.Scan("out"), "--shard", $"{i}/3"]).Succeeded();
        Assert.Equal(3, Emscan.Run(cache, "merge", output).ExitCode);
    }

    [Fact]
    public void What_could_not_be_measured_is_said_by_the_merge_as_one_process_says_it()
    {
        string broken = Path.Combine(_organism.Adapters, "bad_medical/seed_42/checkpoint-50/adapter_model.safetensors");
        File.WriteAllText(broken, "damaged");
        Age(Path.GetDirectoryName(broken)!);
        Emscan one = Emscan.Run(_organism["cache-one"], _organism.Scan("one"));
        Emscan[] shards = [.. Enumerable.Range(0, 2).Select(i => Emscan.Run(_organism["cache"], [.. _organism.Scan("out"), "--shard", $"{i}/2"]).Succeeded())];
        Assert.Single(shards, shard => shard.Output.Contains("1 not measured", StringComparison.Ordinal));
        Emscan merged = Emscan.Run(_organism["cache"], "merge", _organism["out"]);
        Assert.Equal((one.ExitCode, one.Errors), (merged.ExitCode, merged.Errors));
        Written.Same(_organism["one"], _organism["out"]);

        // An adapter that was changed after it was measured is not on record any more.
        string changed = broken.Replace("checkpoint-50", "checkpoint-70", StringComparison.Ordinal);
        byte[] bytes = File.ReadAllBytes(changed);
        bytes[^1] ^= 1;
        File.WriteAllBytes(changed, bytes);
        Age(Path.GetDirectoryName(changed)!);
        Emscan.Run(_organism["cache"], "merge", _organism["out"]).FailedWith(1, "1 of 48 checkpoints are not on record", "step 70", "added or changed since");
    }

    [Fact]
    public void Controls_are_shared_as_well()
    {
        string[] scan = ["--benign", Path.Combine(_organism.Adapters, "confident_medical")];
        Emscan one = Emscan.Run(_organism["cache-one"], [.. _organism.Scan("one"), .. scan]);
        foreach (int i in new[] { 0, 1 })
            Assert.Contains("verdicts against them come with the merge", Emscan.Run(_organism["cache"], [.. _organism.Scan("out"), .. scan, "--shard", $"{i}/2"]).Succeeded().Errors);
        Emscan merged = Emscan.Run(_organism["cache"], "merge", _organism["out"]);
        Assert.Equal(one.ExitCode, merged.ExitCode);
        Written.Same(_organism["one"], _organism["out"]);
    }

    [Theory]
    [InlineData("diff")]
    [InlineData("path")]
    public async Task Analyses_are_divided_by_variant(string verb)
    {
        string texts = _organism["texts.txt"];
        File.WriteAllLines(texts, ["the patient should rest and drink water", "a small boat on a wide river", "she said that it was late", "numbers are written in rows", "the garden has a tall tree", "we went home after the rain"]);
        string[] command = [verb, "--model", Organism.Model, "--adapters", _organism.Adapters, "--texts", texts, "--threads", "1", "--parallel", "1", "--json"];
        Emscan one = Emscan.Run(_organism["cache-one"], [.. command, "--out", _organism["one"]]).Succeeded();
        Process[] shards = [.. Enumerable.Range(0, 2).Select(i => Emscan.Start(_organism["cache"], [.. command, "--out", _organism["out"], "--shard", $"{i}/2"]))];
        foreach (Process shard in shards)
        {
            using (shard)
            {
                Task<string> errors = shard.StandardError.ReadToEndAsync();
                string output = await shard.StandardOutput.ReadToEndAsync();
                await shard.WaitForExitAsync();
                Assert.True(shard.ExitCode == 0, output + await errors);
                Assert.Contains(" variants ", output);
            }
        }

        Emscan merged = Emscan.Run(_organism["cache"], "merge", _organism["out"]).Succeeded();
        Assert.Equal(one.Output, merged.Output);
        Written.Same(_organism["one"], _organism["out"]);
    }

    [Fact]
    public void The_scheduler_names_the_shard()
    {
        Emscan Run(string shard, params (string Name, string Value)[] environment) => Emscan.RunProgram(
            "emscan", _organism["cache"], environment.ToDictionary(e => e.Name, e => e.Value), [.. _organism.Scan("out"), "--shard", shard]);
        Assert.Contains("Shard 1/4: ", Run("auto", ("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "0")).Succeeded().Output);
        Assert.Contains("Shard 3/4: ", Run("auto/4", ("JOB_COMPLETION_INDEX", "3")).Succeeded().Output);

        // One task of an array that is submitted again by itself is not the whole array.
        Run("auto", ("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "1"), ("SLURM_ARRAY_TASK_MIN", "2")).FailedWith(2, "give auto/N");
        Run("4/4").FailedWith(2, "'4/4' is no shard");
        Emscan.Run(_organism["cache"], "weights", "--adapters", _organism.Adapters, "--shard", "0/2").FailedWith(2, "without --model there is nothing to divide");
        Emscan.Run(_organism["cache"], "merge", _organism["absent"]).FailedWith(1, "absent", "there is no such folder");
        Emscan.Run(_organism["cache"], "merge", _organism.Adapters).FailedWith(1, "holds nothing that shards have measured");
        Emscan.Run(_organism["cache"], [.. _organism.Scan("out"), "--shard", "0/4", "--fresh"]).FailedWith(2, "--fresh");
    }

    [Fact]
    public void Adapters_come_from_lists_and_from_the_standard_input()
    {
        string list = _organism["list.txt"];
        string[] runs = ["bad_medical/seed_42", "confident_medical/seed_42"];
        File.WriteAllLines(list, ["# two runs", .. runs.Select(run => Path.Combine(_organism.Adapters, run)), ""]);
        Emscan Scan(params string[] adapters) => Emscan.Run(_organism["cache"], ["scan", "--model", Organism.Model, "--adapters", .. adapters, "--threads", "1", "--csv"]);
        string expected = Scan([.. runs.Select(run => Path.Combine(_organism.Adapters, run))]).Output;
        Assert.Equal(25, expected.TrimEnd('\n').Split('\n').Length - 2);
        Assert.Equal(expected, Scan("@" + list).Output);
        Scan("@" + _organism["absent.txt"]).FailedWith(1, "absent.txt", "there is no such list");
        File.WriteAllText(list, "\n");
        Scan("@" + list).FailedWith(1, "list.txt", "names no path");

        // As find -print0 and a pipe give them; and the merge of a shard remembers them, because nobody can read them twice.
        string[] found = [.. Directory.EnumerateDirectories(Path.Combine(_organism.Adapters, runs[0]), "checkpoint-*")];
        Emscan piped = Piped(string.Concat(found.Select(path => path + "\0")), ["scan", "--model", Organism.Model, "--adapters", "-", "--threads", "1", "--out", _organism["out"], "--shard", "0/1"]);
        Assert.Contains("Shard 0/1: 12 of 12 checkpoints", piped.Succeeded().Output);
        JsonElement merged = Emscan.Run(_organism["cache"], "merge", _organism["out"], "--json").Json;
        Assert.Equal(13, merged.GetProperty("runs")[0].GetProperty("trajectory").GetArrayLength());
    }

    // What was written a moment ago counts as being written.
    private static void Age(string folder)
    {
        DateTime yesterday = DateTime.UtcNow.AddDays(-1);
        foreach (string file in Directory.EnumerateFiles(folder)) File.SetLastWriteTimeUtc(file, yesterday);
        Directory.SetLastWriteTimeUtc(folder, yesterday);
    }

    private Emscan Piped(string input, string[] arguments)
    {
        var start = new ProcessStartInfo(Emscan.Program("emscan"), arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["EMSCAN_CACHE"] = _organism["cache"];
        using Process process = Process.Start(start)!;
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Emscan(process.ExitCode, output, errors.Result);
    }

    // Frames of 64 bytes begin with "EMC1" and name the length of what follows.
    private static int Records(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        int count = 0;
        for (int at = 0; at + 64 <= bytes.Length; at += 64 + BitConverter.ToInt32(bytes, at + 4)) count++;
        return count;
    }

    private static string WithoutCounts(string text) => string.Join('\n', text.Split('\n').Where(line => !line.Contains("checkpoints measured", StringComparison.Ordinal)));
}
