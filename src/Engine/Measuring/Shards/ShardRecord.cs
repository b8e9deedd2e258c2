using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Measuring.Shards;

/// <summary>
/// What a shard leaves beside the store, <c>shards/VERB-I-of-N.json</c> in the output folder: how it was asked, what it measured with, which
/// adapters it read, and what could not be measured. JSON of the format <c>emscan-shard</c>, version 1.
/// </summary>
internal sealed record ShardRecord
{
    internal const string Folder = "shards";
    internal const string FormatName = "emscan-shard";
    internal const int CurrentVersion = 1;

    /// <summary>Far more than the records of a hundred thousand adapters.</summary>
    private const int MaxBytes = 1 << 30;

    public string Format { get; init; } = FormatName;
    public int FormatVersion { get; init; } = CurrentVersion;
    public required string Verb { get; init; }
    public required int Index { get; init; }
    public required int Count { get; init; }

    /// <summary>The folder that relative paths in <see cref="Arguments"/> start from.</summary>
    public required string WorkingFolder { get; init; }

    public required IReadOnlyList<string> Arguments { get; init; }
    public required IReadOnlyList<string> Settings { get; init; }

    /// <summary>The paths that the adapters were given by, lists read.</summary>
    public required IReadOnlyList<string> Adapters { get; init; }

    public required string Host { get; init; }
    public required DateTime Began { get; init; }

    /// <summary>When it had measured its share; null before.</summary>
    public DateTime? Ended { get; init; }

    /// <summary>What the numbers depend on besides the adapters, by name: the same for all shards, or they do not belong together.</summary>
    public required IReadOnlyDictionary<string, string> MeasuredWith { get; init; }

    public required string NumericMode { get; init; }
    public required string Device { get; init; }
    public required int Threads { get; init; }

    /// <summary>The adapters that were read, by path.</summary>
    public IReadOnlyDictionary<string, ReadAdapter> Read { get; init; } = new Dictionary<string, ReadAdapter>();

    /// <summary>What could not be measured, by the name of the variant.</summary>
    public IReadOnlyDictionary<string, FailedVariant> Failures { get; init; } = new Dictionary<string, FailedVariant>();

    internal Shard Shard => new(Index, Count);

    internal static string PathOf(string output, string verb, Shard shard) =>
        System.IO.Path.Combine(output, Folder, string.Create(CultureInfo.InvariantCulture, $"{verb}-{shard.Index}-of-{shard.Count}.json"));

    internal void Write(string output) =>
        AtomicFile.Write(PathOf(output, Verb, Shard), stream => JsonSerializer.Serialize(stream, this, ShardRecordJson.Default.ShardRecord));

    /// <exception cref="InputFileException">It cannot be read, or is something else.</exception>
    internal static ShardRecord Parse(string path)
    {
        try
        {
            ShardRecord? record = JsonSerializer.Deserialize(InputFile.ReadSmall(path, MaxBytes), ShardRecordJson.Default.ShardRecord);
            if (record is { Format: FormatName, FormatVersion: CurrentVersion } && record.Count > 0 && record.Index >= 0 && record.Index < record.Count) return record;
            throw new InputFileException(path, $"is no record of a shard that this emscan can read (format {FormatName}, version {CurrentVersion}); run the shard again with this version.");
        }
        catch (JsonException e)
        {
            throw new InputFileException(path, "is damaged; run this shard again.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(path, $"cannot be read ({InputFile.OneLine(e.Message)})", e);
        }
    }

    /// <summary>A digest of numbers or words, for <see cref="MeasuredWith"/>.</summary>
    internal static string Digest(params IEnumerable<byte[]> parts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (byte[] part in parts) hash.AppendData(part);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    internal static string Digest(IEnumerable<string> words) => Digest(words.Select(word => Encoding.UTF8.GetBytes(word + "\n")));
}

/// <summary>An adapter's files as they were when it was read.</summary>
/// <param name="Stamp">Lengths and times.</param>
/// <param name="Fingerprint">SHA-256 of the content, hex.</param>
internal sealed record ReadAdapter(AdapterStamp Stamp, string Fingerprint);

/// <summary>A variant that could not be measured.</summary>
/// <param name="Sentence">Why.</param>
/// <param name="SkippedPath">Set when nothing is wrong with the adapter: a training took it away, or was still writing it.</param>
/// <param name="SkippedReason">Then, why.</param>
/// <param name="SkippedCheckpoint">Then, whether a checkpoint remains unmeasured.</param>
internal sealed record FailedVariant(string Sentence, string? SkippedPath = null, LeftOutReason? SkippedReason = null, bool SkippedCheckpoint = false);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UseStringEnumConverter = true, WriteIndented = true, RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ShardRecord))]
internal sealed partial class ShardRecordJson : JsonSerializerContext;
