using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Reports;

/// <summary>
/// Findings as a file, with tables and curves, for <c>emscan report</c>: JSON of the format <c>emscan-findings</c>, version 1. Numbers that are
/// not finite are written as null and read as NaN.
/// </summary>
internal static class FindingsFile
{
    /// <summary>How the names of these files end.</summary>
    public const string Extension = ".findings.json";

    private const string FormatName = "emscan-findings";
    private const int FormatVersion = 1;

    /// <summary>Writes findings; a reader sees the old file or the new one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="title">What the findings are of, such as "diff of bad_medical".</param>
    /// <param name="findings">The findings.</param>
    /// <exception cref="InputFileException">The file cannot be written.</exception>
    public static void Write(string path, string title, Findings findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, ToRecord(title, findings), FindingsFileContext.Default.FindingsRecord));
    }

    /// <summary>The files of findings that a path means: itself, or all in a folder and below it, by name.</summary>
    /// <exception cref="InputFileException">The path does not exist, or the folder holds none.</exception>
    public static IReadOnlyList<string> Find(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (File.Exists(path)) return [path];
        if (!Directory.Exists(path)) throw new InputFileException(path, "no such file or folder; give the output folder of a scan or an analysis.");
        string[] files = [.. Directory.EnumerateFiles(path, "*" + Extension, SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        return files.Length > 0 ? files : throw new InputFileException(path, $"holds no *{Extension}; run the scan or the analysis with this output folder, and then the report again.");
    }

    /// <summary>Reads findings.</summary>
    /// <exception cref="InputFileException">The file is missing, damaged, or of another kind or version.</exception>
    public static (string Title, Findings Findings) Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        FindingsRecord? record;
        if (FileNature.IsSpecial(path)) throw new InputFileException(path, "is a pipe or a device, and no file of findings.");
        try
        {
            using FileStream stream = File.OpenRead(path);
            record = JsonSerializer.Deserialize(stream, FindingsFileContext.Default.FindingsRecord);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputFileException(path, "cannot be read; give a folder or a file of findings that emscan wrote into an output folder.", e);
        }
        catch (JsonException e)
        {
            throw new InputFileException(path, "is not a file of findings, or is damaged; run the analysis again with an output folder.", e);
        }

        if (record is not { Format: FormatName }) throw new InputFileException(path, "is not a file of findings; give what emscan wrote into an output folder.");
        if (record.FormatVersion != FormatVersion)
            throw new InputFileException(path, $"has version {record.FormatVersion} of the format, but this emscan reads version {FormatVersion}; run the analysis again.");
        return (record.Title, FromRecord(record));
    }

    private static FindingsRecord ToRecord(string title, Findings findings) => new()
    {
        Format = FormatName,
        FormatVersion = FormatVersion,
        Title = title,
        Conclusion = findings.Conclusion,
        Verdict = findings.Verdict,
        Header = findings.Header,
        Notes = findings.Notes,
        Tables = [.. findings.Tables.Select(t => new TableRecord(t.Title, t.Columns, [.. t.Rows.Select(r => r.Select(ToNode).ToArray())]))],
        Curves = [.. findings.Curves.Select(c => new CurveRecord(c.Plot, c.Name, c.XLabel, c.YLabel, Finite(c.X)!, Finite(c.Y)!, Finite(c.Low), Finite(c.High)))],
        Thresholds = findings.Thresholds,
        Marks = findings.Marks,
        Grids = [.. findings.Grids.Select(g => new GridRecord(g.Name, g.XLabel, g.YLabel, Finite(g.X)!, Finite(g.Y)!, [.. g.Values.Select(row => Finite(row)!)]))],
        Data = findings.Data,
    };

    private static Findings FromRecord(FindingsRecord record) => new()
    {
        Conclusion = record.Conclusion,
        Verdict = record.Verdict,
        Header = record.Header,
        Notes = record.Notes,
        Tables = [.. record.Tables.Select(t => new FindingsTable(t.Title, t.Columns, [.. t.Rows.Select(r => (IReadOnlyList<object?>)[.. r.Select(FromNode)])]))],
        Curves = [.. record.Curves.Select(c => new FindingsCurve(c.Plot, c.Name, c.XLabel, c.YLabel, Numbers(c.X)!, Numbers(c.Y)!) { Low = Numbers(c.Low), High = Numbers(c.High) })],
        Thresholds = record.Thresholds,
        Marks = record.Marks,
        Grids = [.. record.Grids.Select(g => new FindingsGrid(g.Name, g.XLabel, g.YLabel, Numbers(g.X)!, Numbers(g.Y)!, [.. g.Values.Select(row => Numbers(row)!)]))],
        Data = record.Data,
    };

    private static JsonValue? ToNode(object? value) => value switch
    {
        null => null,
        string text => JsonValue.Create(text),
        bool flag => JsonValue.Create(flag ? "yes" : "no"),
        IConvertible number => number.ToDouble(null) is var d && double.IsFinite(d) ? JsonValue.Create(d) : null,
        _ => JsonValue.Create(value.ToString()),
    };

    private static object? FromNode(JsonNode? node) => node == null ? null : node.GetValueKind() == JsonValueKind.Number ? node.GetValue<double>() : node.ToString();

    private static double?[]? Finite(IReadOnlyList<double>? values) => values == null ? null : [.. values.Select(v => double.IsFinite(v) ? v : (double?)null)];

    private static double[]? Numbers(double?[]? values) => values == null ? null : [.. values.Select(v => v ?? double.NaN)];
}

internal sealed record FindingsRecord
{
    public required string Format { get; init; }
    public required int FormatVersion { get; init; }
    public required string Title { get; init; }
    public required string Conclusion { get; init; }
    public required FindingsVerdict Verdict { get; init; }
    public required FindingsHeader? Header { get; init; }
    public required IReadOnlyList<Remark> Notes { get; init; }
    public required IReadOnlyList<TableRecord> Tables { get; init; }
    public required IReadOnlyList<CurveRecord> Curves { get; init; }
    public required IReadOnlyList<FindingsThreshold> Thresholds { get; init; }
    public required IReadOnlyList<FindingsMark> Marks { get; init; }
    public required IReadOnlyList<GridRecord> Grids { get; init; }
    public required JsonObject Data { get; init; }
}

internal sealed record TableRecord(string Title, IReadOnlyList<FindingsColumn> Columns, IReadOnlyList<JsonNode?[]> Rows);

internal sealed record CurveRecord(string Plot, string Name, string XLabel, string YLabel, double?[] X, double?[] Y, double?[]? Low, double?[]? High);

internal sealed record GridRecord(string Name, string XLabel, string YLabel, double?[] X, double?[] Y, IReadOnlyList<double?[]> Values);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UseStringEnumConverter = true, RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(FindingsRecord))]
internal sealed partial class FindingsFileContext : JsonSerializerContext;
