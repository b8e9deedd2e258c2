using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Reports;
using EmScan.Engine.Reports.Html;

namespace EmScan.Cli;

/// <summary><c>emscan report</c>: what was found, as one HTML file.</summary>
internal sealed class ReportCommand
{
    private readonly Argument<string[]> _results = new("results") { Description = $"Folders that scans and analyses wrote with --out, or *{FindingsFile.Extension} files in them.", Arity = ArgumentArity.OneOrMore };
    private readonly Option<string> _output = new CommonOption<string>("--output", "-o") { Description = "The HTML file to write.", HelpName = "FILE", DefaultValueFactory = _ => "report.html" };

    internal Command ToCommand()
    {
        var command = new Verb("report", "One self-contained HTML file of everything that was found: verdicts, curves, tables.", "emscan report results -o report.html");
        command.Arguments.Add(_results);
        command.Options.Add(_output);
        command.SetAction((parsed, _) => Runner.Run(() => Task.FromResult(Run(parsed.GetValue(_results)!, parsed.GetValue(_output)!))));
        return command;
    }

    private static int Run(string[] results, string output)
    {
        OutputPath.RequireFile(output, ".html");
        // What is alarming first, whatever its file is called.
        (string Title, Findings Findings)[] findings =
        [
            .. results.SelectMany(FindingsFile.Find).Distinct().Select(FindingsFile.Read).OrderBy(f => f.Findings.Verdict switch
            {
                FindingsVerdict.Dangerous => 0,
                FindingsVerdict.Expected => 1,
                FindingsVerdict.Unknown => 2,
                FindingsVerdict.Clear => 3,
                _ => 4,
            }),
        ];
        HtmlReport.Save(output, findings);
        Console.Out.WriteLine($"{Printable.Of(output)}: {findings.Length} {(findings.Length == 1 ? "result" : "results")}.");
        return findings.Any(f => f.Findings.Verdict == FindingsVerdict.Dangerous) ? ExitCode.Dangerous : ExitCode.Success;
    }
}
