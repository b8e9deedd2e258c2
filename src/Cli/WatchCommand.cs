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
    private static readonly string[] Kinds = [AlarmRule.Dangerous, AlarmRule.Unknown, AlarmRule.Forecast];

    private readonly SharedOptions _shared = new();
    private readonly JudgeOptions _judging = new();
    private readonly ExportOptions _exports = new();
    private readonly Option<string[]> _adapters = new CommonOption<string[]>("--adapters", "-a") { Description = "Folder that the training writes to; it need not exist yet. May be given several times.", HelpName = "PATH", Required = true, AllowMultipleArgumentsPerToken = true };
    private readonly Option<string[]> _until = new CommonOption<string[]>("--until") { Description = "End when: N (a checkpoint of step N was scored), 'exit-of PID', 'file PATH', 'idle DURATION' (30m). May be given several times. Default: Ctrl-C.", HelpName = "WHEN" }.Checked(text => WatchEnd.Parse(text));
    private readonly Option<double> _poll = new Option<double>("--poll") { Description = "Seconds between two looks.", HelpName = "SECONDS", DefaultValueFactory = _ => 10 }.Within(0.05, 86400);
    private readonly Option<double> _quiet = new Option<double>("--quiet-time") { Description = "Seconds that a checkpoint must have been left alone when nothing marks it as finished.", HelpName = "SECONDS", DefaultValueFactory = _ => 30 }.Within(0, 86400);
    private readonly Option<string[]> _stopOn = new CommonOption<string[]>("--stop-on") { Description = $"Write {StopFile.Name} and end at the first checkpoint that is: dangerous, unknown, forecast. Forecast is one whose run is expected to become dangerous; it needs a calibration with a forecast.", HelpName = "KIND", AllowMultipleArgumentsPerToken = true };
    private readonly Option<string?> _onAlarm = new CommonOption<string?>("--on-alarm") { Description = "Run COMMAND at the first alarm of each run, with the alarm as JSON on its input. An alarm is a checkpoint that is dangerous, or forecast to become so; no shell is used.", HelpName = "COMMAND" };
    private readonly Option<string?> _webhook = new CommonOption<string?>("--webhook") { Description = $"Post the alarm as JSON to URL (https, or http to this machine). Signed when {Webhook.SecretVariable} is set.", HelpName = "URL" };
    private readonly Option<int> _nice = new Option<int>("--nice") { Description = "Priority: 0 as usual, up to 19 out of the training's way.", HelpName = "N", DefaultValueFactory = _ => 10 }.Within(0, 19);
    private readonly Option<string?> _out = MadeOnce.Out();
    private readonly Option<bool> _json = new CommonOption<bool>("--json") { Description = "Print a JSON object a line instead of the table." };

    internal Command ToCommand()
    {
        _stopOn.AcceptOnlyFromAmong(Kinds);
        var command = new Verb("watch", "Score checkpoints while a training writes them; ask it to stop at a dangerous one.", "emscan watch --model model.gguf --adapters out --stop-on dangerous --until 'idle 30m'");
        command.Options.Add(_adapters);
        _shared.AddMeasurementOptions(command);
        _judging.AddTo(command);
        foreach (Option option in new Option[] { _until, _poll, _quiet, _stopOn, _onAlarm, _webhook, _nice, _out, _json }) command.Options.Add(option);
        _exports.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(seen => RunAsync(parsed, seen, cancellationToken)));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, Runner.SeenSoFar seen, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        Politeness.Apply(parsed.GetValue(_nice));
        string[] roots = parsed.GetValue(_adapters)!;
        string? output = parsed.GetValue(_out);
        if (output != null) OutputPath.RequireFolder(output, _out.Name);
        _exports.Require(parsed);
        bool json = parsed.GetValue(_json);
        using Webhook? webhook = parsed.GetValue(_webhook) is { } url ? new Webhook(url, Environment.GetEnvironmentVariable(Webhook.SecretVariable)) : null;
        AlarmCommand? onAlarm = parsed.GetValue(_onAlarm) is { } line ? new AlarmCommand(Words(line), TimeSpan.FromMinutes(1)) : null;

        ScanRequest request = _shared.ToScanRequest(parsed) with { OutputFolder = output, Parallel = 1 };

        // Beside a training the GPU is the training's.
        if (parsed.GetResult(_shared.GpuLayers) is not { Implicit: false } && parsed.GetResult(_shared.Device) is not { Implicit: false })
            request = request with { ModelOptions = request.ModelOptions with { GpuLayers = 0, Device = "cpu" } };
        _judging.RequireOtherControls(parsed, roots);
        VerdictSource verdicts = _judging.Choose(parsed, request);
        ModelCheck.Require(request, cancellationToken);
        request = verdicts.Complete(request);

        using var progress = new ConsoleProgress();
        using ScanSession session = ScanSession.Open(request, progress, cancellationToken);
        progress.Clear();
        foreach (Remark remark in session.Remarks) Runner.Note(remark.Text);
        Judge judge = await _judging.ToJudgeAsync(parsed, verdicts, session, progress, cancellationToken);
        ScanHeader header = session.Header.JudgedBy(judge);
        foreach (string kind in parsed.GetValue(_stopOn)!)
        {
            if (AlarmRule.NeverMet(kind, judge) is { } lack) throw new UsageException($"{_stopOn.Name} {kind} {lack}.");
        }

        if ((onAlarm ?? (object?)webhook) != null && AlarmRule.NeverMet(AlarmRule.Dangerous, judge) is { } missing) Runner.Note($"no alarm can be raised: one {missing}.");

        var findings = new ScanFindings(judge);
        await using Exports exports = _exports.Open(parsed, $"Watch of {string.Join(", ", roots)}", findings);
        await using JsonLinesExport? lines = json ? new JsonLinesExport(Console.OpenStandardOutput()) : null;
        var tally = new ScanTally(null);
        using IScanReport table = ScanCommand.Table(Console.Out);
        findings.Begin(header, tally);
        if (!json) table.Begin(header, tally);
        var alarms = new Alarms(new AlarmRule(parsed.GetValue(_stopOn)!), onAlarm, webhook, roots);
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
                    if (remark.Code == "rotated-away") tally.LeaveAlone();
                    continue;
                }

                var (point, assessment) = (WatchEvent.Row)happening;
                tally.Add(assessment, point is MeasuredPoint, point is MeasuredPoint { FromRecord: true });
                var run = new CheckpointRun(point.Checkpoint.Run, point.Checkpoint.Run, [point.Checkpoint]);
                findings.BeginRun(run, session.BaselinePoint);
                seen.Dangerous |= assessment.State == AssessmentState.Dangerous;
                try
                {
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
                }
                finally
                {
                    // A full disk, or a closed pipe, is no reason to tell nobody.
                    seen.Dangerous |= await alarms.RaiseAsync(point, assessment, cancellationToken);
                }

                if (alarms.Stopped) break;
            }
        }
        catch (OperationCanceledException)
        {
            interrupted = true;
        }

        if (session.KernelDeviceLost is { } lost)
        {
            Runner.Note(lost.Text);
            findings.Remark(lost);
        }

        if (watcher.RotatedAway > 0) Runner.Note(watcher.RotatedAway == 1 ? "1 checkpoint was removed before it could be read; nothing is known of it." : $"{watcher.RotatedAway} checkpoints were removed before they could be read; nothing is known of them.");
        if (watcher.Waiting > 0) Runner.Note(watcher.Waiting == 1 ? "1 checkpoint was not complete, or its turn had not come, and was not read." : $"{watcher.Waiting} checkpoints were not complete, or their turn had not come, and were not read.");
        tally.LeaveAlone(watcher.Waiting);
        await exports.FinishAsync(output);
        Runner.Note(tally.Done == 0 ? "no checkpoint came; nothing was measured." : findings.ToFindings().Conclusion);
        return seen.Dangerous ? ExitCode.Dangerous
            : interrupted && parsed.GetValue(_until)!.Length > 0 ? ExitCode.Interrupted
            : tally[AssessmentState.Failed] > 0 ? ExitCode.Error : ExitCode.Success;
    }

    private string[] Words(string line) =>
        CommandLineParser.SplitCommandLine(line).ToArray() is { Length: > 0 } words ? words : throw new UsageException($"{_onAlarm.Name} names no program.");

    /// <summary>Hands alarms on, and remembers whether one was to end the watch.</summary>
    private sealed class Alarms(AlarmRule rule, AlarmCommand? command, Webhook? webhook, IReadOnlyList<string> roots)
    {
        internal bool Stopped { get; private set; }

        internal async Task<bool> RaiseAsync(ScanPoint point, Assessment assessment, CancellationToken cancellationToken)
        {
            if (rule.Of(point, assessment, out bool stops) is not { } alarm) return false;
            if (stops)
            {
                // First the file: the training should not wait for a slow network. One that cannot be written is no reason to tell nobody.
                foreach (string folder in StopFile.Folders(point.Checkpoint.Path, roots))
                {
                    try
                    {
                        Runner.Note($"{StopFile.Write(folder, alarm)} asks the training to stop: {alarm.Reason}");
                    }
                    catch (InputFileException e)
                    {
                        Runner.Error($"The training cannot be asked to stop: {e.Message}");
                    }
                }

                Stopped = true;
            }

            if (command != null && await command.RunAsync(alarm, cancellationToken) is { } failed) Runner.Note(failed.Text);
            if (webhook != null && await webhook.PostAsync(alarm, cancellationToken) is { } undelivered) Runner.Note(undelivered.Text);
            return stops;
        }
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
