using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;

namespace EmScan.Cli;

/// <summary>What the verbs of analyses have in common: they load a model, run an analysis and print its findings.</summary>
internal abstract class AnalysisCommand
{
    private readonly SharedOptions _shared = new();
    private readonly ShardOptions _shards = new();
    private readonly Option<string[]> _adapters = MadeOnce.Adapters();
    private readonly Option<string?> _directions = MadeOnce.Directions();
    private readonly Option<string?> _axis = MadeOnce.Axis();
    private readonly Option<string?> _calibration = MadeOnce.Calibration();
    private readonly KernelDeviceOption _kernelDevice = new("second moments, products with the vocabulary and latents");
    private readonly FindingsOptions _findings = new();
    private IReadOnlyList<string> _given = [];

    /// <summary>Name and description of the verb, and options of its own.</summary>
    protected abstract Command Describe();

    /// <summary>True for verbs that ask about texts and no adapters. They score along a drift axis, and have one context with all threads.</summary>
    protected virtual bool IsOfTexts => false;

    /// <summary>True for verbs whose analysis has a use for the drift axis.</summary>
    protected virtual bool TakesAxis => IsOfTexts;

    /// <summary>The axis that a verb of texts scores along; set when its analysis is asked for.</summary>
    protected ScoreAxis ScoreAxis { get; private set; } = null!;

    /// <summary>The analysis that the command line asks for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="context">The model, ready.</param>
    /// <param name="adapters">The checkpoints, at least one; none for a verb of texts.</param>
    protected abstract IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters);

    /// <summary>What the findings are of, for the title of a report.</summary>
    protected virtual string Subject(ParseResult parsed) => string.Join(", ", parsed.GetValue(_adapters)!);

    /// <summary>Told of work that is done outside of a session.</summary>
    protected IProgress<ScanProgress>? Progress { get; private set; }

    /// <summary>Ends such work.</summary>
    protected CancellationToken Stop { get; private set; }

    /// <summary>What the verb finds where no model was given, of at least one checkpoint; null for verbs that need a model.</summary>
    protected virtual Func<ParseResult, IReadOnlyList<AdapterSource>, Findings>? WithoutModel => null;

    /// <summary>Checks what can be checked before a model is loaded.</summary>
    /// <exception cref="UsageException">The options make no sense together.</exception>
    protected virtual void Check(ParseResult parsed) { }

    /// <summary>Writes what the command line asks for beside the findings.</summary>
    protected virtual void WriteMore(ParseResult parsed, IAnalysis analysis, AnalysisContext context) { }

    internal Command ToCommand()
    {
        Command command = Describe();
        _adapters.Required = true;
        if (!IsOfTexts) command.Options.Add(_adapters);
        _shared.Model.Required = WithoutModel == null;
        _shared.AddMeasurementOptions(command, onePlace: false);
        command.Options.Add(_directions);
        if (TakesAxis) command.Options.Add(_axis);
        command.Options.Add(IsOfTexts ? _calibration : _shared.Parallel);
        if (!IsOfTexts) _kernelDevice.AddTo(command);
        _findings.AddTo(command);
        if (!IsOfTexts) _shards.AddTo(command);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    /// <summary>The seed of everything random.</summary>
    protected int Seed(ParseResult parsed) => parsed.GetValue(_shared.Seed);

    /// <summary>The axis that was given, (K), or null.</summary>
    protected double[]? Axis(ParseResult parsed, AnalysisContext context) =>
        parsed.GetValue(_axis) is { } file ? AnalysisInputs.Axis(file, context.Directions.Traits) : null;

    /// <summary>All checkpoints that were given, by runs, for verbs that ask about the way and not only about its end.</summary>
    protected IEnumerable<CheckpointRun> Runs() => CheckpointDiscovery.Find(_given).Runs;

    /// <summary>The one checkpoint that a path means, or the last one of each run in it.</summary>
    protected static IReadOnlyList<AdapterSource> Checkpoints(IEnumerable<string> paths)
    {
        var adapters = new List<AdapterSource>();
        foreach (string path in paths)
        {
            DiscoveredCheckpoints found = CheckpointDiscovery.Find(path);
            foreach (Remark remark in found.Remarks) Runner.Note(remark.Text);
            foreach (CheckpointRun run in found.Runs)
            {
                adapters.Add(new AdapterSource(run.Checkpoints[^1].Path));
                if (run.Checkpoints.Count > 1) Runner.Note($"{run.Name}: the last of {run.Checkpoints.Count} checkpoints is taken, step {run.Checkpoints[^1].Step}.");
            }
        }

        return [.. adapters.DistinctBy(adapter => Path.GetFullPath(adapter.Path))];
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _shared.ApplyLogging(parsed);
        Check(parsed);
        using var progress = new ConsoleProgress();
        (Progress, Stop) = (progress, cancellationToken);
        if (!IsOfTexts) _kernelDevice.Check(parsed);
        string? folder = _findings.Folder(parsed);

        // What a verb of texts measures next follows from what it has just measured: there is nothing to divide.
        ShardChoice choice = IsOfTexts ? new ShardChoice([], null, null) : _shards.Choose(parsed, folder, parsed.GetValue(_adapters)!, parsed.GetValue(_shared.Fresh));
        _given = choice.Adapters;
        IReadOnlyList<AdapterSource> adapters = IsOfTexts ? [] : Checkpoints(choice.Adapters);
        if (choice.Work != null && parsed.GetValue(_shared.Model) == null) throw new UsageException("--shard divides what is measured; without --model there is nothing to divide.");
        if (WithoutModel is { } withoutModel && parsed.GetValue(_shared.Model) == null)
        {
            Findings found = withoutModel(parsed, adapters);
            progress.Clear();
            return _findings.Give(parsed, Subject(parsed), found);
        }

        ScanRequest request = choice.Apply(_shared.ToScanRequest(parsed) with { DirectionsFile = parsed.GetValue(_directions), OutputFolder = folder });
        ModelCheck.Require(request, cancellationToken);
        AxisSource? axis = IsOfTexts ? AxisSource.Choose(request, parsed.GetValue(_axis), parsed.GetValue(_calibration)) : null;
        if (axis != null) request = axis.Complete(request) with { Parallel = 1 };

        using AnalysisSession session = AnalysisSession.Open(request, progress, cancellationToken);
        progress.Clear();
        foreach (Remark remark in session.Remarks) Runner.Note(remark.Text);
        if (axis != null)
        {
            var remarks = new List<Remark>();
            ScoreAxis = axis.For(session, remarks, cancellationToken);
            foreach (Remark remark in remarks) Runner.Note(remark.Text);
        }
        else
        {
            session.Context.KernelDevice = _kernelDevice.Open(parsed, session.Context.HiddenSize, session.Context.Header.Threads);
        }

        IAnalysis analysis = Analysis(parsed, session.Context, adapters);
        Findings findings;
        try
        {
            if (choice.Work != null)
            {
                (int all, int own, int failed) = await session.RunShareAsync(analysis, progress, cancellationToken);
                progress.Clear();
                Console.Out.WriteLine(choice.Done(own, all, "variants", 0, failed, request.OutputFolder));
                return ExitCode.Success;
            }

            findings = await session.RunAsync(analysis, null, progress, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            progress.Clear();
            Runner.Note("Interrupted; what was measured is on record, and the same command continues from there.");
            return ExitCode.Interrupted;
        }

        progress.Clear();
        WriteMore(parsed, analysis, session.Context);
        return _findings.Give(parsed, Subject(parsed), findings);
    }
}
