using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Formats;
using EmScan.Engine.Reports;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Running;

/// <summary>Reads what a scan has written: the trajectory.json of every run, this program's or the reference implementation's.</summary>
/// <remarks>They hold means over prompts, so that nothing can be drawn over prompts. A folder may hold scans of several base models.</remarks>
internal static class RecordedScan
{
    private const string FileName = "trajectory.json";

    /// <summary>The scans in a folder, one for each base model, by name.</summary>
    /// <param name="path">A scan's output folder, a run's folder in it, or one trajectory.json.</param>
    /// <exception cref="InputFileException">There is no trajectory.json, one cannot be read, or two of one model differ in layer, place, traits or directions.</exception>
    internal static IReadOnlyList<DriftScan> Read(string path)
    {
        string[] files = Files(path);
        string folder = File.Exists(path) ? Path.GetDirectoryName(Path.GetFullPath(path))! : path;
        (string File, Trajectory Trajectory)[] all = [.. files.Select(file => (file, TrajectoryFile.Read(file)))];
        return
        [
            .. all.GroupBy(t => (t.Trajectory.Model, Sha: Text(t.Trajectory, "model_sha256") ?? "")).OrderBy(g => g.Key.Model, NaturalOrder.Instance)
                .Select(group => Scan(path, folder, group.Key.Model, group.Key.Sha, [.. group])),
        ];
    }

    private static string[] Files(string path)
    {
        if (File.Exists(path)) return [path];
        if (!Directory.Exists(path)) throw new InputFileException(path, "does not exist; give the folder that a scan wrote its results to");
        string[] files = [.. Directory.EnumerateFiles(path, FileName, SearchOption.AllDirectories).Order(NaturalOrder.Instance)];
        return files.Length > 0 ? files : throw new InputFileException(path, $"holds no {FileName}; give the folder that a scan wrote its results to");
    }

    private static DriftScan Scan(string path, string folder, string model, string sha, (string File, Trajectory Trajectory)[] files)
    {
        (string firstFile, Trajectory first) = files[0];
        string[] traits = Traits(firstFile, first);
        foreach ((string file, Trajectory other) in files.Skip(1))
        {
            RequireSame("layer", Text(first, "layer"), Text(other, "layer"));
            RequireSame("place", Text(first, "place"), Text(other, "place"));
            RequireSame("directions_pooling", Text(first, "directions_pooling"), Text(other, "directions_pooling"));
            RequireSame("traits", string.Join(", ", traits), string.Join(", ", Traits(file, other)));

            void RequireSame(string what, string? here, string? there)
            {
                if (here != there)
                    throw new InputFileException(file, $"has {Said(what, there)}, but {firstFile} has {Said(what, here)}; give folders of scans that measured the same");
            }
        }

        var remarks = new List<Remark>();
        DriftRun[] runs = [.. files.Select(f => Run(folder, f.File, f.Trajectory, model, traits, remarks)).OfType<DriftRun>().OrderBy(r => r.Name, NaturalOrder.Instance)];
        if (runs.Length == 0) throw new InputFileException(path, $"holds no checkpoint of {model}, only the base; scan its adapters again");
        return new DriftScan(model, path, Header(folder, sha, first, traits), Text(first, "place"), runs, remarks);
    }

    private static DriftRun? Run(string folder, string file, Trajectory trajectory, string model, string[] traits, List<Remark> remarks)
    {
        string relative = RunName.Normalise(Path.GetRelativePath(folder, Path.GetDirectoryName(Path.GetFullPath(file))!));
        string name = relative.Length > 0 ? relative : Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(file))!);
        (string perturbation, string? seed) = RunName.Split(name);
        if (trajectory.DataSource is { Length: > 0 } source) perturbation = source;
        if (trajectory.Points.Count == 0 || trajectory.Points[0].Step != CheckpointStep.Base)
            throw new InputFileException(file, "has no step 0; the base model is what drifts are counted from");
        double[] origin = Values(file, trajectory.Points[0], traits);
        DriftOfStep[] points = [.. trajectory.Points.Select(p => new DriftOfStep(p.Step, [.. Values(file, p, traits).Zip(origin, (x, x0) => x - x0)])).OrderBy(p => p.Step)];
        if (points.Length > 1) return new DriftRun(model, name, perturbation, seed ?? trajectory.Seed?.ToString(CultureInfo.InvariantCulture), points);
        remarks.Add(new Remark("no-checkpoint", $"{file}: holds the base alone and is left out."));
        return null;
    }

    private static string[] Traits(string file, Trajectory trajectory) => trajectory.Points.Count > 0
        ? [.. trajectory.Points[0].NormalizedProjections.Keys]
        : throw new InputFileException(file, "has no points; scan the run again");

    private static double[] Values(string file, TrajectoryPoint point, string[] traits) =>
    [
        .. traits.Select(t => point.NormalizedProjections.TryGetValue(t, out double value) ? value
            : throw new InputFileException(file, $"has no number for \"{InputFile.OneLine(t)}\" at step {point.Step}")),
    ];

    /// <summary>The header that the scan wrote beside its trajectories; where it was interrupted before, what a trajectory says.</summary>
    private static FindingsHeader Header(string folder, string sha, Trajectory first, string[] traits)
    {
        int layer = int.TryParse(Text(first, "layer"), CultureInfo.InvariantCulture, out int known) ? known : FindingsHeader.Unknown;
        FindingsHeader? written = sha.Length == 0 ? null
            : Directory.EnumerateFiles(folder, "scan" + FindingsFile.Extension, SearchOption.AllDirectories).Order(StringComparer.Ordinal)
                .Select(file => FindingsFile.Read(file).Findings.Header).FirstOrDefault(h => h != null && h.ModelSha256 == sha && h.Layer == layer && h.Traits.SequenceEqual(traits));
        // That of the scan also names what its verdicts rest on, which is of no concern here.
        if (written != null) return written with { NumericMode = Text(first, "numeric_mode") ?? written.NumericMode };
        return new FindingsHeader
        {
            ModelPath = first.Model,
            ModelSha256 = sha,
            ModelDescription = "not told",
            LayerCount = FindingsHeader.Unknown,
            HiddenSize = FindingsHeader.Unknown,
            Layer = layer,
            Traits = traits,
            TraitSet = "not told",
            Directions = "not told",
            Prompts = int.TryParse(Text(first, "prompts"), CultureInfo.InvariantCulture, out int prompts) ? prompts : FindingsHeader.Unknown,
            Step0Norm = first.Step0ActivationNorm,
            NumericMode = Text(first, "numeric_mode") ?? "not told",
            Device = "not told",
            Threads = FindingsHeader.Unknown,
        };
    }

    private static string Said(string what, string? value) => value == null ? $"no {what}" : $"{what} {value}";

    private static string? Text(Trajectory trajectory, string key) => trajectory.Extra?[key] is JsonValue value ? value.ToString() : null;
}
