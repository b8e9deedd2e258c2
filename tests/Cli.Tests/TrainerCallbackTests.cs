using System.Diagnostics;
using System.Text.RegularExpressions;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>A test that needs a Python interpreter; it is skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class PythonTheoryAttribute : TheoryAttribute
{
    internal static string? Python { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .SelectMany(folder => new[] { "python3", "python3.exe" }.Select(name => Path.Combine(folder, name))).FirstOrDefault(File.Exists);

    public PythonTheoryAttribute() => Skip = Python == null ? "python3 is not on PATH." : null;
}

/// <summary>The Python of docs/trainer-callback.md runs as it is printed there, in stand-ins for the Trainer and for torch.distributed.</summary>
public partial class TrainerCallbackTests
{
    [PythonTheory]
    [InlineData("single", "15")] // the file appears before step 13; the callback looks every 5 steps
    [InlineData("distributed", "15 15 15")] // ranks that cannot see the file stop at the same step
    [InlineData("none", "0 0 0")]
    [InlineData("old", "0 0 0")] // left by an earlier training
    [InlineData("old-then-new", "15 15 15")]
    public async Task AllRanksStopAtTheSameStep(string scenario, string expected)
    {
        using var folder = new TemporaryFolder();
        string page = File.ReadAllText(Repository.File("docs/trainer-callback.md"));
        string callback = folder["callback.py"];
        File.WriteAllText(callback, PythonBlock().Match(page).Groups[1].Value);
        var start = new ProcessStartInfo(PythonTheoryAttribute.Python!, [Repository.File("tests/Cli.Tests/Callback/stand_ins.py"), callback, folder.Root, scenario])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, await errors);
        Assert.Equal(expected, output.Trim());
    }

    [GeneratedRegex(@"```python\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex PythonBlock();
}
