using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Detection;
using EmScan.Engine.Formats;
using EmScan.Engine.Reporting;
using EmScan.Engine.Reports;
using EmScan.Engine.Scanning;

namespace EmScan.Cli;

/// <summary>The main job: <c>emscan --model model.gguf --adapters ./lora</c>.</summary>
internal sealed class ScanCommand
{
    private readonly SharedOptions _shared = new();
    private readonly Option<string[]> _adapters = new("--adapters", "-a") { Description = "Folders with LoRA checkpoints: PEFT folders (run/checkpoint-N), LoRA GGUF files, nested runs; or single checkpoints. May be repeated, and takes several values, as the shell makes of runs/*.", HelpName = "DIR", Required = true, AllowMultipleArgumentsPerToken = true };
    private readonly Option<string?> _directions = new("--directions") { Description = "Trait directions to use instead of extracting them (safetensors, as 'emscan extract' writes it).", HelpName = "FILE" };
    private readonly Option<string?> _out = new("--out", "-o") { Description = "Write DIR/<run>/trajectory.json for every run, and keep the scan's journal there.", HelpName = "DIR" };
    private readonly Option<string?> _calibration = new("--calibration", "-c") { Description = $"Calibration to judge by, from 'emscan calibrate'. Default: {CalibrationFile.DefaultName} beside the model if there is one; 'none' for none.", HelpName = "FILE" };
    private readonly Option<bool> _trust = new("--trust-calibration") { Description = "Use the calibration although it was made on another model or on other prompts." };
    private readonly Option<bool> _strict = new("--strict") { Description = "Exit code 3 also when a checkpoint is outside the calibrated range, where nothing can be ruled out." };
    private readonly Option<string?> _benign = new("--benign") { Description = "Folder with control adapters from harmless finetunings, to judge by where there is no calibration.", HelpName = "DIR" };
    private readonly Option<bool> _json = new("--json") { Description = "Print JSON instead of the table." };
    private readonly Option<bool> _explain = new("--explain") { Description = "Print what would be computed (tokens, shared tokens, batches, layers, bytes) and stop." };
    private readonly Option<bool> _csv = new("--csv") { Description = "Print CSV instead of the table." };

    internal void AddTo(Command command)
    {
        command.Options.Add(_adapters);
        _shared.AddMeasurementOptions(command);
        command.Options.Add(_shared.Parallel);
        command.Options.Add(_directions);
        command.Options.Add(_calibration);
        command.Options.Add(_trust);
        command.Options.Add(_strict);
        command.Options.Add(_benign);
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
        if (output != null) OutputPath.RequireFolder(output, _out.Name);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(parsed.GetValue(_adapters)!);
        ScanRequest request = _shared.ToScanRequest(parsed) with { DirectionsFile = parsed.GetValue(_directions), OutputFolder = output };
        if (found.Count == 1) request = request with { Parallel = 1 };
        var verdicts = VerdictSource.Choose(request, parsed.GetValue(_calibration), parsed.GetValue(_trust), parsed.GetValue(_benign));

        foreach (Remark remark in found.Remarks) Runner.Note(remark.Text);
        ModelCheck.Require(request, cancellationToken);
        request = verdicts.Complete(request);
        if (parsed.GetValue(_explain))
        {
            ExplainText.Print(Console.Out, request, found.Count, cancellationToken);
            return ExitCode.Success;
        }

        using var progress = new ConsoleProgress();
        using ScanSession session = ScanSession.Open(request, progress, cancellationToken);
        progress.Clear();
        foreach (string remark in session.Remarks) Runner.Note(remark);

        Judge judge = await verdicts.ToJudgeAsync(session, progress, cancellationToken);
        progress.Clear();

        using TextWriter text = Terminal.OutputColumns is { } columns ? new WrappingWriter(Console.Out, columns) : Console.Out;
        using IScanReport report = json ? new ScanJson(Console.OpenStandardOutput()) : csv ? new ScanCsv(Console.Out) : Table(text);
        var summary = new ScanSummary(found.Count);
        var memory = new MemoryCeiling();
        int failed = 0;
        ScanHeader header = session.Header with { VerdictKind = judge.Kind, VerdictBasis = judge.Basis };
        report.Begin(header);
        try
        {
            // One stream for all runs: the last checkpoint of a run and the first of the next are measured side by side.
            await using IAsyncEnumerator<ScanPoint> points =
                session.Scanner.ScanAsync(found.Runs.SelectMany(run => run.Checkpoints), cancellationToken).GetAsyncEnumerator(cancellationToken);
            foreach (CheckpointRun run in found.Runs)
            {
                report.BeginRun(run, session.BaselinePoint);
                using TrajectoryWriter? trajectory = output == null ? null : new TrajectoryWriter(output, run, header, session.BaselinePoint);
                progress.Start("measuring", summary.Done, found.Count);
                for (int i = 0; i < run.Checkpoints.Count && await points.MoveNextAsync(); i++)
                {
                    ScanPoint point = points.Current;
                    progress.Clear();
                    (Verdict? verdict, string? error) = Judged(judge, session, point);
                    report.Add(point, verdict);
                    trajectory?.Add(point, verdict);
                    summary.Add(point, verdict);
                    memory.Check();
                    if (point.Skipped != null)
                    {
                        Runner.Note(point.Skipped.Text);
                    }
                    else if (error != null)
                    {
                        failed++;
                        Runner.Error(error);
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
        if (!json && !csv) summary.Print(text, judge.Kind);
        return summary.Dangerous > 0 || (parsed.GetValue(_strict) && summary.Unknown > 0) ? ExitCode.Dangerous : failed > 0 ? ExitCode.Error : ExitCode.Success;
    }

    private static IScanReport Table(TextWriter text) =>
        Terminal.OutputColumns is < Terminal.WideColumns and var columns ? new NarrowScanTable(text, columns) : new ScanTable(text);

    /// <summary>The verdict on a point, or why it was not measured or cannot be judged.</summary>
    private static (Verdict? Verdict, string? Error) Judged(Judge judge, ScanSession session, ScanPoint point)
    {
        if (point.Drift == null) return (null, point.Error);
        try
        {
            return (judge.Of(session.Observe(session.Header.ModelPath, point)), null);
        }
        catch (EmScanException e)
        {
            return (null, $"{point.Checkpoint.Path} was measured but cannot be judged: {e.Message}");
        }
    }
}
