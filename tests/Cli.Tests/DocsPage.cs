using System.Text.RegularExpressions;
using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

internal enum DocsMark
{
    /// <summary>Not run, for the reason that the page gives.</summary>
    NotRun,

    /// <summary>Run when asked for.</summary>
    Slow,

    /// <summary>Not shown, run in its place: what a reader has done or has by then.</summary>
    Hidden,
}

/// <summary>A command of a page.</summary>
/// <param name="Line">Where it stands, from 1.</param>
/// <param name="Text">What is typed.</param>
/// <param name="Shown">What the page shows of its output, lines; none where it shows nothing.</param>
/// <param name="Mark">What is done with it; null: it is run.</param>
internal sealed record DocsCommand(int Line, string Text, string[] Shown, DocsMark? Mark);

/// <summary>The commands of a page: blocks fenced as console, and marks in comments above them.</summary>
internal static partial class DocsPage
{
    private const string Fence = "```", Console = "console";

    /// <summary>Reads a page.</summary>
    /// <param name="page">Its path in the repository.</param>
    /// <returns>The commands in their order; the test fails where one stands outside of such a block, or a mark gives no reason.</returns>
    internal static IReadOnlyList<DocsCommand> Read(string page)
    {
        string[] lines = File.ReadAllLines(Repository.File(page));
        var commands = new List<DocsCommand>();
        DocsMark? mark = null;
        for (int i = 0; i < lines.Length; i++)
        {
            if (Comment().Match(lines[i]) is { Success: true } comment)
            {
                Assert.True(comment.Groups[2].Value.Trim().Length > 3, $"{page}:{i + 1}: a mark needs a reason");
                if (comment.Groups[1].Value == "run") commands.Add(new DocsCommand(i + 1, comment.Groups[2].Value.Trim(), [], DocsMark.Hidden));
                else mark = comment.Groups[1].Value == "slow" ? DocsMark.Slow : DocsMark.NotRun;
            }
            else if (lines[i].StartsWith(Fence, StringComparison.Ordinal))
            {
                int end = Array.FindIndex(lines, i + 1, l => l.StartsWith(Fence, StringComparison.Ordinal));
                Assert.True(end > 0, $"{page}:{i + 1}: the block does not end");
                if (lines[i][Fence.Length..] == Console) commands.AddRange(Block(lines[(i + 1)..end], i + 2, mark));
                else Assert.True(!lines[(i + 1)..end].Any(IsCommand), $"{page}:{i + 1}: commands stand in blocks fenced as {Console}");
                mark = null;
                i = end;
            }
            else
            {
                Assert.False(lines[i].StartsWith("    ", StringComparison.Ordinal) && IsCommand(lines[i].Trim()), $"{page}:{i + 1}: commands stand in blocks fenced as {Console}");
                if (lines[i].Length > 0) mark = null;
            }
        }

        return commands;
    }

    /// <summary>Lines that begin with $, each with its output; or, where there are none, a command a line. A backslash at the end goes on.</summary>
    private static IEnumerable<DocsCommand> Block(string[] lines, int first, DocsMark? mark)
    {
        bool prompted = lines.Any(l => l.StartsWith("$ ", StringComparison.Ordinal));
        for (int i = 0; i < lines.Length;)
        {
            int line = i;
            string text = prompted ? lines[i][2..] : lines[i];
            for (; lines[i].EndsWith('\\'); text += $"\n{lines[i]}") i++;
            int end = ++i;
            while (prompted && end < lines.Length && !lines[end].StartsWith("$ ", StringComparison.Ordinal)) end++;
            yield return new DocsCommand(first + line, text.Replace("dotnet run --project src/Cli -c Release -- ", "emscan "), lines[i..end], mark);
            i = end;
        }
    }

    private static bool IsCommand(string line) => line.StartsWith("emscan ", StringComparison.Ordinal) || line.StartsWith("$ ", StringComparison.Ordinal);

    [GeneratedRegex(@"^<!-- (not run|slow|run): (.*)-->$")]
    private static partial Regex Comment();
}
