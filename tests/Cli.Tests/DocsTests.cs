using System.Diagnostics;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>A test that needs bash and Python, as whoever follows the pages has one; it is skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class BashTheoryAttribute : TheoryAttribute
{
    public BashTheoryAttribute() => Skip = File.Exists("/bin/bash") && PythonTheoryAttribute.Python != null ? null : "there is no /bin/bash, or no python3 on PATH.";
}

/// <summary>
/// README.md and docs/ cannot lie: their commands are run, page by page, in a folder that has what they name, and print what the page shows.
/// CONTRIBUTING.md says how a page marks what is not run.
/// </summary>
public sealed class DocsTests(DocsWorld world) : IClassFixture<DocsWorld>
{
    /// <summary>Set to "all", it has the blocks run that take long.</summary>
    private const string Variable = "EMSCAN_TEST_DOCS";

    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(10);

    public static TheoryData<string> Pages() =>
        ["README.md", .. Directory.GetFiles(Repository.File("docs"), "*.md").Select(file => $"docs/{Path.GetFileName(file)}").Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Every_block_of_commands_is_run_or_says_why_it_is_not(string page) => _ = DocsPage.Read(page);

    [BashTheory]
    [MemberData(nameof(Pages))]
    public void The_commands_of_a_page_print_what_it_shows(string page)
    {
        string folder = world.FolderFor(page);
        foreach (DocsCommand command in DocsPage.Read(page).Where(c => c.Mark is null or DocsMark.Hidden || (c.Mark == DocsMark.Slow && Environment.GetEnvironmentVariable(Variable) == "all")))
        {
            (int code, string printed) = Run(folder, command.Text);
            if (command.Shown.Length > 0) ShownOutput.AssertSame($"{page}:{command.Line}: {command.Text}", command.Shown, printed.TrimEnd('\n').Split('\n'));

            // 3: something is dangerous. 4: a calibration that is no better than chance.
            else Assert.True(code is 0 or 3 or 4, $"{page}:{command.Line}: {command.Text}\nexit code {code}\n{printed}");
        }
    }

    private static (int Code, string Printed) Run(string folder, string command)
    {
        // As on a terminal: both streams, in their order.
        var start = new ProcessStartInfo("/bin/bash", ["-c", $"exec 2>&1\n{command}"]) { RedirectStandardOutput = true, RedirectStandardInput = true, WorkingDirectory = folder };
        start.Environment["PATH"] = $"{AppContext.BaseDirectory}:{Environment.GetEnvironmentVariable("PATH")}";
        start.Environment["HOME"] = folder;

        // One for each page: what a command says it took from the record must not depend on which pages were followed before.
        start.Environment["EMSCAN_CACHE"] = $"{folder}.cache";
        start.Environment["EMSCAN_PROGRESS"] = "0";
        start.Environment.Remove("COLUMNS");
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(Longest))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{command} did not end.");
        }

        return (process.ExitCode, output.Result);
    }
}
