using System.CommandLine;
using EmScan.Engine;
using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring;
using EmScan.Engine.Running;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Cli;

/// <summary>Options of the commands that work on labelled runs, and the measuring of those runs.</summary>
internal sealed class LabelledOptions
{

    internal Option<string[]> Models { get; } = MadeOnce.Models();
    internal Option<string[]> Adapters { get; } = MadeOnce.Adapters();
    internal Option<string[]> Labels { get; } = MadeOnce.Labels();
    internal Option<int[]> Layers { get; } = MadeOnce.Layers();
    internal Option<string[]> Exclude { get; } = MadeOnce.Exclude();
    internal Option<double> Threshold { get; } = MadeOnce.Threshold();

    private readonly SharedOptions _shared;

    internal LabelledOptions(SharedOptions shared)
    {
        _shared = shared;
        Models.Required = Adapters.Required = Labels.Required = true;
    }

    internal void AddTo(Command command, bool onePlace = true)
    {
        foreach (Option option in new Option[] { Models, Adapters, Labels, Layers, Exclude, Threshold }) command.Options.Add(option);
        _shared.AddMeasurementOptions(command, oneModel: false, onePlace);
    }

    internal double ToThreshold(ParseResult parsed) =>
        parsed.GetValue(Threshold) is > 0 and < 1 and var threshold ? threshold : throw new UsageException("--threshold must be between 0 and 1; 0.06 is 6%.");

    /// <summary>Measures the labelled checkpoints of every base model; what is on record is not measured again.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="complete">Fills in what the command line leaves open.</param>
    /// <param name="cancellationToken">Ends the scan; what was measured is on record.</param>
    /// <param name="added">Label files that another option names; null for those of <see cref="Labels"/>.</param>
    /// <param name="begin">Told of every session before its checkpoints are measured; or null.</param>
    internal async Task<IReadOnlyList<LabelledSet>> MeasureAsync(
        ParseResult parsed, Func<ScanRequest, ScanRequest> complete, CancellationToken cancellationToken, string[]? added = null, Action<ScanSession>? begin = null)
    {
        string[] models = parsed.GetValue(Models)!, adapters = parsed.GetValue(Adapters)!, labels = added ?? parsed.GetValue(Labels)!;
        int[] layers = parsed.GetValue(Layers) ?? [];
        if ((models.Length > 1 && adapters.Length != models.Length) || labels.Length != models.Length)
            throw new UsageException($"Give --model, --adapters and --labels equally often; there are {models.Length}, {adapters.Length} and {labels.Length}.");
        if (layers.Length > 0 && layers.Length != models.Length)
            throw new UsageException($"Give --layer once for each of the {models.Length} models, or not at all.");
        var excluded = new NamePatterns(parsed.GetValue(Exclude) ?? []);
        string[] names = Names(models);
        var scans = new List<LabelledSet>();
        using var progress = new ConsoleProgress();
        for (int i = 0; i < models.Length; i++)
        {
            LabelMatch match = Match(labels[i], CheckpointDiscovery.Find(AdapterList.Expand(models.Length == 1 ? adapters : [adapters[i]], Console.In)), names[i]);
            ScanRequest request = complete(_shared.ToScanRequest(parsed, models[i], layers.Length > 0 ? layers[i] : null));
            ModelCheck.Require(request, cancellationToken);
            using ScanSession session = ScanSession.Open(request, progress, cancellationToken);
            begin?.Invoke(session);
            LabelledSet scan = await LabelledMeasurement.MeasureAsync(session, names[i], match, progress, cancellationToken);
            progress.Clear();
            if (session.KernelDeviceLost is { } lost) Runner.Note(lost.Text);
            foreach (string remark in session.Remarks.Select(r => r.Text).Concat(scan.Remarks)) Runner.Note(remark);
            scans.Add(scan);
        }

        if (excluded.IsEmpty) return scans;
        LabelledObservation[] all = [.. scans.SelectMany(s => s.Checkpoints)];
        HashSet<LabelledObservation> kept = [.. excluded.Without(all)];
        return [.. scans.Select(s => s with { Checkpoints = [.. s.Checkpoints.Where(kept.Contains)] }).Where(s => s.Checkpoints.Count > 0)];
    }

    private static LabelMatch Match(string path, DiscoveredCheckpoints found, string model)
    {
        foreach (Remark remark in found.Remarks) Runner.Note(remark.Text);
        var labels = LabelFile.Read(path);
        return labels.Match(found.Runs, labels.Models.Contains(model) ? model : null);
    }

    /// <summary>Short names that differ: file names, or as much of the paths as it takes.</summary>
    internal static string[] Names(string[] paths)
    {
        string[] names = [.. paths.Select(Path.GetFileNameWithoutExtension).OfType<string>()];
        return names.Distinct().Count() == names.Length ? names
            : [.. paths.Select((path, i) => Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(path))) is { Length: > 0 } folder ? $"{folder}/{names[i]}" : names[i])];
    }
}
