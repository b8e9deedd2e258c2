using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary>The main job: <c>emscan --model model.gguf --adapters ./lora</c>.</summary>
internal sealed class ScanCommand
{
    private readonly SharedOptions _shared = new();
    private readonly JudgeOptions _judging = new();
    private readonly ExportOptions _exports = new();
    private readonly ShardOptions _shards = new();
    private readonly Option<string[]> _adapters = MadeOnce.Adapters();
    private readonly Option<string?> _directions = MadeOnce.Directions();
    private readonly Option<string?> _out = MadeOnce.Out();
    private readonly Option<bool> _strict = new CommonOption<bool>("--strict") { Description = "Exit code 3 also when a checkpoint is unknown. That is: not flagged, but nothing can be ruled out (outside the calibrated range, mostly out of the measured layer's sight, incomplete)." };
    private readonly Option<bool> _json = MadeOnce.Json();
    private readonly Option<bool> _explain = MadeOnce.Explain();
    private readonly Option<bool> _csv = MadeOnce.Csv();

    internal void AddTo(Command command)
    {
        _adapters.Required = true;
        command.Options.Add(_adapters);
        _shared.AddMeasurementOptions(command);
        command.Options.Add(_shared.Parallel);
        command.Options.Add(_directions);
        _judging.AddTo(command);
        command.Options.Add(_strict);
        command.Options.Add(_out);
        command.Options.Add(_json);
        command.Options.Add(_csv);
        command.Options.Add(_explain);
        _exports.AddTo(command);
        _shards.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(seen => RunAsync(parsed, seen, cancellationToken)));
    }

    private async Task<int> RunAsync(ParseResult parsed, Runner.SeenSoFar seen, CancellationToken cancellationToken)
    {
        bool json = parsed.GetValue(_json), csv = parsed.GetValue(_csv);
        if (json && csv) throw new UsageException("--json and --csv exclude each other.");
        _shared.ApplyLogging(parsed);
        string? output = parsed.GetValue(_out);
        if (output != null) OutputPath.RequireFolder(output, _out.Name);
        _exports.Require(parsed);
        ShardChoice choice = _shards.Choose(parsed, output, parsed.GetValue(_adapters)!, parsed.GetValue(_shared.Fresh));
        _judging.RequireOtherControls(parsed, choice.Adapters);
        DiscoveredCheckpoints found = CheckpointDiscovery.Find(choice.Adapters);
        ScanRequest request = choice.Apply(_shared.ToScanRequest(parsed) with { DirectionsFile = parsed.GetValue(_directions), OutputFolder = output });
        if (found.Count == 1) request = request with { Parallel = 1 };
        VerdictSource verdicts = _judging.Choose(parsed, request);

        foreach (Remark remark in found.Remarks) Runner.Note(remark.Text);
        if (choice.Work != null && !parsed.GetValue(_explain)) return await RunShareAsync(parsed, choice, found, request, verdicts, cancellationToken);
        var census = AdapterCensus.Take(found, ModelProbe.Header(request), cancellationToken);
        foreach (Remark remark in census.Remarks) Runner.Note(remark.Text);
        if (census.Unusable.Count == found.Count) return NothingToMeasure(census, found, request.Model, json);
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
        foreach (Remark remark in session.Remarks) Runner.Note(remark.Text);

        Judge judge = await _judging.ToJudgeAsync(parsed, verdicts, session, progress, cancellationToken);
        session.RequireOnRecord(found);

        using TextWriter text = Terminal.OutputColumns is { } columns ? new WrappingWriter(Console.Out, columns) : Console.Out;
        using IScanReport report = json ? new ScanJson(Console.OpenStandardOutput()) : csv ? new ScanCsv(Console.Out) : Table(text);
        var tally = new ScanTally(found.Count, found.Skipped.Count);
        var summary = new ScanSummary(tally, judge, choice.Records?.Count);
        var assessor = new Assessor(judge, census, session.Header.Layer, session.Header.LayerCount, session.Survey);
        var memory = new HeapTrimmer();
        var failures = new FailureList();
        ScanHeader header = session.Header.JudgedBy(judge);
        report.Begin(header, tally);
        var findings = new ScanFindings(judge);
        findings.Begin(header, tally);
        foreach (Remark remark in found.Remarks.Concat(census.Remarks)) findings.Remark(remark);
        await using Exports exports = _exports.Open(parsed, $"Scan of {string.Join(", ", parsed.GetValue(_adapters)!)}", findings);
        try
        {
            // One stream for all runs: the last checkpoint of a run and the first of the next are measured side by side.
            await using IAsyncEnumerator<ScanPoint> points =
                session.Scanner.ScanAsync(found.Runs.SelectMany(run => run.Checkpoints), cancellationToken).GetAsyncEnumerator(cancellationToken);
            foreach (CheckpointRun run in found.Runs)
            {
                report.BeginRun(run, session.BaselinePoint);
                findings.BeginRun(run, session.BaselinePoint);
                TrajectoryWriter? trajectory = output == null ? null : new TrajectoryWriter(output, run, header, session.BaselinePoint);
                try
                {
                    progress.Start("measuring", tally.Done, found.Count);
                    for (int i = 0; i < run.Checkpoints.Count && await points.MoveNextAsync(); i++)
                    {
                        ScanPoint point = points.Current;
                        progress.Clear();
                        Assessment assessment = session.Assess(point, assessor);
                        tally.Add(assessment, point is MeasuredPoint, point is MeasuredPoint { FromRecord: true });
                        seen.Dangerous |= assessment.State == AssessmentState.Dangerous;
                        report.Add(point, assessment);
                        trajectory?.Add(point, assessment);
                        summary.Add(point, assessment);
                        await exports.AddAsync(header, point, assessment, cancellationToken);
                        memory.Trim();
                        if (point is FailedPoint { Skipped: { } skipped }) Runner.Note(skipped.Text);
                        if (assessment.State == AssessmentState.Failed) failures.Add(point.Checkpoint, assessment.Error!);
                        progress.Start("measuring", tally.Done, found.Count);
                    }
                }
                catch
                {
                    progress.Clear();
                    WriteBroken(trajectory);
                    throw;
                }

                trajectory?.Write();
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
            failures.Print();
            Runner.Note($"Interrupted after {tally.Done} of {found.Count} checkpoints; they are on record, and the same command continues from there.");
            return ExitCode.Interrupted;
        }

        progress.Clear();
        if (session.KernelDeviceLost is { } lost)
        {
            Runner.Note(lost.Text);
            findings.Remark(lost);
        }

        report.Finish();
        if (!json && !csv) summary.Print(text);
        failures.Print();
        await exports.FinishAsync(output);
        return tally[AssessmentState.Dangerous] > 0 || (parsed.GetValue(_strict) && tally[AssessmentState.Unknown] > 0) ? ExitCode.Dangerous
            : failures.Count > 0 ? ExitCode.Error : ExitCode.Success;
    }

    /// <summary>Measures one share of the checkpoints, and shows it. What follows from all of them is for a merge to say.</summary>
    private async Task<int> RunShareAsync(
        ParseResult parsed, ShardChoice choice, DiscoveredCheckpoints found, ScanRequest request, VerdictSource verdicts, CancellationToken cancellationToken)
    {
        DiscoveredCheckpoints share = ShardShares.Of(found, choice.Work!.Shard);
        if (share.Count == 0 && !_judging.HasControls(parsed))
        {
            Console.Out.WriteLine($"Shard {choice.Work.Shard}: none of {found.Count} checkpoints is this shard's.");
            return ExitCode.Success;
        }

        var census = AdapterCensus.Take(share, ModelProbe.Header(request), cancellationToken);
        foreach (Remark remark in census.Remarks) Runner.Note(remark.Text);
        ModelCheck.Require(request, cancellationToken);
        request = verdicts.Complete(request);
        using var progress = new ConsoleProgress();
        using ScanSession session = ScanSession.Open(request, progress, cancellationToken);
        progress.Clear();
        foreach (Remark remark in session.Remarks) Runner.Note(remark.Text);
        Judge judge = await _judging.ToJudgeAsync(parsed, verdicts, session, progress, cancellationToken);
        using TextWriter text = Terminal.OutputColumns is { } columns ? new WrappingWriter(Console.Out, columns) : Console.Out;
        using IScanReport table = Table(text);
        var tally = new ScanTally(share.Count);
        var assessor = new Assessor(judge, census, session.Header.Layer, session.Header.LayerCount, session.Survey);
        var memory = new HeapTrimmer();
        var failures = new FailureList();
        CheckpointRun? shown = null;
        table.Begin(session.Header.JudgedBy(judge), tally);
        try
        {
            await foreach (ScanPoint point in session.Scanner.ScanAsync(share.Runs.SelectMany(run => run.Checkpoints), cancellationToken))
            {
                progress.Clear();
                if (shown?.Name != point.Checkpoint.Run) table.BeginRun(shown = share.Runs.First(run => run.Name == point.Checkpoint.Run), session.BaselinePoint);
                Assessment assessment = session.Assess(point, assessor);
                tally.Add(assessment, point is MeasuredPoint, point is MeasuredPoint { FromRecord: true });
                table.Add(point, assessment);
                memory.Trim();
                if (assessment.State == AssessmentState.Failed) failures.Add(point.Checkpoint, assessment.Error!);
                progress.Start("measuring", tally.Done, share.Count);
            }
        }
        catch (OperationCanceledException)
        {
            progress.Clear();
            failures.Print();
            Runner.Note($"Interrupted after {tally.Done} of {share.Count} checkpoints of this shard; they are on record, and the same command continues from there.");
            return ExitCode.Interrupted;
        }

        progress.Clear();
        session.Shards.End();
        if (session.KernelDeviceLost is { } lost) Runner.Note(lost.Text);
        failures.Print();
        Console.Out.WriteLine();
        Console.Out.WriteLine(choice.Done(share.Count, found.Count, "checkpoints", tally[AssessmentState.Dangerous], failures.Count, request.OutputFolder));
        return ExitCode.Success;
    }

    /// <summary>Writes what there is of a run that has come to no end; what ended it is more important than that this cannot be written.</summary>
    private static void WriteBroken(TrajectoryWriter? trajectory)
    {
        try
        {
            trajectory?.Write();
        }
        catch (InputFileException e)
        {
            Runner.Note(e.Message);
        }
    }

    internal static IScanReport Table(TextWriter text) =>
        Terminal.OutputColumns is < Terminal.WideColumns and var columns ? new NarrowScanTable(text, columns) : new ScanTable(text);

    /// <summary>No checkpoint can be applied to the model: that is known from the headers, so nothing is loaded or computed.</summary>
    private static int NothingToMeasure(AdapterCensus census, DiscoveredCheckpoints found, string model, bool json)
    {
        var failures = new FailureList();
        var tally = new ScanTally(found.Count, found.Skipped.Count);
        foreach (UnusableCheckpoint unusable in census.Unusable)
        {
            failures.Add(unusable.Checkpoint, unusable.Error);
            tally.Add(Assessment.Failed(unusable.Error), measured: false, fromRecord: false);
        }

        if (json)
        {
            using var report = new ScanJson(Console.OpenStandardOutput());
            report.WriteNothingMeasured(model, census.Unusable, tally);
        }

        failures.Print();
        return ExitCode.Error;
    }
}
