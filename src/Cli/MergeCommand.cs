using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring.Shards;

namespace EmScan.Cli;

/// <summary><c>emscan merge</c>: concludes from what shards have measured, as one process would have.</summary>
internal sealed class MergeCommand
{
    private readonly Argument<string> _output = new("out") { Description = "The folder that the shards were given with --out." };
    private readonly Option<bool> _json = MadeOnce.Json();
    private readonly Option<bool> _csv = MadeOnce.Csv();

    internal Command ToCommand(RootCommand root)
    {
        var command = new Verb("merge", "Conclude from what shards (--shard) have measured, or say which one to run again. What is written is what one process would have written.", "emscan merge results");
        command.Arguments.Add(_output);
        command.Options.Add(_json);
        command.Options.Add(_csv);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(root, parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(RootCommand root, ParseResult parsed, CancellationToken cancellationToken)
    {
        string output = parsed.GetValue(_output)!;
        string[] verbs = [.. ShardRecords.Files(output).Select(ShardRecords.VerbOf).Distinct()];
        if (verbs.Length == 0)
        {
            throw new InputFileException(output, Directory.Exists(output)
                ? "holds nothing that shards have measured; give the folder that they were given with --out."
                : "there is no such folder; give the one that the shards were given with --out.");
        }

        output = Path.GetFullPath(output);
        int worst = ExitCode.Success;
        RequireOwn(output);
        foreach (string verb in verbs)
        {
            ShardRecord first = ShardRecords.Read(output, verb).First;
            if (!Directory.Exists(first.WorkingFolder))
                throw new InputFileException(first.WorkingFolder, $"the folder that the shards of {verb} were started in is not here; merge where it is, and the paths that they were given.");

            // The paths that the shards were given mean here what they meant there.
            Directory.SetCurrentDirectory(first.WorkingFolder);
            string[] arguments = [.. ShardOptions.ToMerge(first, Given(first, output))];
            if (parsed.GetValue(_json) && !arguments.Contains("--json")) arguments = [.. arguments.Where(a => a != "--csv"), "--json"];
            if (parsed.GetValue(_csv) && verb == "scan" && !arguments.Contains("--csv")) arguments = [.. arguments.Where(a => a != "--json"), "--csv"];
            int code = await CommandLine.InvokeAsync(root, arguments, cancellationToken);
            if (code != ExitCode.Success && worst != ExitCode.Dangerous) worst = code == ExitCode.Dangerous ? code : Math.Max(worst, code);
        }

        return worst;
    }

    /// <summary>A record says what this command runs: which files it reads and writes, which llama.cpp it loads. So it must be this user's: its owner
    /// the one that new files get here.</summary>
    private static void RequireOwn(string output)
    {
        string probe = Path.Combine(output, ShardRecord.Folder, $".emscan-{Guid.NewGuid():N}.tmp");
        uint? own;
        try
        {
            using var file = new FileStream(probe, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
            own = FileNature.OwnerOf(probe);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(output, "cannot be written; the results of a merge belong there.", e);
        }

        foreach (string record in ShardRecords.Files(output))
        {
            if (own is { } me && FileNature.OwnerOf(record) is { } owner && owner != me)
                throw new InputFileException(record, $"belongs to another user (number {owner}), and says what is read, written and loaded here. If you trust who made it, merge a copy of the folder: cp -r {output} COPY");
        }
    }

    /// <summary>The folder as the shards named it, where that is the same one: what is printed and written is then the same to the letter.</summary>
    private static string Given(ShardRecord record, string output)
    {
        int at = record.Arguments.ToList().FindLastIndex(a => a is "--out" or "-o");
        return at >= 0 && at + 1 < record.Arguments.Count && Path.GetFullPath(record.Arguments[at + 1]) == output ? record.Arguments[at + 1] : output;
    }
}
