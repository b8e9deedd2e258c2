using System.CommandLine;
using System.CommandLine.Parsing;
using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;

namespace EmScan.Cli;

/// <summary>The division of the work among processes, and lists of adapters.</summary>
internal sealed class ShardOptions
{
    private const string ShardName = "--shard";
    private const string MergeName = "--merge-shards";

    // How a machine does it, and how it is shown: results do not depend on these.
    private static readonly string[] OfTheMachine = ["--threads", "-t", "--parallel", "--gpu-layers", "--device", "--kernel-device", "--llama", "--cache", "--out", "-o"];
    private static readonly string[] Switches = ["--verbose", "-v", "--json", "--csv"];

    private readonly Option<string?> _shard = new Option<string?>(ShardName) { Description = "Measure one share of the work, for 'emscan merge': I/N, I from 0 to N - 1; auto/N with the number of a Slurm array's task or a Kubernetes Indexed Job's pod as I; auto in a Slurm array from 0 to N - 1. Ends with 0 also where something is dangerous.", HelpName = "I/N" };
    private readonly Option<bool> _merge = new(MergeName) { Description = "Conclude from what shards have measured.", Hidden = true };

    internal void AddTo(Command command)
    {
        command.Options.Add(_shard);
        command.Options.Add(_merge);
    }

    /// <summary>What the command line asks for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="output">The folder of results, or null.</param>
    /// <param name="adapters">Adapters as they were given.</param>
    /// <param name="recompute">Whether everything is to be measured again.</param>
    internal ShardChoice Choose(ParseResult parsed, string? output, IReadOnlyList<string> adapters, bool recompute)
    {
        string verb = Verb(parsed);
        if (parsed.GetValue(_merge))
        {
            var records = ShardRecords.Read(output ?? throw new UsageException("Shards are merged in the folder that they were given with --out."), verb);
            return new ShardChoice(records.First.Adapters, null, records);
        }

        IReadOnlyList<string> roots = AdapterList.Expand(adapters, Console.In);
        if (parsed.GetValue(_shard) is not { } text) return new ShardChoice(roots, null, null);
        if (recompute) throw new UsageException($"{ShardName} and --fresh exclude each other: shards build on what is on record. Give another --out and --cache, or empty them.");
        string[] tokens = [.. parsed.Tokens.Where(t => t.Type != TokenType.Command).Select(t => t.Value)];
        string[] arguments = [verb, .. Without(tokens, [ShardName], [])];

        // The record of a shard keeps the command line, for everybody who can read the folder.
        if (arguments.FirstOrDefault(a => Uri.TryCreate(a, UriKind.Absolute, out Uri? uri) && uri.UserInfo.Length > 0) != null)
            throw new UsageException($"An address with a user name or a password would be kept in the records of shards; give it without, and the credentials in the environment (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD).");
        return new ShardChoice(
            roots, new ShardWork(Shard.Parse(text, Environment.GetEnvironmentVariable), verb, arguments, [.. Without(arguments, OfTheMachine, Switches)], roots) { Output = output }, null);
    }

    /// <summary>The arguments that merge what the shards of a record have measured into a folder.</summary>
    internal static string[] ToMerge(ShardRecord record, string output)
    {
        string[] arguments = [.. Without(record.Arguments, ["--out", "-o"], [])];
        return [.. arguments, "--out", output, MergeName];
    }

    /// <summary>The command that runs a shard of a record again.</summary>
    internal static string ToRun(ShardRecord record, int shard) =>
        string.Join(' ', ["emscan", .. record.Arguments.Select(Quoted), ShardName, $"{shard}/{record.Count}"]);

    private static string Verb(ParseResult parsed) => parsed.CommandResult.Command is RootCommand ? "scan" : parsed.CommandResult.Command.Name;

    private static IEnumerable<string> Without(IReadOnlyList<string> tokens, string[] withValue, string[] switches)
    {
        for (int i = 0; i < tokens.Count; i++)
        {
            if (withValue.Contains(tokens[i])) i++;
            else if (!switches.Contains(tokens[i])) yield return tokens[i];
        }
    }

    private static string Quoted(string argument) =>
        argument.Length > 0 && argument.All(c => char.IsLetterOrDigit(c) || "-_./=,:@+%".Contains(c)) ? argument : $"'{argument.Replace("'", "'\\''")}'";
}

/// <summary>A choice among all of the work, a share of it, and a merge.</summary>
/// <param name="Adapters">The paths of adapters, lists read.</param>
/// <param name="Work">The share, or null.</param>
/// <param name="Records">What is merged, or null.</param>
internal sealed record ShardChoice(IReadOnlyList<string> Adapters, ShardWork? Work, ShardRecords? Records)
{
    /// <summary>The request of this choice.</summary>
    internal ScanRequest Apply(ScanRequest request) => request with { Shared = Work, Merged = Records, Recompute = request.Recompute && Records == null };

    /// <summary>What a shard says when it has done its share.</summary>
    internal string Done(int own, int all, string what, int dangerous, int failed, string? output) =>
        $"Shard {Work!.Shard}: {own} of {all} {what} {(own == 1 ? "is" : "are")} this shard's and done{(dangerous > 0 ? $", {dangerous} dangerous" : "")}{(failed > 0 ? $", {failed} not measured" : "")}. "
        + (output != null ? $"When all shards are done: emscan merge {output}" : "The cache has them: the same command without --shard concludes from there.");
}
