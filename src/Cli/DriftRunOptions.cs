using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Cli;

/// <summary>Runs to look at as a whole: adapters of one base model or several, or what scans have written.</summary>
internal sealed class DriftRunOptions
{

    private readonly SharedOptions _shared;
    private readonly Option<string[]> _models = MadeOnce.Models();
    private readonly Option<string[]> _adapters = MadeOnce.Adapters();
    private readonly Option<string[]> _scans = new CommonOption<string[]>("--scan") { Description = "Output folder of a scan ('emscan scan --out DIR'), in place of a model and adapters. May be given several times.", HelpName = "DIR" };
    private readonly Option<int[]> _layers = MadeOnce.Layers();
    private readonly Option<string[]> _exclude = MadeOnce.Exclude();
    private readonly Option<string?> _directions = MadeOnce.Directions();

    internal DriftRunOptions(SharedOptions shared) => _shared = shared;

    internal void AddTo(Command command)
    {
        foreach (Option option in new Option[] { _models, _adapters, _scans, _layers, _exclude, _directions }) command.Options.Add(option);
        _shared.AddMeasurementOptions(command, oneModel: false);
        command.Options.Add(_shared.Parallel);
    }

    /// <summary>What the runs are of, for the title of a report.</summary>
    internal string Title(ParseResult parsed) => string.Join(", ", (parsed.GetValue(_scans) ?? []).Concat(parsed.GetValue(_adapters) ?? []));

    /// <summary>Reads or measures the runs; what is on record is not measured again.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="folder">Where measurements are kept; null for the cache.</param>
    /// <param name="lastOnly">Whether the last checkpoint of each run is enough.</param>
    /// <param name="cancellationToken">Ends it; what was measured is on record.</param>
    internal async Task<IReadOnlyList<DriftScan>> ReadAsync(ParseResult parsed, string? folder, bool lastOnly, CancellationToken cancellationToken)
    {
        string[] models = parsed.GetValue(_models) ?? [], adapters = parsed.GetValue(_adapters) ?? [], folders = parsed.GetValue(_scans) ?? [];
        int[] layers = parsed.GetValue(_layers) ?? [];
        if (models.Length + adapters.Length + folders.Length == 0) throw new UsageException($"Give {_models.Name} and {_adapters.Name}, or {_scans.Name}, the output folder of a scan.");
        if (models.Length == 0 != (adapters.Length == 0)) throw new UsageException($"{_models.Name} and {_adapters.Name} belong together; {(models.Length == 0 ? _models.Name : _adapters.Name)} is missing.");
        if (models.Length > 1 && adapters.Length != models.Length) throw new UsageException($"Give {_models.Name} and {_adapters.Name} equally often; there are {models.Length} and {adapters.Length}.");
        if (layers.Length > 0 && layers.Length != models.Length) throw new UsageException($"Give {_layers.Name} once for each of the {models.Length} models, or not at all.");
        string? directions = parsed.GetValue(_directions);
        if (directions != null && models.Length != 1) throw new UsageException($"{_directions.Name} are of one model; there are {models.Length}.");

        var excluded = new NamePatterns(parsed.GetValue(_exclude) ?? []);
        List<DriftScan> scans = [.. folders.SelectMany(RecordedScan.Read)];
        string[] names = LabelledOptions.Names(models);
        using var progress = new ConsoleProgress();
        for (int i = 0; i < models.Length; i++)
        {
            DiscoveredCheckpoints found = CheckpointDiscovery.Find(AdapterList.Expand(models.Length == 1 ? adapters : [adapters[i]], Console.In));
            foreach (Remark remark in found.Remarks) Runner.Note(remark.Text);
            CheckpointRun[] runs = [.. found.Runs.Where(r => !excluded.Matches(RunName.Split(r.Name).Perturbation, r.Name)).Select(r => lastOnly ? r with { Checkpoints = [r.Checkpoints[^1]] } : r)];
            if (runs.Length == 0) throw new UsageException($"{_exclude.Name} leaves no run of {adapters[i]}.");
            ScanRequest request = _shared.ToScanRequest(parsed, models[i], layers.Length > 0 ? layers[i] : null) with { DirectionsFile = directions, OutputFolder = folder };
            ModelCheck.Require(request, cancellationToken);
            using ScanSession session = ScanSession.Open(request, progress, cancellationToken);
            progress.Clear();
            foreach (Remark remark in session.Remarks) Runner.Note(remark.Text);
            scans.Add(await DriftMeasurement.MeasureAsync(session, names[i], runs, progress, cancellationToken));
            progress.Clear();
        }

        DriftScan[] kept = [.. scans.Select(s => s with { Runs = [.. s.Runs.Where(r => !excluded.Matches(r.Perturbation, r.Name))] }).Where(s => s.Runs.Count > 0)];
        return kept.Length > 0 ? DriftScan.Together(kept) : throw new UsageException($"{_exclude.Name} leaves no run.");
    }
}
