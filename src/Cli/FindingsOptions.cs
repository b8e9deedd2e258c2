using System.CommandLine;
using EmScan.Engine.Formats;
using EmScan.Engine.Reports;

namespace EmScan.Cli;

/// <summary>Where the findings of a verb go: tables or JSON on the standard output, and a file for 'emscan report'.</summary>
internal sealed class FindingsOptions
{
    private readonly Option<bool> _json = MadeOnce.Json();
    private readonly Option<string?> _out = MadeOnce.Out();

    internal void AddTo(Command command)
    {
        command.Options.Add(_out);
        command.Options.Add(_json);
    }

    /// <summary>The folder for measurements, once it is known that it can be written; null for the cache.</summary>
    internal string? Folder(ParseResult parsed)
    {
        string? folder = parsed.GetValue(_out);
        if (folder != null) OutputPath.RequireFolder(folder, _out.Name);
        return folder;
    }

    /// <summary>Prints findings and keeps them where that was asked for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="of">What the findings are of, for the title of a report.</param>
    /// <param name="findings">The findings.</param>
    internal int Give(ParseResult parsed, string of, Findings findings)
    {
        string verb = parsed.CommandResult.Command.Name;
        if (Folder(parsed) is { } folder) FindingsFile.Write(Path.Combine(folder, verb + FindingsFile.Extension), $"{verb} of {of}", findings);
        if (parsed.GetValue(_json)) FindingsJson.Write(Console.OpenStandardOutput(), findings);
        else FindingsText.Write(Console.Out, findings);
        return findings.Verdict == FindingsVerdict.Dangerous ? ExitCode.Dangerous : ExitCode.Success;
    }
}
