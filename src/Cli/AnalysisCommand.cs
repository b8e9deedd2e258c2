using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Running;

namespace EmScan.Cli;

/// <summary>What the verbs of analyses have in common: they load a model, run an analysis and print its findings.</summary>
internal abstract class AnalysisCommand
{
    private readonly SharedOptions _shared = new();
    private readonly Option<string[]> _adapters = new("--adapters", "-a") { Description = "LoRA checkpoints: PEFT folders or LoRA GGUF files; of a folder of runs, the last checkpoint of each. May be given several times.", HelpName = "PATH", Required = true };
    private readonly Option<string?> _directions = new("--directions") { Description = "Trait directions to use instead of extracting them: safetensors as 'emscan extract' writes it, a control vector (GGUF, llama.cpp and repeng), or a folder of these, each a trait.", HelpName = "FILE" };
    private readonly Option<string?> _axis = new("--axis") { Description = "Loadings of the drift axis: a JSON object with a number for each trait.", HelpName = "FILE" };
    private readonly Option<string> _kernelDevice = new("--kernel-device") { Description = "Where second moments and products with the vocabulary are computed: auto (an NVIDIA GPU if there is one and the model is wide enough, else the processor), cpu, cuda:N or opencl:N.", HelpName = "NAME", DefaultValueFactory = _ => KernelDeviceChoice.Auto };
    private readonly Option<string?> _out = new("--out", "-o") { Description = "Keep measurements in this folder instead of the cache.", HelpName = "DIR" };
    private readonly Option<bool> _json = new("--json") { Description = "Print JSON instead of tables." };

    /// <summary>Name and description of the verb, and options of its own.</summary>
    protected abstract Command Describe();

    /// <summary>The analysis that the command line asks for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="context">The model, ready.</param>
    /// <param name="adapters">The checkpoints, at least one.</param>
    protected abstract IAnalysis Analysis(ParseResult parsed, AnalysisContext context, IReadOnlyList<AdapterSource> adapters);

    /// <summary>Checks what can be checked before a model is loaded.</summary>
    /// <exception cref="UsageException">The options make no sense together.</exception>
    protected virtual void Check(ParseResult parsed) { }

    internal Command ToCommand()
    {
        Command command = Describe();
        command.Options.Add(_adapters);
        _shared.AddMeasurementOptions(command, onePlace: false);
        command.Options.Add(_shared.Parallel);
        foreach (Option option in new Option[] { _directions, _axis, _kernelDevice, _out, _json }) command.Options.Add(option);
        command.SetAction((parsed, cancellationToken) => Runner.Run(() => RunAsync(parsed, cancellationToken)));
        return command;
    }

    /// <summary>The seed of everything random.</summary>
    protected int Seed(ParseResult parsed) => parsed.GetValue(_shared.Seed);

    /// <summary>The axis that was given, (K), or null.</summary>
    protected double[]? Axis(ParseResult parsed, AnalysisContext context) =>
        parsed.GetValue(_axis) is { } file ? AnalysisInputs.Axis(file, context.Directions.Traits) : null;

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
        if (!KernelDeviceChoice.IsName(parsed.GetValue(_kernelDevice)!))
            throw new UsageException($"{_kernelDevice.Name} is '{parsed.GetValue(_kernelDevice)}', but must be auto, cpu, cuda:N or opencl:N, N from 0 on.");
        if (parsed.GetValue(_out) is { } output) OutputPath.RequireFolder(output, _out.Name);
        IReadOnlyList<AdapterSource> adapters = Checkpoints(parsed.GetValue(_adapters)!);
        ScanRequest request = _shared.ToScanRequest(parsed) with { DirectionsFile = parsed.GetValue(_directions), OutputFolder = parsed.GetValue(_out) };
        ModelCheck.Require(request, cancellationToken);

        using var progress = new ConsoleProgress();
        using AnalysisSession session = AnalysisSession.Open(request, progress, cancellationToken);
        progress.Clear();
        foreach (Remark remark in session.Remarks) Runner.Note(remark.Text);
        session.Context.KernelDevice = KernelDeviceChoice.Open(
            parsed.GetValue(_kernelDevice)!, session.Context.HiddenSize, session.Context.Header.Threads, DeviceLoader.Open, out Remark? chosen);
        if (chosen != null) Runner.Note(chosen.Text);
        IAnalysis analysis = Analysis(parsed, session.Context, adapters);
        Findings findings;
        try
        {
            findings = await session.RunAsync(analysis, null, progress, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            progress.Clear();
            Runner.Note("Interrupted; what was measured is on record, and the same command continues from there.");
            return ExitCode.Interrupted;
        }

        progress.Clear();
        if (parsed.GetValue(_json)) FindingsJson.Write(Console.OpenStandardOutput(), findings);
        else FindingsText.Write(Console.Out, findings);
        return findings.Verdict == FindingsVerdict.Dangerous ? ExitCode.Dangerous : ExitCode.Success;
    }
}
