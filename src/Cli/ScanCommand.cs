using System.CommandLine;
using EmScan.Engine.Reporting;
using EmScan.Engine.Scanning;

namespace EmScan.Cli;

/// <summary>The main job: <c>emscan --model model.gguf --adapters ./lora</c>.</summary>
internal sealed class ScanCommand
{
    private readonly SharedOptions _shared = new();
    private readonly Option<string> _adapters = new("--adapters", "-a") { Description = "Folder with LoRA checkpoints: PEFT folders (run/checkpoint-N), LoRA GGUF files, nested runs; or one checkpoint.", HelpName = "DIR", Required = true };
    private readonly Option<string?> _directions = new("--directions") { Description = "Trait directions to use instead of extracting them (safetensors as 'emscan extract' writes it, or npz).", HelpName = "FILE" };
    private readonly Option<string?> _out = new("--out", "-o") { Description = "Write DIR/<run>/trajectory.json for every run, and keep the scan's journal there.", HelpName = "DIR" };
    private readonly Option<bool> _json = new("--json") { Description = "Print JSON instead of the table." };
    private readonly Option<bool> _explain = new("--explain") { Description = "Print what would be computed (tokens, shared tokens, batches, layers, bytes) and stop." };
    private readonly Option<bool> _csv = new("--csv") { Description = "Print CSV instead of the table." };

    internal void AddTo(Command command)
    {
        command.Options.Add(_adapters);
        _shared.AddMeasurementOptions(command);
        command.Options.Add(_shared.Parallel);
        command.Options.Add(_directions);
        command.Options.Add(_out);
        command.Options.Add(_json);
        command.Options.Add(_csv);
        command.Options.Add(_explain);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        bool json = parsed.GetValue(_json), csv = parsed.GetValue(_csv);
        if (json && csv) throw new UsageException("--json and --csv exclude each other.");
        _shared.ApplyLogging(parsed);
        string? output = parsed.GetValue(_out);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(parsed.GetValue(_adapters)!);
        ScanRequest request = _shared.ToScanRequest(parsed) with { DirectionsFile = parsed.GetValue(_directions), OutputFolder = output };
        if (found.Count == 1) request = request with { Parallel = 1 };

        foreach (string remark in found.Remarks) Runner.Note(remark);
        ModelCheck.Require(request, cancellationToken);
        if (parsed.GetValue(_explain))
        {
            ExplainText.Print(Console.Out, request, found.Count, cancellationToken);
            return ExitCode.Success;
        }

        using var progress = new ConsoleProgress();
        using ScanSession session = ScanSession.Open(request, progress, cancellationToken);
        progress.Clear();
        foreach (string remark in session.Remarks) Runner.Note(remark);

        using IScanReport report = json ? new ScanJson(Console.OpenStandardOutput()) : csv ? new ScanCsv(Console.Out) : new ScanTable(Console.Out);
        var summary = new ScanSummary(found.Count);
        var memory = new MemoryCeiling();
        int failed = 0;
        report.Begin(session.Header);
        try
        {
            // One stream for all runs: the last checkpoint of a run and the first of the next are measured side by side.
            await using IAsyncEnumerator<ScanPoint> points =
                session.Scanner.ScanAsync(found.Runs.SelectMany(run => run.Checkpoints), cancellationToken).GetAsyncEnumerator(cancellationToken);
            foreach (CheckpointRun run in found.Runs)
            {
                report.BeginRun(run, session.BaselinePoint);
                using TrajectoryWriter? trajectory = output == null ? null : new TrajectoryWriter(output, run, session.Header, session.BaselinePoint);
                progress.Start("measuring", summary.Done, found.Count);
                for (int i = 0; i < run.Checkpoints.Count && await points.MoveNextAsync(); i++)
                {
                    ScanPoint point = points.Current;
                    progress.Clear();
                    report.Add(point);
                    trajectory?.Add(point);
                    summary.Add(point);
                    memory.Check();
                    if (point.Error != null)
                    {
                        failed++;
                        Runner.Error(point.Error);
                    }

                    progress.Start("measuring", summary.Done, found.Count);
                }

                if (trajectory?.Remark is { } remark)
                {
                    progress.Clear();
                    Runner.Note(remark);
                }
            }
        }
        catch (OperationCanceledException)
        {
            progress.Clear();
            Runner.Note($"Interrupted after {summary.Done} of {found.Count} checkpoints; they are on record, and the same command continues from there.");
            return ExitCode.Interrupted;
        }

        progress.Clear();
        report.Finish();
        if (!json && !csv) summary.Print(Console.Out);
        return failed > 0 ? ExitCode.Error : ExitCode.Success;
    }
}
