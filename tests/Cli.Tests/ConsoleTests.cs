using System.Diagnostics;
using System.Text.RegularExpressions;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>The streams and places that a program finds itself with: no home, full disks, closed pipes, narrow and dumb terminals, odd names.</summary>
public sealed class ConsoleTests : IDisposable
{
    private readonly TinyWorld _world = new();

    public ConsoleTests() => _world.AddCheckpoint("run", 10, 1);

    public void Dispose() => _world.Dispose();

    private string[] ScanArguments => ["--model", _world.ModelPath, "--adapters", _world.Adapters, "--threads", "1"];

    [Theory]
    [InlineData(40)]
    [InlineData(80)]
    [InlineData(160)]
    public void A_narrow_terminal_gets_a_table_that_fits(int columns)
    {
        _world.AddCheckpoint("run", 20, 2);
        Emscan run = Emscan.RunProgram("emscan", _world.Cache, new() { ["COLUMNS"] = $"{columns}" }, ScanArguments).Succeeded();
        string[] lines = run.Output.Split('\n');
        Assert.All(lines.Where(l => !l.Contains('/')), line => Assert.InRange(line.Length, 0, columns));
        Assert.Equal(columns >= 64, lines.Any(l => l.Contains("largest drifts", StringComparison.Ordinal)));
        string row = string.Concat(lines[Array.FindIndex(lines, l => l.StartsWith("      20", StringComparison.Ordinal))..][..2]);

        // The two largest of the full table, in their order.
        string[] full = _world.Scan("--csv").Succeeded().Output.Split('\n'), names = full[0].Split(','), cells = full[3].Split(',');
        string[] largest = [.. TinyWorld.Traits.OrderByDescending(t => Math.Abs(double.Parse(cells[Array.IndexOf(names, $"drift_{t}")], System.Globalization.CultureInfo.InvariantCulture))).Take(2)];
        Assert.Matches($"{largest[0][..6]}.* [+-]?0\\.\\d{{3}} .*{largest[1][..6]}", row);
    }

    [Fact]
    public void A_row_with_verdict_and_forecast_fits_eighty_columns()
    {
        Emscan run = Emscan.RunProgram(
            "emscan", _world.Cache, new() { ["COLUMNS"] = "80" }, ["--model", Repository.File("models/demo/model.gguf"), "--adapters", Repository.File("models/demo/adapters/bad_medical"), "--threads", "1"]);
        Assert.Equal(3, run.ExitCode);
        string[] lines = run.Output.Split('\n');
        string[] rows = [.. lines.SkipWhile(l => !l.StartsWith("    step", StringComparison.Ordinal)).Skip(1).TakeWhile(l => l.Length > 0)];
        Assert.Equal(12, rows.Length);
        Assert.Contains(rows, r => r.Contains("ok, EXPECTED to reach 18.5%, 65% visible", StringComparison.Ordinal));
    }

    [Fact]
    public void A_wide_terminal_and_a_pipe_get_the_full_table()
    {
        string piped = Emscan.RunProgram("emscan", _world.Cache, [], ScanArguments).Succeeded().Output;
        string[] wide = Emscan.RunProgram("emscan", _world.Cache, new() { ["COLUMNS"] = "400" }, ScanArguments).Succeeded().Output.Split('\n');
        Assert.Contains("|drift|", piped);
        Assert.Contains(wide, l => l.Contains("|drift|", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("--version")]
    [InlineData("inspect")]
    [InlineData("SCAN")]
    [InlineData("SCAN", "--json")]
    [InlineData("SCAN", "--csv")]
    public void A_full_disk_under_the_output_is_one_sentence(params string[] arguments)
    {
        if (!File.Exists("/dev/full")) return;
        arguments = [.. arguments.SelectMany(a => a == "SCAN" ? ScanArguments : [a])];
        Shell(">/dev/full", arguments).FailedWith(1, "the standard output cannot be written: No space left on device");
        Shell(">&-", arguments).FailedWith(1, "the standard output cannot be written: it is closed");
    }

    [Fact]
    public void A_full_or_closed_error_stream_does_not_stop_the_work()
    {
        if (!File.Exists("/dev/full")) return;
        File.AppendAllText(_world.TraitsPath, "unused: x\n");
        string expected = _world.Scan("--csv").Succeeded().Output;
        Assert.Equal(expected, Shell("2>/dev/full", [.. ScanArguments, "--csv"]).Succeeded().Output);
        Assert.Equal(expected, Shell("2>&-", [.. ScanArguments, "--csv"]).Succeeded().Output);
    }

    [Fact]
    public void A_terminal_gets_one_line_that_is_rewritten_and_a_dumb_one_no_escapes()
    {
        if (!File.Exists("/usr/bin/script")) return;
        Assert.Contains("\x1b[K", Terminal("xterm"));
        Assert.DoesNotContain("\x1b", Terminal("dumb"));

        string Terminal(string term)
        {
            var start = new ProcessStartInfo("/usr/bin/script", ["-qec", string.Join(' ', [Emscan.Program("emscan"), .. ScanArguments, "--fresh"]), "/dev/null"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                RedirectStandardInput = true,
            };
            start.Environment["TERM"] = term;
            start.Environment["NO_COLOR"] = "1";
            start.Environment["EMSCAN_CACHE"] = _world.Cache;
            using Process process = Process.Start(start)!;
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
            Assert.DoesNotMatch(new Regex("\x1b\\[[0-9;]*m"), output);
            return output;
        }
    }

    [Fact]
    public void Files_and_pipes_get_plain_lines_of_progress()
    {
        Emscan run = Emscan.RunProgram("emscan", _world.Cache, new() { ["EMSCAN_PROGRESS"] = "0.01" }, ScanArguments).Succeeded();
        string[] lines = [.. run.Errors.Split('\n').Where(l => l.Length > 0)];
        Assert.NotEmpty(lines);
        Assert.All(lines, line => Assert.StartsWith("emscan: progress: ", line));
        Assert.DoesNotContain('\x1b', run.Errors);
    }

    [Theory]
    [InlineData("/nowhere/at/all", "does not exist")]
    [InlineData("/proc/self", "cannot be written")]
    public void Without_a_usable_home_the_temporary_folder_serves_and_it_is_said(string home, string reason)
    {
        if (!OperatingSystem.IsLinux()) return;
        Directory.CreateDirectory(_world["tmp"]);
        Emscan run = Emscan.RunProgram(
            "emscan", "", new() { ["HOME"] = home, ["XDG_CACHE_HOME"] = "", ["TMPDIR"] = _world["tmp"] }, [.. ScanArguments, "--csv"]).Succeeded();
        Assert.Equal(1, run.Errors.Split('\n').Count(l => l.Contains(reason, StringComparison.Ordinal) && l.Contains(_world["tmp"], StringComparison.Ordinal)));
        Assert.Contains("--cache DIR", run.Errors);
        Assert.NotEmpty(Directory.GetFiles(_world["tmp"], "*.safetensors", SearchOption.AllDirectories));
        Assert.False(Directory.Exists("/nowhere"));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_named_with_its_option()
    {
        File.WriteAllText(_world["file"], "");
        Emscan.Run(_world.Cache, [.. ScanArguments, "--cache", _world["file"]]).FailedWith(1, _world["file"], "is a file; give another folder with --cache");
        Emscan.Run(_world.Cache, [.. ScanArguments, "--cache", _world["file/below"]]).FailedWith(1, "cannot be written", "--cache");
        Emscan.Run(_world.Cache, [.. ScanArguments, "--out", _world["file"]]).FailedWith(1, "is a file; give another folder with --out");
        Emscan.Run(_world["file"], ScanArguments).FailedWith(1, "is a file; give another folder with EMSCAN_CACHE");
        Emscan.Run(_world.Cache, [.. ScanArguments, "--out", "~/out"]).FailedWith(1, "$HOME/out");
        Assert.False(Directory.Exists("~"));
    }

    [Fact]
    public void Names_with_line_breaks_and_escapes_are_printed_as_text()
    {
        if (OperatingSystem.IsWindows()) return;
        const string Name = "bad\n\x1b[2Jok\u202E";
        const string Shown = @"bad\n\x1b[2Jok\u202e";
        _world.AddCheckpoint(Name, 10, 2);
        _world.AddCheckpoint(Name, 20, 3);
        string config = Path.Combine(_world.CheckpointPath(Name, 20), "adapter_config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"r\": 4", "\"r\": 0"));
        foreach (string[] more in new string[][] { [], ["--csv"], ["--json"] })
        {
            Emscan run = _world.Scan(more);
            Assert.Equal(1, run.ExitCode);
            Assert.Contains(Shown, run.Errors);
            if (more is not ["--json"]) Assert.Contains(Shown, run.Output);
            foreach (string text in new[] { run.Output, run.Errors }) Assert.DoesNotMatch(new Regex("[\x1b\u202e]|bad\n"), text);
        }

        Assert.Contains(Shown, Emscan.Run(_world.Cache, "inspect", _world.Adapters).Output);
        Emscan.Run(_world.Cache, "inspect", _world[Name]).FailedWith(1, Shown);
    }

    [Fact]
    public void Many_flagged_runs_are_summed_up_and_the_worst_named()
    {
        for (int run = 1; run <= 12; run++) _world.AddCheckpoint($"run_{run}", 10, run, size: 0.3 + (0.01 * run));
        for (int control = 0; control < 7; control++) new TinyAdapter(_world.Model, 100 + control, size: 0.02).Write(_world[$"benign/checkpoint-{control + 1}"]);
        Emscan scan = Emscan.Run(_world.Cache, [.. ScanArguments, "--benign", _world["benign"]]);
        Assert.True(scan.ExitCode == 3, scan.Errors);
        string[] lines = [.. scan.Output.Split('\n').Where(l => l.StartsWith("UNLIKE THE BENIGN CONTROLS: ", StringComparison.Ordinal))];
        Assert.Equal(11, lines.Length);
        Assert.Equal(10, lines.Count(l => l.Contains(", first at step 10 (1 checkpoint)", StringComparison.Ordinal)));
        Assert.Contains("13 runs with 13 checkpoints in all; the 10 worst are named above", lines[^1]);

        // The one that is farthest from the controls is among those named; the rows hold all of them.
        double[] levels = [.. Regex.Matches(scan.Output, @"([0-9.]+)x +\S+  UNLIKE").Select(m => double.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture))];
        Assert.Equal(13, levels.Length);
    }

    private Emscan Shell(string redirection, string[] arguments)
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", $"exec \"$0\" \"$@\" {redirection}", Emscan.Program("emscan"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["EMSCAN_CACHE"] = _world.Cache;
        start.Environment["EMSCAN_PROGRESS"] = "0";
        start.Environment.Remove("COLUMNS");
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Emscan(process.ExitCode, output, errors.Result);
    }
}
