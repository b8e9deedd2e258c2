using System.Globalization;
using System.Text.RegularExpressions;
using EmScan.Engine.Adapters;

namespace EmScan.Engine.Measuring.Shards;

/// <summary>The records of all shards of one piece of work, checked against each other.</summary>
internal sealed partial class ShardRecords
{
    private readonly Dictionary<string, ReadAdapter> _read = [];
    private readonly Dictionary<string, FailedVariant> _failures = [];
    private readonly IReadOnlyList<ShardRecord> _records;

    private ShardRecords(string output, IReadOnlyList<ShardRecord> records)
    {
        Output = output;
        _records = records;
        foreach (ShardRecord record in records)
        {
            foreach ((string path, ReadAdapter read) in record.Read) _read[path] = read;
            foreach ((string variant, FailedVariant failure) in record.Failures) _failures[variant] = failure;
        }
    }

    /// <summary>The folder that the shards share.</summary>
    internal string Output { get; }

    /// <summary>The record that stands for all: of the shard of the lowest number.</summary>
    internal ShardRecord First => _records[0];

    /// <summary>Number of shards.</summary>
    internal int Count => First.Count;

    /// <summary>The records in an output folder.</summary>
    internal static IEnumerable<string> Files(string output)
    {
        string folder = Path.Combine(output, ShardRecord.Folder);
        return Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.json").Where(f => RecordName().IsMatch(Path.GetFileName(f))).Order(StringComparer.Ordinal) : [];
    }

    /// <summary>What the shard of a record did.</summary>
    internal static string VerbOf(string file) => RecordName().Match(Path.GetFileName(file)).Groups["verb"].Value;

    /// <summary>Reads the records of a verb.</summary>
    /// <param name="output">The folder that the shards share.</param>
    /// <param name="verb">The verb.</param>
    /// <exception cref="InputFileException">There is none, one cannot be read, or they do not belong together; the sentence says which.</exception>
    internal static ShardRecords Read(string output, string verb)
    {
        ShardRecord[] records = [.. Files(output).Where(f => VerbOf(f) == verb).Select(ShardRecord.Parse).OrderBy(r => r.Index)];
        if (records.Length == 0) throw new InputFileException(output, $"holds no record of a shard of '{verb}'.");
        ShardRecord first = records[0];
        foreach (ShardRecord other in records[1..])
        {
            string? different = other.Count != first.Count ? $"one of {other.Count} shards"
                : !other.Settings.SequenceEqual(first.Settings) ? $"asked with other options ({Difference(first.Settings, other.Settings)})"
                : Different(first.MeasuredWith, other.MeasuredWith) is { } name ? $"measured with another {name}"
                : null;
            if (different != null)
                throw new InputFileException(output, $"shard {other.Shard} of {verb} was {different} than shard {first.Shard}; they do not belong together. Run the one that is not meant again.");
        }

        return new ShardRecords(output, records);
    }

    /// <summary>Refuses records of shards that measured with something else than this process would.</summary>
    /// <exception cref="InputFileException">The sentence names it.</exception>
    internal void Require(IReadOnlyDictionary<string, string> measuredWith)
    {
        if (Different(First.MeasuredWith, measuredWith) is { } name)
            throw new InputFileException(Output, $"the {name} is not the one that the shards measured with; put it back, or run the shards again.");
    }

    /// <summary>Gives an adapter the fingerprint that a shard found, where its files have not changed since: it need not be read again.</summary>
    internal void Recall(AdapterSource adapter)
    {
        if (FingerprintOf(adapter.Path) is { } fingerprint) adapter.Recall(fingerprint);
    }

    /// <summary>The fingerprint that a shard found, where the adapter's files have not changed since, or are gone; else null.</summary>
    internal string? FingerprintOf(string adapter) =>
        _read.TryGetValue(adapter, out ReadAdapter? read) && AdapterStamp.Of(adapter) is var now && (now == read.Stamp || now.WeightsLength < 0) ? read.Fingerprint : null;

    /// <summary>Why a variant could not be measured, or null.</summary>
    internal FailedVariant? FailureOf(Variant variant) => _failures.GetValueOrDefault(variant.Name);

    /// <summary>How far a shard has come.</summary>
    internal string StateOf(int shard)
    {
        ShardRecord? record = _records.FirstOrDefault(r => r.Index == shard);
        return record == null ? "it has not begun"
            : record.Ended == null ? string.Create(CultureInfo.InvariantCulture, $"it began at {record.Began:u} on {record.Host} and has not finished")
            : "it has finished, but checkpoints were added or changed since";
    }

    private static string Difference(IReadOnlyList<string> mine, IReadOnlyList<string> others)
    {
        string[] only = [.. others.Except(mine).Concat(mine.Except(others)).Take(4)];
        return only.Length > 0 ? string.Join(" ", only) : "in another order";
    }

    private static string? Different(IReadOnlyDictionary<string, string> mine, IReadOnlyDictionary<string, string> others) =>
        mine.Keys.Union(others.Keys).FirstOrDefault(name => mine.GetValueOrDefault(name) != others.GetValueOrDefault(name));

    [GeneratedRegex(@"^(?<verb>[a-z][a-z-]*)-\d+-of-\d+\.json$", RegexOptions.CultureInvariant)]
    private static partial Regex RecordName();
}
