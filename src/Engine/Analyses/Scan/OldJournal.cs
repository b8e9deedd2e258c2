using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Scan;

/// <summary>Takes over what a journal of emscan 0.2.0 holds, so that a scan begun with that version goes on.</summary>
/// <remarks>
/// Its format: UTF-8 text; each line is the first 16 hex digits of the SHA-256 of the rest of the line, a space, and a JSON object. The first
/// object is the header; each other one is a measurement with the fingerprint of its adapter's content as key ("base" for the model alone),
/// the path it was measured at, and the arrays in base64, little endian: projections F64 (P, K), norms F64 (P), mean hidden state F32 (D).
/// </remarks>
internal static class OldJournal
{
    private const string Format = "emscan-journal";
    private const int Version = 1;
    private const int ChecksumDigits = 16;
    private const int Together = 64;

    /// <summary>Brings the measurements of this scan into the store, unless they are there.</summary>
    /// <param name="folder">Where the journal would lie.</param>
    /// <param name="definition">The scan.</param>
    /// <param name="cellOf">The cell of a variant.</param>
    /// <param name="store">Gets them.</param>
    /// <returns>A sentence for the user; null where there was nothing to take over.</returns>
    /// <exception cref="InputFileException">The journal cannot be read, or the store not be written.</exception>
    internal static string? TakeOver(string folder, ScanDefinition definition, Func<Variant, Cell> cellOf, CellStore store)
    {
        string path = Path.Combine(folder, $"scan-{definition.Fingerprint[..16]}.journal");
        Cell cell = cellOf(Variant.Base);
        if (!File.Exists(path) || FileNature.IsSpecial(path) || store.Contains(cell.Key(definition.Model))) return null;
        var taken = new List<StoredCell>();
        int count = 0, damaged = 0;
        bool headerSeen = false;
        try
        {
            foreach (string line in File.ReadLines(path))
            {
                if (Checked(line) is not { } json)
                {
                    damaged++;
                }
                else if (!headerSeen)
                {
                    if (Parse(json, OldJournalJson.Default.Header) is not { Format: Format, Version: Version } header || header.Fingerprint != definition.Fingerprint)
                        return $"{path}: this journal was not written by emscan 0.2.0 for this scan; nothing is taken from it.";
                    headerSeen = true;
                }
                else if (Parse(json, OldJournalJson.Default.Record) is { } record && ToResult(record, definition.Shape) is { } result)
                {
                    bool isBase = record.Key == "base";
                    ulong place = isBase ? cell.Place(definition.Model) : cellOf(Variant.Of(new AdapterSource(record.Path))).Place(definition.Model);
                    taken.Add(new StoredCell(cell.KeyUnder(definition.Model, record.Key), place, result));
                    count++;
                    if (taken.Count < Together) continue;
                    store.Append(taken);
                    taken.Clear();
                }
                else
                {
                    damaged++;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(path, $"cannot be read ({e.Message})", e);
        }

        if (taken.Count > 0) store.Append(taken);
        return $"{path}: {count} measurement(s) of emscan 0.2.0 taken over{(damaged > 0 ? $", {damaged} damaged record(s) left out" : "")}.";
    }

    private static string? Checked(string line)
    {
        if (line.Length <= ChecksumDigits + 1 || line[ChecksumDigits] != ' ') return null;
        string json = line[(ChecksumDigits + 1)..];
        return line[..ChecksumDigits] == Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(json)))[..ChecksumDigits] ? json : null;
    }

    // The checksum holds, so this is a file that somebody made by hand: as good as damaged.
    private static T? Parse<T>(string json, JsonTypeInfo<T> type) where T : class
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

    private static CellResult? ToResult(Record record, MeasurementShape shape)
    {
        double[]? projections = FromBase64<double>(record.Projections, (long)shape.Prompts * shape.Traits);
        double[]? norms = FromBase64<double>(record.Norms, shape.Prompts);
        float[]? mean = FromBase64<float>(record.MeanHidden, shape.HiddenSize);
        return projections == null || norms == null || mean == null ? null
            : new CellResult(("projections", projections), ("norms", norms), ("mean", Array.ConvertAll(mean, v => (double)v)));
    }

    private static T[]? FromBase64<T>(string text, long count) where T : unmanaged
    {
        T[] values = new T[count];
        Span<byte> bytes = MemoryMarshal.AsBytes(values.AsSpan());
        return Convert.TryFromBase64String(text, bytes, out int written) && written == bytes.Length ? values : null;
    }

    internal sealed record Header(string Format, int Version, string Fingerprint);

    internal sealed record Record(string Key, string Path, string Projections, string Norms, string MeanHidden);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(OldJournal.Header))]
[JsonSerializable(typeof(OldJournal.Record))]
internal sealed partial class OldJournalJson : JsonSerializerContext;
