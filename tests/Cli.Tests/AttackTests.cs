using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>Attacks of docs/threat-model.md that no other test runs through the real program: what others may put into files and shared folders.</summary>
public sealed class AttackTests : IDisposable
{
    private const string Nobody = "65534";

    private readonly TinyWorld _world = new();

    public AttackTests() => _world.AddCheckpoint("run", 10, 1);

    public void Dispose() => _world.Dispose();

    /// <summary>The page says which test tries what; a test that was renamed or removed is noticed here.</summary>
    [Fact]
    public void Every_test_that_the_threat_model_names_exists()
    {
        Dictionary<string, string> sources = Directory.EnumerateFiles(Repository.File("tests"), "*Tests.cs", SearchOption.AllDirectories)
            .Where(f => !f.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal))
            .GroupBy(f => Path.GetFileNameWithoutExtension(f)).ToDictionary(g => g.Key, g => string.Concat(g.Select(File.ReadAllText)));
        Match[] named = Regex.Matches(File.ReadAllText(Repository.File("docs/threat-model.md")), @"`(?<class>Attack|\w+Tests)(?:\.(?<method>\w+))?`").ToArray();
        Assert.True(named.Length > 30);
        foreach (Match test in named)
        {
            string of = test.Groups["class"].Value is "Attack" ? nameof(AttackTests) : test.Groups["class"].Value;
            Assert.True(sources.TryGetValue(of, out string? source), $"There is no {of}.");
            if (test.Groups["method"].Success) Assert.Contains($" {test.Groups["method"].Value}(", source);
        }
    }

    /// <summary>Opening a pipe that nobody writes to waits for ever; a device has no end.</summary>
    [Fact]
    public void Pipes_and_devices_under_an_adapters_names_are_not_opened()
    {
        if (!OperatingSystem.IsLinux()) return;
        string[] names = ["adapter_model.safetensors", "adapter_config.json", "trainer_state.json"];
        for (int i = 0; i < names.Length; i++)
        {
            _world.AddCheckpoint("pipes", i + 1, i);
            string file = Path.Combine(_world.CheckpointPath("pipes", i + 1), names[i]);
            File.Delete(file);
            Run("mkfifo", file);
        }

        _world.AddCheckpoint("devices", 1, 5);
        File.Delete(Path.Combine(_world.CheckpointPath("devices", 1), names[1]));
        File.CreateSymbolicLink(Path.Combine(_world.CheckpointPath("devices", 1), names[1]), "/dev/zero");
        Emscan scan = _world.Scan("--json");
        Assert.Equal(1, scan.ExitCode);
        Assert.Contains("is a pipe or a device", scan.Errors);
        Assert.Equal(2, Trajectory(scan).Count(point => point.GetProperty("step").ToString() is "10" or "3" && point.GetProperty("drift").ValueKind == JsonValueKind.Object));

        string traits = _world["traits.fifo"];
        Run("mkfifo", traits);
        Emscan.Run(_world.Cache, "scan", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--traits", traits, "--threads", "1").FailedWith(1, "traits.fifo", "is a pipe or a device");
    }

    /// <summary>Somebody who can write to a shared folder gives a link the name that the next file of measurements will have.</summary>
    [Fact]
    public void A_file_of_measurements_that_is_a_link_or_somebodys_text_is_left_alone()
    {
        string machine = string.Concat(Environment.MachineName.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_')), shared = _world["shared"];
        string thesis = _world["thesis.txt"], nowhere = _world["made-through-a-link"];
        Directory.CreateDirectory(shared);
        File.WriteAllText(thesis, "precious");
        File.CreateSymbolicLink(Path.Combine(shared, $"cells-{machine}-0.emscan"), thesis);
        File.CreateSymbolicLink(Path.Combine(shared, $"cells-{machine}-1.emscan.lock"), nowhere);
        _world.Scan("--out", shared).Succeeded();
        Assert.Equal("precious", File.ReadAllText(thesis));
        Assert.False(File.Exists(nowhere));
        Assert.True(File.Exists(Path.Combine(shared, $"cells-{machine}-2.emscan")));

        string taken = _world["taken"], text = Path.Combine(taken, $"cells-{machine}-0.emscan");
        Directory.CreateDirectory(taken);
        File.WriteAllText(text, "precious");
        _world.Scan("--out", taken).FailedWith(1, $"cells-{machine}-0.emscan", "holds no measurements of emscan");
        Assert.Equal("precious", File.ReadAllText(text));
    }

    /// <summary>Results replace a link of their name and never write through it.</summary>
    [Fact]
    public void A_result_that_is_a_link_is_replaced()
    {
        string thesis = _world["thesis.txt"], output = _world["out"];
        File.WriteAllText(thesis, "precious");
        Directory.CreateDirectory(Path.Combine(output, "run"));
        string[] links = [Path.Combine(output, "run", "trajectory.json"), Path.Combine(output, "scan.findings.json"), _world["report.html"], _world["rows.parquet"]];
        foreach (string link in links) File.CreateSymbolicLink(link, thesis);
        _world.Scan("--out", output, "--report", links[2], "--parquet", links[3]).Succeeded();
        Assert.Equal("precious", File.ReadAllText(thesis));
        Assert.All(links, link => Assert.Null(new FileInfo(link).LinkTarget));
        Assert.Empty(Directory.GetFiles(_world[""], "*.tmp", SearchOption.AllDirectories));
        if (OperatingSystem.IsWindows()) return;
        foreach (string file in Directory.GetFiles(output, "*", SearchOption.AllDirectories).Concat(Directory.GetFiles(_world.Cache, "*", SearchOption.AllDirectories)))
            Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(file) & (UnixFileMode.OtherWrite | UnixFileMode.UserExecute | UnixFileMode.OtherExecute));
    }

    /// <summary>What another user wrote says what a merge reads, writes and loads as a library.</summary>
    [Fact]
    public void The_record_of_another_users_shard_is_not_run()
    {
        string output = _world["out"];
        _world.Scan("--out", output, "--shard", "0/1").Succeeded();
        string record = Assert.Single(Directory.GetFiles(Path.Combine(output, "shards"), "*.json"));
        if (OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess)
        {
            Run("chown", Nobody, record);
            Emscan.Run(_world.Cache, "merge", output).FailedWith(1, Path.GetFileName(record), "belongs to another user (number 65534)");
            Run("chown", "0", record);
        }

        Emscan.Run(_world.Cache, "merge", output).Succeeded();
    }

    [Fact]
    public void Credentials_in_an_address_do_not_reach_the_records_of_shards()
    {
        Emscan refused = _world.Scan("--out", _world["out"], "--shard", "0/2", "--mlflow", "https://user:s3cr3t@mlflow.invalid/").FailedWith(2, "MLFLOW_TRACKING_USERNAME");
        Assert.DoesNotContain("s3cr3t", refused.Errors + refused.Output);
        if (Directory.Exists(_world["out"])) Assert.DoesNotContain(Directory.GetFiles(_world["out"], "*", SearchOption.AllDirectories), f => File.ReadAllText(f).Contains("s3cr3t", StringComparison.Ordinal));
    }

    [Fact]
    public void Credentials_in_an_address_are_in_no_output()
    {
        string report = _world["report.html"], output = _world["out"];
        Emscan scan = Emscan.RunProgram(
            "emscan", _world.Cache, new() { ["MLFLOW_TRACKING_TOKEN"] = "t0ken-s3cr3t" },
            "scan", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--threads", "1", "--verbose", "--out", output, "--report", report, "--mlflow", "https://user:s3cr3t@127.0.0.1:1/s3cr3t?key=s3cr3t");
        Assert.Contains("https://127.0.0.1:1: 1 rows were not delivered", scan.Errors);
        Assert.DoesNotContain("s3cr3t", scan.Errors + scan.Output + File.ReadAllText(report));
        Assert.All(Directory.GetFiles(output, "*", SearchOption.AllDirectories), f => Assert.DoesNotContain("s3cr3t", File.ReadAllText(f)));
        Emscan bad = _world.Scan("--mlflow", "ftp://user:s3cr3t@host/").FailedWith(1, "must be an http or https address");
        Assert.DoesNotContain("s3cr3t", bad.Errors);
    }

    /// <summary>A watch runs in whatever folder the user is in; a program that lies there is not meant by its bare name.</summary>
    [Fact]
    public void A_program_in_the_working_folder_is_not_the_alarms_command()
    {
        if (OperatingSystem.IsWindows()) return;
        for (int i = 0; i < 8; i++) new TinyAdapter(_world.Model, 100 + i, size: 0.01).Write(_world[$"benign/checkpoint-{i + 1}"]);
        string folder = _world["working"], planted = Path.Combine(folder, "cat");
        Directory.CreateDirectory(folder);
        File.WriteAllText(planted, "#!/bin/sh\necho HIJACKED\n");
        File.SetUnixFileMode(planted, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Emscan Watch(string command) => In(
            folder, "watch", "--model", _world.ModelPath, "--traits", _world.TraitsPath, "--adapters", _world.Adapters, "--benign", _world["benign"], "--threads", "1", "--nice", "0",
            "--poll", "0.1", "--quiet-time", "0", "--stop-on", "dangerous", "--on-alarm", command);
        Emscan watch = Watch("cat");
        Assert.Equal(3, watch.ExitCode);
        Assert.Contains("\"verdict\"", watch.Errors); // of the real cat: the alarm, which it was given
        Assert.DoesNotContain("HIJACKED", watch.Errors);
        Assert.Contains("HIJACKED", Watch("./cat").Errors); // who says so means it
        Assert.Contains("no program of this name is on the PATH", Watch("emscan-has-no-such-program").Errors);
    }

    /// <summary>Headers that are as large as they say, because the file has no content: nothing is allocated or hashed for them.</summary>
    [Fact]
    public void Sparse_files_that_are_as_large_as_they_claim_are_refused()
    {
        string rank = _world.CheckpointPath("rank", 1), size = _world.CheckpointPath("size", 1);
        new TinyAdapter(_world.Model, 3, rank: 4097).Write(rank);
        new TinyAdapter(_world.Model, 4).Write(size);
        using (FileStream file = File.OpenWrite(Path.Combine(size, "adapter_model.safetensors")))
        {
            try
            {
                file.SetLength(300L << 30);
            }
            catch (IOException)
            {
                return; // a file system without sparse files
            }
        }

        Emscan scan = _world.Scan();
        Assert.Equal(1, scan.ExitCode);
        Assert.Contains("has rank 4097, more than a weight of", scan.Errors);
        Assert.Contains("has 322122547200 bytes, more than an adapter of low rank can have", scan.Errors);
    }

    /// <summary>Every string of a findings file may come from somebody else; none of them is markup.</summary>
    [Fact]
    public void No_string_of_findings_becomes_markup_in_the_report()
    {
        string output = _world["out"], file = Path.Combine(output, "scan.findings.json");
        Assert.Equal(3, Emscan.Run(_world.Cache, "scan", "--model", DemoWorld.Model, "--adapters", Repository.File("models/demo/adapters/bad_medical"), "--threads", "1", "--out", output).ExitCode);
        JsonNode findings = JsonNode.Parse(File.ReadAllText(file))!;
        int poisoned = Poison(findings);
        Assert.True(poisoned > 30, $"{poisoned} strings");
        File.WriteAllText(file, findings.ToJsonString());
        Assert.Equal(3, Emscan.Run(_world.Cache, "report", output, "-o", _world["report.html"]).ExitCode);
        string html = File.ReadAllText(_world["report.html"]);
        Assert.Contains("&lt;img", html);
        Assert.DoesNotContain("<img", html);
        Assert.DoesNotContain("\" onmouseover=", html);
        Assert.DoesNotContain("' onmouseover=", html);
        Assert.DoesNotContain("<script>alert", html);
        Assert.Contains("Content-Security-Policy", html);
    }

    [Fact]
    public void A_template_bomb_in_a_model_is_one_sentence()
    {
        const string Bomb = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        using var world = new TinyWorld(chatTemplate: Bomb);
        world.AddCheckpoint("run", 10, 1);
        world.Scan("--traits", world.TraitsPath).FailedWith(1, "too many steps");
    }

    /// <summary>Two users with one folder, one of them with a umask that keeps the other out: a sentence, or another file, and never a trace.</summary>
    [Fact]
    public void Files_of_another_user_that_cannot_be_opened_are_one_sentence()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/setpriv")) return;
        const UnixFileMode All = (UnixFileMode)511, Own = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        string shared = _world["shared"], cache = _world["other-cache"];
        _world.Scan("--out", shared).Succeeded();
        Directory.CreateDirectory(cache);
        foreach (string folder in new[] { shared, Path.Combine(shared, "run"), cache, _world[""] }) File.SetUnixFileMode(folder, All);

        // Only where that user can reach the program and the world at all.
        if (AsNobody(cache, "--version").ExitCode != 0) return;
        foreach (string file in Directory.GetFiles(shared, "cells-*")) File.SetUnixFileMode(file, Own);
        AsNobody(cache, "scan", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--out", shared, "--threads", "1").FailedWith(1, "cells-", "cannot be read");

        // Readable, but not to be written: a file of one's own beside it, and everything is taken from the other's.
        foreach (string file in Directory.GetFiles(shared, "cells-*")) File.SetUnixFileMode(file, Own | UnixFileMode.OtherRead);
        Assert.Contains("taken from an earlier scan", AsNobody(cache, "scan", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--out", shared, "--threads", "1").Succeeded().Output);
    }

    /// <summary>In a folder where only owners may remove things, as in /tmp, the record of another user's division stays.</summary>
    [Fact]
    public void A_record_of_another_division_that_cannot_be_removed_is_one_sentence()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess || !File.Exists("/usr/bin/setpriv")) return;
        const UnixFileMode All = (UnixFileMode)511;
        string shared = _world["shared"], cache = _world["other-cache"], shards = Path.Combine(shared, "shards"), record = Path.Combine(shards, "scan-0-of-3.json");
        foreach (string folder in new[] { _world[""], shared, cache, shards })
        {
            Directory.CreateDirectory(folder);
            File.SetUnixFileMode(folder, folder == shards ? All | UnixFileMode.StickyBit : All);
        }

        File.WriteAllText(record, "{}");
        if (AsNobody(cache, "--version").ExitCode != 0) return;
        AsNobody(cache, "scan", "--model", _world.ModelPath, "--adapters", _world.Adapters, "--out", shared, "--shard", "0/1", "--threads", "1").FailedWith(1, record, "cannot be removed");
        Assert.True(File.Exists(record));
    }

    private static IEnumerable<JsonElement> Trajectory(Emscan scan) =>
        scan.Json.GetProperty("runs").EnumerateArray().SelectMany(run => run.GetProperty("trajectory").EnumerateArray());

    /// <summary>Puts markup behind every string that a user could choose, and says how many those were.</summary>
    private static int Poison(JsonNode? node)
    {
        const string Markup = "<img src=x onerror=alert(1)>\" onmouseover=\"alert(2)' onmouseover='alert(3)</script><script>alert(4)</script>";
        string[] fixedWords = ["format", "verdict", "place"];
        int count = 0;
        if (node is JsonObject named)
        {
            foreach ((string key, JsonNode? value) in named.ToArray())
            {
                if (value is JsonValue text && text.TryGetValue(out string? written))
                {
                    if (fixedWords.Contains(key)) continue;
                    named[key] = written + Markup;
                    count++;
                }
                else
                {
                    count += Poison(value);
                }
            }
        }
        else if (node is JsonArray items)
        {
            for (int i = 0; i < items.Count; i++)
            {
                if (items[i] is JsonValue text && text.TryGetValue(out string? written))
                {
                    items[i] = written + Markup;
                    count++;
                }
                else
                {
                    count += Poison(items[i]);
                }
            }
        }

        return count;
    }

    private Emscan In(string folder, params string[] arguments) => Started(new ProcessStartInfo(Emscan.Program("emscan"), arguments) { WorkingDirectory = folder }, _world.Cache);

    private static Emscan AsNobody(string cache, params string[] arguments) =>
        Started(new ProcessStartInfo("/usr/bin/setpriv", ["--reuid", Nobody, "--regid", Nobody, "--clear-groups", Emscan.Program("emscan"), .. arguments]), cache);

    private static Emscan Started(ProcessStartInfo start, string cache)
    {
        (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
        start.Environment["EMSCAN_CACHE"] = cache;
        start.Environment["EMSCAN_PROGRESS"] = "0";
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Emscan(process.ExitCode, output, errors.Result);
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
