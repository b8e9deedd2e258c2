using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Labels;

namespace EmScan.Engine.Reports;

/// <summary>
/// Writes <c>DIR/RUN/trajectory.json</c> with the reference implementation's keys, and more of its own. It takes the points of a run as they
/// come; <see cref="Write"/> makes the file of those that there are.
/// </summary>
internal sealed class TrajectoryWriter
{
    private readonly CheckpointRun _run;
    private readonly ScanHeader _header;
    private readonly List<TrajectoryPoint> _points = [];
    private PeftCheckpoint? _settings;

    /// <summary>Prepares the file of one run below an output folder.</summary>
    /// <param name="folder">The output folder.</param>
    /// <param name="run">The run.</param>
    /// <param name="header">What is said of the whole scan.</param>
    /// <param name="baseline">The base model's point, step 0.</param>
    public TrajectoryWriter(string folder, CheckpointRun run, ScanHeader header, Displacement baseline)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(header);
        ArgumentNullException.ThrowIfNull(baseline);
        FilePath = Path.Combine(folder, run.OutputPath.Replace('/', Path.DirectorySeparatorChar), "trajectory.json");
        _run = run;
        _header = header;
        Add(CheckpointStep.Base, baseline, null);
    }

    /// <summary>The file.</summary>
    public string FilePath { get; }

    /// <summary>A sentence about what is missing from the file, or null.</summary>
    public string? Remark { get; private set; }

    /// <summary>Adds a checkpoint; one that could not be measured is left out of the file.</summary>
    public void Add(ScanPoint point, Assessment assessment)
    {
        ArgumentNullException.ThrowIfNull(point);
        ArgumentNullException.ThrowIfNull(assessment);
        if (point is not MeasuredPoint measured) return;
        if (_settings == null && Remark == null && Directory.Exists(point.Checkpoint.Path)) ReadSettings(point.Checkpoint.Path);
        Add(point.Checkpoint.Step, measured.Displacement, assessment);
    }

    private void ReadSettings(string folder)
    {
        try
        {
            _settings = PeftCheckpoint.Read(folder);
        }
        catch (InputFileException e)
        {
            // The weights were good enough to measure; a damaged trainer_state.json only costs the run's description.
            Remark = $"{e.Message}; {FilePath} goes without the training settings.";
        }
    }

    /// <summary>Writes the file: at the end of the run, also when that is an interruption.</summary>
    /// <exception cref="InputFileException">The folder cannot be written.</exception>
    public void Write()
    {
        (string source, string? seed) = RunName.Split(_run.Name);
        TrajectoryFile.Write(FilePath, new Trajectory(Path.GetFileNameWithoutExtension(_header.ModelPath), source, _header.Step0Norm, _points)
        {
            Seed = _settings?.Seed ?? (long.TryParse(seed, NumberStyles.None, CultureInfo.InvariantCulture, out long named) ? named : null),
            LoraRank = _settings?.Rank,
            LoraAlpha = _settings?.Alpha,
            LearningRate = _settings?.LearningRate,
            Epochs = _settings?.Epochs,
            SaveSteps = _settings?.SaveSteps ?? CommonDistance(),
            Extra = new JsonObject
            {
                ["layer"] = _header.Layer,
                ["layer_convention"] = LayerConvention.Text,
                ["model_sha256"] = _header.ModelSha256,
                ["numeric_mode"] = _header.NumericMode,
                ["prompts"] = _header.Prompts,
                ["place"] = _header.Place.ToName(),
                ["directions_pooling"] = _header.DirectionsPooling,
                ["created_by"] = $"emscan {_header.Version}",
            },
        });
    }

    private void Add(CheckpointStep step, Displacement point, Assessment? assessment)
    {
        var extra = new JsonObject
        {
            ["drift"] = ToJson(point.PerTrait),
            ["drift_standard_error"] = ToJson(point.StandardErrors),
            ["drift_magnitude"] = point.Magnitude,
            ["mean_activation_change"] = point.MeanActivationChange,
        };
        if (assessment != null)
        {
            extra["state"] = assessment.State.ToName();
            extra["visible_share"] = assessment.VisibleShare;
            extra["doubts"] = new JsonArray([.. assessment.Doubts.Select(d => new JsonObject { ["code"] = d.Code, ["text"] = d.Text })]);
            extra["trend"] = assessment.Trend is { } trend
                ? new JsonObject { ["per_step"] = trend.PerStep, ["standard_error"] = trend.StandardError, ["checkpoints"] = trend.Checkpoints } : null;
            if (VerdictJson.ToNode(assessment) is { } verdict) extra["verdict"] = verdict;
        }

        _points.Add(new TrajectoryPoint(step, ByTrait(point.RawProjections), ByTrait(point.NormalizedProjections), extra));
    }

    private OrderedDictionary<string, double> ByTrait(ImmutableArray<double> values)
    {
        var result = new OrderedDictionary<string, double>();
        for (int k = 0; k < values.Length; k++) result.Add(_header.Traits[k], values[k]);
        return result;
    }

    private JsonObject ToJson(ImmutableArray<double> values)
    {
        var result = new JsonObject();
        for (int k = 0; k < values.Length; k++) result.Add(_header.Traits[k], double.IsFinite(values[k]) ? values[k] : null);
        return result;
    }

    /// <summary>The distance between checkpoints, when it is the same everywhere.</summary>
    private long? CommonDistance()
    {
        long[] steps = [.. _run.Checkpoints.Select(c => c.Step.Number).OfType<long>()];
        return steps.Length > 1 && steps.Zip(steps.Skip(1), (a, b) => b - a).Distinct().Count() == 1 ? steps[1] - steps[0] : null;
    }
}
