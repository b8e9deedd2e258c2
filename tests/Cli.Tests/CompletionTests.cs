using System.Diagnostics;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

public class CompletionTests
{
    [Theory]
    [InlineData("emscan ", "scan", "diff", "--model")]
    [InlineData("emscan --mo", "--model")]
    [InlineData("emscan scan --ad", "--adapters")]
    [InlineData("emscan completion ", "bash", "zsh", "fish")]
    public void TheProgramSaysWhatCanFollow(string line, params string[] expected)
    {
        using var folder = new TemporaryFolder();
        string[] words = Emscan.Run(folder.Root, $"[suggest:{line.Length}]", line).Succeeded().Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Subset(words.Select(w => w.Trim()).ToHashSet(), expected.ToHashSet());
    }

    /// <summary>The script as bash runs it: its function is called with what bash would set.</summary>
    [Fact]
    public void BashCompletesVerbsAndOptions()
    {
        if (!File.Exists("/bin/bash")) return;
        using var folder = new TemporaryFolder();
        string script = Emscan.Run(folder.Root, "completion", "bash").Succeeded().Output;
        string path = Path.GetDirectoryName(Emscan.Program("emscan"))!;
        const string Call = "\nCOMP_LINE='emscan scan --ada'; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(emscan scan --ada); COMP_CWORD=2; _emscan; echo \"${COMPREPLY[@]}\"";
        var start = new ProcessStartInfo("/bin/bash", ["--norc", "-c", script + Call]) { RedirectStandardOutput = true };
        start.Environment["PATH"] = path + ":" + Environment.GetEnvironmentVariable("PATH");
        using Process process = Process.Start(start)!;
        Assert.Equal("--adapters", process.StandardOutput.ReadToEnd().Trim());
    }

    [Theory]
    [InlineData("zsh", "#compdef emscan")]
    [InlineData("fish", "complete -c emscan")]
    public void OtherShellsHaveTheirScripts(string shell, string beginning)
    {
        using var folder = new TemporaryFolder();
        Assert.StartsWith(beginning, Emscan.Run(folder.Root, "completion", shell).Succeeded().Output);
    }

    [Fact]
    public void AnUnknownShellIsAUsageError()
    {
        using var folder = new TemporaryFolder();
        Emscan.Run(folder.Root, "completion", "tcsh").FailedWith(2, "the shell must be bash or zsh or fish, not tcsh.");
    }
}
