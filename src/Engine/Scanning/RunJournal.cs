using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace EmScan.Engine.Scanning;

/// <summary>
/// The durable record of a scan: one line per measured checkpoint, on disk before the scan goes on. A scan that was interrupted, by
/// Ctrl-C, kill -9 or a power cut, continues from it and measures nothing twice.
/// </summary>
/// <remarks>
/// <para>Format: UTF-8 text. Each line is the first 16 hex digits of the SHA-256 of the rest of the line, a space, and a JSON object. The
/// first object is the header (format, version, fingerprint of everything the numbers depend on besides the adapter); each other one is a
/// measurement with the fingerprint of its adapter's content as key ("base" for the model alone), the path it was measured at, and the
/// arrays in base64, little endian: projections F64 (P, K), norms F64 (P), mean hidden state F32 (D). A later line replaces an earlier one
/// with the same key. A torn or damaged line is skipped, so its checkpoint is measured again.</para>
/// <para>Thread safe. While open, the file is locked against a second scan.</para>
/// </remarks>
public sealed class RunJournal : IDisposable
{
    /// <summary>Key of the base model's measurement.</summary>
    public const string BaseKey = "base";

    private const string Format = "emscan-journal";
    private const int Version = 1;
    private const int ChecksumDigits = 16;

    private readonly Lock _gate = new();
    private readonly FileStream _stream;
    private readonly MeasurementShape _shape;
    private readonly Dictionary<string, (long Offset, int Length)> _lines = [];
    private readonly Dictionary<string, string> _keyByPath = [];

    private RunJournal(FileStream stream, MeasurementShape shape, string path)
    {
        _stream = stream;
        _shape = shape;
        FilePath = path;
    }

    /// <summary>The file.</summary>
    public string FilePath { get; }

    /// <summary>Measurements on record, the base included.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _lines.Count;
        }
    }

    /// <summary>Lines that could not be used: torn by a crash or damaged. Their checkpoints are measured again.</summary>
    public int DamagedLines { get; private set; }

    /// <summary>Opens the journal of a scan in a folder, or starts it.</summary>
    /// <param name="folder">Created if missing. The file's name contains the fingerprint, so scans with different settings never mix.</param>
    /// <param name="fingerprint">Hex digest of everything the measurements depend on besides the adapter.</param>
    /// <param name="shape">Shapes that every record must have.</param>
    /// <param name="fresh">Starts over, dropping what is on record.</param>
    /// <exception cref="InputFileException">The file cannot be opened, or another scan has it open.</exception>
    public static RunJournal Open(string folder, string fingerprint, MeasurementShape shape, bool fresh = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentException.ThrowIfNullOrEmpty(fingerprint);
        string path = Path.Combine(folder, $"scan-{fingerprint[..16]}.journal");
        FileStream stream;
        try
        {
            Directory.CreateDirectory(folder);
            stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 1 << 16);
        }
        catch (IOException e) when (File.Exists(path))
        {
            throw new InputFileException(path, $"cannot be opened; another emscan may be running the same scan ({e.Message})", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(path, $"cannot be written; give another folder with --out or --cache ({e.Message})", e);
        }

        var journal = new RunJournal(stream, shape, path);
        try
        {
            if (fresh) stream.SetLength(0);
            journal.Load(fingerprint);
            return journal;
        }
        catch
        {
            journal.Dispose();
            throw;
        }
    }

    /// <summary>Reads back the measurement on record for a key, if there is one. Only its place in the file is kept in memory.</summary>
    public bool TryGet(string key, [NotNullWhen(true)] out Measurement? measurement)
    {
        measurement = null;
        (long Offset, int Length) place;
        lock (_gate)
        {
            if (!_lines.TryGetValue(key, out place)) return false;
        }

        byte[] line = new byte[place.Length];
        try
        {
            RandomAccess.Read(_stream.SafeFileHandle, line, place.Offset);
        }
        catch (IOException e)
        {
            throw new InputFileException(FilePath, $"cannot be read back ({e.Message})", e);
        }

        measurement = ChecksumMatches(line, out ReadOnlySpan<byte> json) && Parse(json, JournalJson.Default.Record) is { } record ? ToMeasurement(record) : null;
        if (measurement == null) throw new InputFileException(FilePath, "was changed by something else while the scan was running; run again.");
        return true;
    }

    /// <summary>True when a measurement with this key is on record.</summary>
    public bool Contains(string key)
    {
        lock (_gate) return _lines.ContainsKey(key);
    }

    /// <summary>True when this path was measured before with other content: the adapter was changed or replaced since.</summary>
    public bool WasDifferentAt(string path, string key)
    {
        lock (_gate) return _keyByPath.TryGetValue(path, out string? known) && known != key;
    }

    /// <summary>Adds a measurement and returns once it is on the disk.</summary>
    /// <exception cref="InputFileException">The disk is full or the file cannot be written.</exception>
    public void Append(string key, string path, Measurement measurement)
    {
        ArgumentNullException.ThrowIfNull(measurement);
        var record = new Record(key, path, Base64(measurement.Projections), Base64(measurement.Norms), Base64(measurement.MeanHidden));
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(record, JournalJson.Default.Record);
        lock (_gate)
        {
            _lines[key] = WriteLine(json);
            _keyByPath[path] = key;
        }
    }

    private void Load(string fingerprint)
    {
        long goodEnd = 0;
        bool headerSeen = false;
        using (var reader = new LineReader(_stream))
        {
            long start = 0;
            while (reader.Next(out ReadOnlySpan<byte> line, out bool complete))
            {
                if (!complete || !ChecksumMatches(line, out ReadOnlySpan<byte> json))
                {
                    DamagedLines++;
                }
                else if (!headerSeen)
                {
                    Header? header = Parse(json, JournalJson.Default.Header);
                    if (header is not { Format: Format } || header.Version != Version || header.Fingerprint != fingerprint)
                        throw new InputFileException(FilePath, "this is not the journal of this scan; move it away and run again.");
                    headerSeen = true;
                }
                else if (Parse(json, JournalJson.Default.Record) is { } record && ToMeasurement(record) != null)
                {
                    _lines[record.Key] = (start, line.Length);
                    _keyByPath[record.Path] = record.Key;
                }
                else
                {
                    DamagedLines++;
                }

                // A torn tail is cut off; a damaged line in the middle stays where it is and is ignored.
                if (complete) goodEnd = reader.Position;
                start = reader.Position;
            }
        }

        if (!headerSeen)
        {
            // New, or nothing in it can be trusted.
            _lines.Clear();
            _stream.SetLength(0);
            WriteLine(JsonSerializer.SerializeToUtf8Bytes(new Header(Format, Version, fingerprint), JournalJson.Default.Header));
            return;
        }

        _stream.SetLength(goodEnd);
        _stream.Position = goodEnd;
    }

    // The checksum holds, so this is a file that somebody made by hand: as good as damaged.
    private static T? Parse<T>(ReadOnlySpan<byte> json, JsonTypeInfo<T> type) where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(json, type);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private Measurement? ToMeasurement(Record record)
    {
        double[]? projections = FromBase64<double>(record.Projections, (long)_shape.Prompts * _shape.Traits);
        double[]? norms = FromBase64<double>(record.Norms, _shape.Prompts);
        float[]? mean = FromBase64<float>(record.MeanHidden, _shape.HiddenSize);
        return projections == null || norms == null || mean == null ? null : new Measurement(projections, norms, mean);
    }

    private (long Offset, int Length) WriteLine(byte[] json)
    {
        byte[] line = new byte[ChecksumDigits + 1 + json.Length + 1];
        Encoding.ASCII.GetBytes(Checksum(json), line);
        line[ChecksumDigits] = (byte)' ';
        json.CopyTo(line, ChecksumDigits + 1);
        line[^1] = (byte)'\n';
        try
        {
            long offset = _stream.Position;
            _stream.Write(line);
            _stream.Flush(flushToDisk: true);
            return (offset, line.Length - 1);
        }
        catch (IOException e)
        {
            throw new InputFileException(FilePath, $"cannot be written ({e.Message}); what was measured before is kept, free some space and run the same command again.", e);
        }
    }

    private static bool ChecksumMatches(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> json)
    {
        json = default;
        if (line.Length <= ChecksumDigits + 1 || line[ChecksumDigits] != (byte)' ') return false;
        json = line[(ChecksumDigits + 1)..];
        return Encoding.ASCII.GetString(line[..ChecksumDigits]) == Checksum(json);
    }

    private static string Checksum(ReadOnlySpan<byte> json) => Convert.ToHexStringLower(SHA256.HashData(json))[..ChecksumDigits];

    private static string Base64<T>(T[] values) where T : unmanaged =>
        Convert.ToBase64String(MemoryMarshal.AsBytes<T>(values));

    private static T[]? FromBase64<T>(string text, long count) where T : unmanaged
    {
        T[] values = new T[count];
        Span<byte> bytes = MemoryMarshal.AsBytes(values.AsSpan());
        return Convert.TryFromBase64String(text, bytes, out int written) && written == bytes.Length ? values : null;
    }

    /// <summary>Releases the file.</summary>
    public void Dispose() => _stream.Dispose();

    internal sealed record Header(string Format, int Version, string Fingerprint);

    internal sealed record Record(string Key, string Path, string Projections, string Norms, string MeanHidden);
}

/// <summary>Shapes of one scan: P prompts, K traits, D hidden size.</summary>
public readonly record struct MeasurementShape(int Prompts, int Traits, int HiddenSize);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(RunJournal.Header))]
[JsonSerializable(typeof(RunJournal.Record))]
internal sealed partial class JournalJson : JsonSerializerContext;
