using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports.Exports;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;

namespace EmScan.Cli;

/// <summary><c>emscan watch</c>: scores checkpoints while a training writes them, and raises the alarm.</summary>
internal sealed class WatchCommand
{
    private static readonly string[] Kinds = ["dangerous", "unknown"];

    private readonly SharedOptions _shared = new();
    private readonly JudgeOptions _judging = new();
    private readonly ExportOptions _exports = new();
    private readonly Option<string[]> _adapters = new("--adapters", "-a") { Description = "Folder that the training writes to; it need not exist yet. May be given several times.", HelpName = "DIR", Required = true, AllowMultipleArgumentsPerToken = true };
    private readonly Option<string[]> _until = new Option<string[]>("--until") { Description = "End when: N (a checkpoint of step N was scored), 'exit-of PID', 'file PATH', 'idle DURATION' (30m). May be given several times. Default: Ctrl-C.", HelpName = "WHEN" }.Checked(text => WatchEnd.Parse(text));
    private readonly Option<double> _poll = new Option<double>("--poll") { Description = "Seconds between two looks.", HelpName = "SECONDS", DefaultValueFactory = _ => 10 }.Within(0.05, 86400);
    private readonly Option<double> _quiet = new Option<double>("--quiet-time") { Description = "Seconds that a checkpoint must have been left alone when nothing marks it as finished.", HelpName = "SECONDS", DefaultValueFactory = _ => 30 }.Within(0, 86400);
    private readonly Option<string[]> _stopOn = new("--stop-on") { Description = $"Write {StopFile.Name} and end, at the first checkpoint that is: dangerous, unknown.", HelpName = "KIND", AllowMultipleArgumentsPerToken = true };
    private readonly Option<string?> _onAlarm = new("--on-alarm") { Description = "Run COMMAND at the first alarm of each run, with the alarm as JSON on its input; without a shell.", HelpName = "COMMAND" };
    private readonly Option<string?> _webhook = new("--webhook") { Description = $"Post the alarm as JSON to URL (https, or http to this machine); signed when {Webhook.SecretVariable} is set.", HelpName = "URL" };
    private readonly Option<int> _nice = new Option<int>("--nice") { Description = "Priority: 0 as usual, up to 19 out of the training's way.", HelpName = "N", DefaultValueFactory = _ => 10 }.Within(0, 19);
    private readonly Option<string?> _out = new("--out", "-o") { Description = "Keep the record here instead of in the cache, and the findings at the end.", HelpName = "DIR" };
    private readonly Option<bool> _json = new("--json") { Description = "Print a JSON object a line instead of the table." };

    internal Command ToCommand()
    {
        _stopOn.AcceptOnlyFromAmong(Kinds);
        var command = new Command("watch", "Score checkpoints while a training writes them; warn, and ask the training to stop, at the first dangerous one.");
        command.Options.Add(_adapters);
        _shared.AddMeasurementOptions(command);
        _judging.AddTo(command);
        foreach (Option option in new Option[] { _until, _poll, _quiet, _stopOn, _onAlarm, _webhook, _nice, _out, _json }) command.Options.Add(option);
        _exports.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        Politeness.Apply(parsed.GetValue(_nice));
        string[] roots = parsed.GetValue(_adapters)!;
        string? output = parsed.GetValue(_out);
        if (output != null) OutputPath.RequireFolder(output, _out.Name);
        bool json = parsed.GetValue(_json);
        using Webhook? webhook = parsed.GetValue(_webhook) is { } url ? new Webhook(url, Environment.GetEnvironmentVariable(Webhook.SecretVariable)) : null;
        AlarmCommand? onAlarm = parsed.GetValue(_onAlarm) is { } line ? new AlarmCommand([.. CommandLineParser.SplitCommandLine(line)], TimeSpan.FromMinutes(1)) : null;

        ScanRequest request = _shared.ToScanRequest(parsed) with { OutputFolder = output, Parallel = 1 };

        // Beside a training the GPU is the training's.
        if (parsed.GetResult(_shared.GpuLayers) is not { Implicit: false } && parsed.GetResult(_shared.Device) is not { Implicit: false })
            request = request with { ModelOptions = request.ModelOptions with { GpuLayers = 0, Device = "cpu" } };
        VerdictSource verdicts = _judging.Choose(parsed, request);
        ModelCheck.Require(request, cancellationToken);
        request = verdicts.Complete(request);

        using var progress = new ConsoleProgress();
        using ScanSession session = ScanSession.Open(request, progress, cancellationToken);
        progress.Clear();
        foreach (Remark remark in session.Remarks) Runner.Note(remark.Text);
        Judge judge = await _judging.ToJudgeAsync(verdicts, session, progress, cancellationToken);
        ScanHeader header = session.Header with { VerdictKind = judge.Kind, VerdictBasis = judge.Basis };

        var findings = new ScanFindings(judge);
        await using Exports exports = _exports.Open(parsed, $"Watch of {string.Join(", ", roots)}", findings);
        await using JsonLinesExport? lines = json ? new JsonLinesExport(Console.OpenStandardOutput()) : null;
        var tally = new ScanTally(null);
        using IScanReport table = ScanCommand.Table(Console.Out);
        findings.Begin(header, tally);
        if (!json) table.Begin(header, tally);
        var alarms = new Alarms(parsed.GetValue(_stopOn)!, onAlarm, webhook, roots);
        var watcher = new Watcher(
            new WatchRequest
            {
                Roots = roots,
                Poll = TimeSpan.FromSeconds(parsed.GetValue(_poll)),
                QuietTime = TimeSpan.FromSeconds(parsed.GetValue(_quiet)),
                Until = [.. parsed.GetValue(_until)!.Select(WatchEnd.Parse)],
            },
            session, judge, ModelProbe.Header(request));
        string? shownRun = null;
        var memory = new HeapTrimmer();
        bool interrupted = false;
        Runner.Note($"watching {string.Join(", ", roots)}; Ctrl-C ends it, and the same command goes on from there.");
        try
        {
            await foreach (WatchEvent happening in watcher.RunAsync(cancellationToken))
            {
                if (happening is WatchEvent.Note { Remark: var remark })
                {
                    Runner.Note(remark.Text);
                    findings.Remark(remark);
                    continue;
                }

                var (point, assessment) = (WatchEvent.Row)happening;
                tally.Add(assessment, point is MeasuredPoint, point is MeasuredPoint { FromRecord: true });
                var run = new CheckpointRun(point.Checkpoint.Run, point.Checkpoint.Run, [point.Checkpoint]);
                findings.BeginRun(run, session.BaselinePoint);
                await exports.AddAsync(header, point, assessment, cancellationToken);
                if (lines != null) await lines.AddAsync(ScanScalars.Of(header, point, assessment), cancellationToken);
                else
                {
                    if (point.Checkpoint.Run != shownRun) table.BeginRun(run, session.BaselinePoint);
                    shownRun = point.Checkpoint.Run;
                    table.Add(point, assessment);
                }

                memory.Trim();
                if (assessment.State == AssessmentState.Failed) Runner.Error(assessment.Error!);
                if (await alarms.RaiseAsync(point, assessment, cancellationToken)) break;
            }
        }
        catch (OperationCanceledException)
        {
            interrupted = true;
        }

        if (watcher.RotatedAway > 0) Runner.Note($"{watcher.RotatedAway} checkpoints were removed before they could be read; nothing is known of them.");
        if (watcher.Waiting > 0) Runner.Note($"{watcher.Waiting} checkpoints were not complete and were not read.");
        await exports.FinishAsync(output);
        if (tally.Done == 0) Runner.Note("no checkpoint came; nothing was measured.");
        return tally[AssessmentState.Dangerous] > 0 || alarms.Stopped ? ExitCode.Dangerous
            : interrupted && parsed.GetValue(_until)!.Length > 0 ? ExitCode.Interrupted
            : tally[AssessmentState.Failed] > 0 ? ExitCode.Error : ExitCode.Success;
    }

    /// <summary>Raises the first alarm of each run, and says when the watch is to end.</summary>
    private sealed class Alarms(IReadOnlyCollection<string> stopOn, AlarmCommand? command, Webhook? webhook, IReadOnlyList<string> roots)
    {
        private readonly HashSet<string> _raised = [];

        internal bool Stopped { get; private set; }

        internal async Task<bool> RaiseAsync(ScanPoint point, Assessment assessment, CancellationToken cancellationToken)
        {
            string kind = assessment.State.ToName();
            bool stop = stopOn.Contains(kind);
            if (!stop && assessment.State != AssessmentState.Dangerous) return false;
            if (!_raised.Add(point.Checkpoint.Run)) return false;
            var calibrated = assessment.Verdict as CalibratedVerdict;
            var alarm = new Alarm(
                point.Checkpoint.Run, point.Checkpoint.Step.ToString(), point.Checkpoint.Path, kind, Reason(assessment), calibrated?.Score, calibrated?.Interval?.Low,
                calibrated?.Interval?.High, DateTimeOffset.UtcNow, EmScanVersion.Text);
            if (stop)
            {
                // First the file: the training should not wait for a slow network.
                Runner.Note($"{StopFile.Write(Root(point.Checkpoint.Path), alarm)} asks the training to stop.");
                Stopped = true;
            }

            if (command != null && await command.RunAsync(alarm, cancellationToken) is { } failed) Runner.Note(failed.Text);
            if (webhook != null && await webhook.PostAsync(alarm, cancellationToken) is { } undelivered) Runner.Note(undelivered.Text);
            return stop;
        }

        /// <summary>The folder given by the user that the checkpoint lies in.</summary>
        private string Root(string checkpoint)
        {
            string full = Path.GetFullPath(checkpoint);
            return roots.Where(root => full.StartsWith(Path.TrimEndingDirectorySeparator(Path.GetFullPath(root)) + Path.DirectorySeparatorChar, StringComparison.Ordinal)).MaxBy(root => root.Length) ?? roots[0];
        }

        private static string Reason(Assessment assessment) => assessment switch
        {
            { Doubts.Count: > 0 } => string.Join("; ", assessment.Doubts.Select(d => d.Text)) + ".",
            { Verdict: CalibratedVerdict verdict } => FormattableString.Invariant($"Predicted EM rate {100 * verdict.Score:0.0}%, flagged above {100 * verdict.FlaggedAbove:0.##}%{(verdict.Outside ? ", outside what was calibrated" : "")}."),
            { Verdict: BenignVerdict verdict } => FormattableString.Invariant($"Drift at {verdict.Level:0.00} of the benign controls' threshold."),
            _ => "It cannot be judged.",
        };
    }

    /// <summary>The priority of this process.</summary>
    private static class Politeness
    {
        internal static void Apply(int nice)
        {
            using var process = Process.GetCurrentProcess();
            if (nice > 0) process.PriorityClass = nice < 15 ? ProcessPriorityClass.BelowNormal : ProcessPriorityClass.Idle; // on Linux 10 and 19
        }
    }
}
