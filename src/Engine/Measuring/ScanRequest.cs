using EmScan.Engine.Formats;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Measuring;

/// <summary>What a user asks of a scan. Everything but the model has a default.</summary>
public sealed record ScanRequest
{
    /// <summary>The base model, GGUF.</summary>
    public required string Model { get; init; }

    /// <summary>
    /// <see cref="Model"/>, loaded already, say the model of a host (<see cref="GgufModel.Attach"/>); it stays the caller's to dispose. Null
    /// means that it is loaded from the file.
    /// </summary>
    public GgufModel? Loaded { get; init; }

    /// <summary>Trait set (YAML); null means <c>traits.yaml</c> beside the model if there is one, else the built-in seven traits.</summary>
    public string? TraitsFile { get; init; }

    /// <summary>Trait directions, safetensors; null means: extract them, or take them from the cache.</summary>
    public string? DirectionsFile { get; init; }

    /// <summary>Layer to measure; null means the only one in <see cref="DirectionsFile"/>, else L / 2 (rounded down).</summary>
    public int? Layer { get; init; }

    /// <summary>Where in each evaluation prompt, or in the base's answer to it, hidden states are taken; null means the last prompt token.</summary>
    public MeasuredPlace? Place { get; init; }

    /// <summary>The base's answers, from a calibration that was made with them; null means: generate them, or take them from the cache, where
    /// <see cref="Place"/> needs them.</summary>
    internal BaseAnswers? Answers { get; init; }

    /// <summary>Directions of a calibration that was made with them; taken instead of the cache's where they are of this very model.</summary>
    internal DirectionSet? Directions { get; init; }

    /// <summary>How directions are extracted.</summary>
    public ExtractionOptions Extraction { get; init; } = new();

    /// <summary>How the model is loaded.</summary>
    public ModelOptions ModelOptions { get; init; } = new();

    /// <summary>How hidden states are computed.</summary>
    public CaptureOptions Capture { get; init; } = new();

    /// <summary>
    /// Checkpoints measured at the same time, each in a context of its own with its share of the threads; 0 (the default) means one on a
    /// GPU; on a CPU eight for a model under 50 million parameters, one for width 2048 and more, else two, if there are as many threads.
    /// </summary>
    public int Parallel { get; init; }

    /// <summary>Chat template: null means the model's own; else a file with a Jinja template, or the name of a built-in one (plain, chatml).</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>Folder for the record of measurements and for results; null for the record in the cache, and no results.</summary>
    public string? OutputFolder { get; init; }

    /// <summary>Folder for what can be computed again; null means <see cref="CacheFolder.Default"/>.</summary>
    public string? CacheFolder { get; init; }

    /// <summary>Drops measurements on record and extracted directions in the cache, and computes all of it again.</summary>
    public bool Recompute { get; init; }

    /// <summary>The share of one of several processes that divide the work; null for all of it.</summary>
    internal ShardWork? Shared { get; init; }

    /// <summary>What shards have measured, in place of measuring: the model's weights are not loaded then. Null for measuring.</summary>
    internal ShardRecords? Merged { get; init; }

    /// <summary>Throws where the request cannot be right whatever is in the files: known before anything is loaded.</summary>
    /// <exception cref="InvalidSettingException">A number is out of its range, or the model's path is empty; the sentence names the property.</exception>
    public void Validate()
    {
        if (string.IsNullOrWhiteSpace(Model)) throw new InvalidSettingException($"{nameof(ScanRequest)}.{nameof(Model)} is empty; it is the path of a model in GGUF.");
        Least(nameof(Layer), Layer ?? 0);
        Least(nameof(Parallel), Parallel);
        Least($"{nameof(Capture)}.{nameof(CaptureOptions.Threads)}", Capture.Threads);

        static void Least(string name, int value)
        {
            if (value < 0) throw new InvalidSettingException($"{nameof(ScanRequest)}.{name} is {value}, but must be at least 0.");
        }
    }
}

/// <summary>What a scan is busy with before and between its rows.</summary>
/// <param name="Stage">A short phrase, such as "loading model".</param>
/// <param name="Done">Units finished; 0 when the stage cannot be counted.</param>
/// <param name="Total">Units in all; 0 when the stage cannot be counted.</param>
public readonly record struct ScanProgress(string Stage, int Done, int Total);
