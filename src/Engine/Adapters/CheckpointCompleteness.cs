using System.Buffers.Binary;
using System.Text.Json;
using EmScan.Engine.Formats;
using Microsoft.Win32.SafeHandles;

namespace EmScan.Engine.Adapters;

/// <summary>How far the writing of a checkpoint has come.</summary>
internal enum CheckpointState
{
    /// <summary>Its name, or a file in it, says that the trainer is still busy with it.</summary>
    Staging,

    /// <summary>Parts of it are missing or cut short, and it changed a moment ago.</summary>
    Incomplete,

    /// <summary>Nothing is missing, or what is wrong with it is not going to change: to be read, and its reader says what is wrong.</summary>
    Complete,

    /// <summary>It does not exist any more.</summary>
    Gone,
}

/// <summary>
/// The one rule for when a checkpoint may be read. Trainers write in place, first the weights, then the configuration, last
/// <c>trainer_state.json</c>; some stage in a folder of another name, some leave a marker.
/// </summary>
/// <param name="State">How far it has come.</param>
/// <param name="Why">Half a sentence for <see cref="CheckpointState.Staging"/> and <see cref="CheckpointState.Incomplete"/>: "its weights are cut short".</param>
/// <param name="Settled">True when something says that it will not change any more: a marker, a trainer_state.json at its step, or that it
/// has not changed for the quiet time. A scan reads what is <see cref="CheckpointState.Complete"/>; who follows a training waits for this too.</param>
internal sealed record CheckpointCompleteness(CheckpointState State, string? Why, bool Settled)
{
    /// <summary>The file that just-in-time checkpointing keeps in a folder until it is done.</summary>
    public const string IncompleteMarker = "checkpoint-is-incomplete.txt";

    /// <summary>How long a checkpoint must have been left alone to count as finished when nothing else says so.</summary>
    public static TimeSpan DefaultQuietTime { get; } = TimeSpan.FromSeconds(30);

    private static readonly string[] DoneMarkers = ["CHECKPOINT_COMPLETE", "STABLE"];

    /// <summary>Whether a folder of this name is one that trainers (or people) keep unfinished things in.</summary>
    public static bool IsStagingName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.StartsWith('.') || name.StartsWith("tmp-", StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Looks at a checkpoint.</summary>
    /// <param name="path">A PEFT folder, or a LoRA GGUF file.</param>
    /// <param name="step">Its step, which a finished trainer_state.json repeats; null when it has none.</param>
    /// <param name="now">The time, UTC.</param>
    /// <param name="quietTime">See <see cref="DefaultQuietTime"/>.</param>
    /// <remarks>Never throws for what is on the disk: a file that cannot be read is for its reader to report, so it counts as complete.</remarks>
    public static CheckpointCompleteness Of(string path, CheckpointStep? step, DateTime now, TimeSpan quietTime)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            return Directory.Exists(path) ? OfFolder(path, step, now, quietTime)
                : File.Exists(path) ? OfFile(path, now, quietTime)
                : new CheckpointCompleteness(CheckpointState.Gone, null, true);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return new CheckpointCompleteness(CheckpointState.Gone, null, true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new CheckpointCompleteness(CheckpointState.Complete, null, true);
        }
    }

    private static CheckpointCompleteness OfFolder(string folder, CheckpointStep? step, DateTime now, TimeSpan quietTime)
    {
        bool young = Young(now, quietTime, [folder, .. Directory.EnumerateFiles(folder)]);
        if (File.Exists(Path.Combine(folder, IncompleteMarker)))
            return new CheckpointCompleteness(CheckpointState.Staging, $"it holds {IncompleteMarker}", false);
        string state = Path.Combine(folder, TrainerState.FileName);

        // A training that was restarted saves over what is there: an end that is older than the weights is that of the earlier save.
        DateTime saved = Saved(folder);
        bool done = DoneMarkers.Select(marker => Path.Combine(folder, marker)).Any(marker => File.Exists(marker) && File.GetLastWriteTimeUtc(marker) >= saved)
            || (step?.Number is { } number && GlobalStep(state) == number && File.GetLastWriteTimeUtc(state) >= saved);
        string? missing = Missing(folder);

        // Weights come before trainer_state.json: what is missing beside a finished one is lost, not late.
        if (missing == null || done || !young) return new CheckpointCompleteness(CheckpointState.Complete, null, done || !young);
        return new CheckpointCompleteness(CheckpointState.Incomplete, missing, false);
    }

    private static CheckpointCompleteness OfFile(string path, DateTime now, TimeSpan quietTime)
    {
        bool young = Young(now, quietTime, [path]);
        if (!young) return new CheckpointCompleteness(CheckpointState.Complete, null, true);
        try
        {
            GgufFile.Open(path);
            return new CheckpointCompleteness(CheckpointState.Complete, null, false);
        }
        catch (InputFileException)
        {
            // Not worth more than this sentence: once it is older, its reader says in detail what is wrong.
            return new CheckpointCompleteness(CheckpointState.Incomplete, "it is cut short or damaged", false);
        }
    }

    /// <summary>When weights and configuration were last written.</summary>
    private static DateTime Saved(string folder) => new[] { PeftAdapterReader.WeightsName, PeftAdapterReader.PickleName, PeftAdapterReader.ConfigName }
        .Select(name => Path.Combine(folder, name)).Where(File.Exists).Select(File.GetLastWriteTimeUtc).DefaultIfEmpty(DateTime.MinValue).Max();

    // A time in the future is a clock that is wrong, and no sign of writing.
    private static bool Young(DateTime now, TimeSpan quietTime, IEnumerable<string> paths) =>
        paths.Select(File.GetLastWriteTimeUtc).Any(time => time > now - quietTime && time <= now + quietTime);

    /// <summary>What a half-written folder lacks, or null. Only lacks that more writing can fill count.</summary>
    private static string? Missing(string folder)
    {
        string weights = Path.Combine(folder, PeftAdapterReader.WeightsName), config = Path.Combine(folder, PeftAdapterReader.ConfigName);
        bool pickle = File.Exists(Path.Combine(folder, PeftAdapterReader.PickleName));
        if (!File.Exists(weights)) return pickle ? null : $"it has no {PeftAdapterReader.WeightsName} yet";
        if (IsCutShort(weights)) return $"its {PeftAdapterReader.WeightsName} is cut short";
        if (!File.Exists(config)) return $"it has no {PeftAdapterReader.ConfigName} yet";
        return IsJson(config) ? null : $"its {PeftAdapterReader.ConfigName} is cut short";
    }

    /// <summary>Whether a safetensors file ends before its header says it should.</summary>
    private static bool IsCutShort(string path)
    {
        const int MaxHeader = 100_000_000;
        if (FileNature.IsSpecial(path)) return false;
        using SafeFileHandle handle = File.OpenHandle(path, share: FileShare.ReadWrite | FileShare.Delete);
        long length = RandomAccess.GetLength(handle);
        if (length < sizeof(ulong)) return true;
        Span<byte> prefix = stackalloc byte[sizeof(ulong)];
        if (RandomAccess.Read(handle, prefix, 0) < prefix.Length) return true;
        ulong header = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (header > MaxHeader) return false;
        if (length < sizeof(ulong) + (long)header) return true;
        byte[] json = new byte[header];
        for (int read = 0; read < json.Length;)
        {
            int more = RandomAccess.Read(handle, json.AsSpan(read), sizeof(ulong) + read);
            if (more == 0) return true;
            read += more;
        }

        return length < sizeof(ulong) + (long)header + LastOffset(json);
    }

    private static long LastOffset(byte[] header)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(header);
            long last = 0;
            foreach (JsonProperty tensor in document.RootElement.EnumerateObject())
            {
                if (tensor.Value.ValueKind == JsonValueKind.Object && tensor.Value.TryGetProperty("data_offsets", out JsonElement offsets)
                    && offsets.ValueKind == JsonValueKind.Array && offsets.GetArrayLength() == 2
                    && offsets[1].ValueKind == JsonValueKind.Number && offsets[1].TryGetInt64(out long end))
                    last = Math.Max(last, end);
            }

            return last;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // Not cut but broken; the reader of the weights says how.
            return 0;
        }
    }

    private static bool IsJson(string path)
    {
        // Neither is cut short: the reader of the configuration says what is wrong.
        if (FileNature.IsSpecial(path) || new FileInfo(path).Length > PeftConfig.MaxBytes) return true;
        try
        {
            using JsonDocument document = JsonDocument.Parse(TextInput.ToUtf8(File.ReadAllBytes(path)));
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static long? GlobalStep(string path)
    {
        try
        {
            return File.Exists(path) ? TrainerState.Read(path).GlobalStep : null;
        }
        catch (InputFileException)
        {
            // Half written, most likely: it says nothing yet.
            return null;
        }
    }
}
