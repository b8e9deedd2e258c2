using System.Diagnostics;
using System.Text.Json;

namespace EmScan.Cli.Tests;

/// <summary>Runs the built program as a user does: another process, its own command line, its two output streams and its exit code.</summary>
internal sealed record Emscan(int ExitCode, string Output, string Errors)
{
    /// <summary>A program in the test's output folder.</summary>
    internal static string Program(string name) => Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? $"{name}.exe" : name);

    /// <summary>Runs to the end, with a cache of its own unless the arguments name one.</summary>
    internal static Emscan Run(string cache, params string[] arguments) => RunProgram("emscan", cache, [], arguments);

    /// <summary>Runs a program of the test's output folder with further environment variables.</summary>
    internal static Emscan RunProgram(string name, string cache, Dictionary<string, string> environment, params string[] arguments)
    {
        using Process process = StartProgram(name, cache, environment, arguments);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        if (!process.WaitForExit(TimeSpan.FromMinutes(10)))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{name} {string.Join(' ', arguments)} did not end.");
        }

        return new Emscan(process.ExitCode, output, errors.Result);
    }

    internal static Process Start(string cache, params string[] arguments) => StartProgram("emscan", cache, [], arguments);

    private static Process StartProgram(string name, string cache, Dictionary<string, string> environment, string[] arguments)
    {
        var start = new ProcessStartInfo(Program(name), arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.Environment["EMSCAN_CACHE"] = cache;

        // The width of the developer's terminal, and how long a busy machine takes, must not change what tests see.
        start.Environment.Remove("COLUMNS");
        start.Environment["EMSCAN_PROGRESS"] = "0";
        foreach ((string variable, string value) in environment) start.Environment[variable] = value;
        return Process.Start(start)!;
    }

    internal Emscan Succeeded()
    {
        Assert.True(ExitCode == 0, $"exit code {ExitCode}\n{Output}\n{Errors}");
        return this;
    }

    /// <summary>Asserts that a calibration was written, whether or not its validation found it usable (exit code 4 where not).</summary>
    internal Emscan Wrote(string calibration)
    {
        Assert.True(ExitCode is 0 or 4 && File.Exists(calibration), $"exit code {ExitCode}\n{Output}\n{Errors}");
        Assert.Equal(ExitCode == 4, Output.Contains("NOT USABLE: this calibration ", StringComparison.Ordinal));
        return this;
    }

    internal JsonElement Json => JsonDocument.Parse(Output).RootElement;

    /// <summary>Asserts what every failure must look like: the exit code, one sentence that names what is wrong, and no traces of the machinery.</summary>
    internal Emscan FailedWith(int exitCode, params string[] fragments)
    {
        Assert.True(ExitCode == exitCode, $"exit code {ExitCode} instead of {exitCode}\n{Output}\n{Errors}");
        foreach (string fragment in fragments) Assert.Contains(fragment, Errors);
        Assert.DoesNotContain("Unhandled", Errors);
        Assert.DoesNotContain("   at ", Errors);
        Assert.DoesNotContain("Exception", Errors);
        Assert.DoesNotContain("GGML_ASSERT", Output);
        string[] complaints = [.. Errors.Split('\n').Where(l => l.StartsWith("emscan: ", StringComparison.Ordinal) && !l.StartsWith("emscan: note: ", StringComparison.Ordinal))];
        Assert.True(complaints.Length == 1, $"expected one sentence:\n{Errors}");
        return this;
    }
}
