using EmScan.Engine.Adapters;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Measuring.Shards;

/// <summary>Writes the record of a shard: when it begins, so that it is known how it was asked, and when it has measured its share.</summary>
/// <remarks>Told from one thread at a time, asked from any. A shard that is killed leaves the first record; what it had measured is in the store.</remarks>
internal sealed class ShardJournal
{
    private readonly string _folder;
    private readonly ShardRecord _record;
    private readonly Dictionary<string, ReadAdapter> _read = [];
    private readonly Dictionary<string, FailedVariant> _failures = [];

    private ShardJournal(string folder, ShardRecord record) => (_folder, _record) = (folder, record);

    /// <summary>Variants that could not be measured, so far.</summary>
    internal int Failures => _failures.Count;

    /// <summary>Writes the first record.</summary>
    /// <param name="output">The folder that the shards share.</param>
    /// <param name="work">The share.</param>
    /// <param name="measuredWith">What numbers depend on.</param>
    /// <param name="numericMode">Numeric mode and device kind.</param>
    /// <param name="device">The device that computes.</param>
    /// <param name="threads">CPU threads.</param>
    /// <exception cref="InputFileException">The folder cannot be written, or holds the record of another division that cannot be removed.</exception>
    internal static ShardJournal Begin(string output, ShardWork work, IReadOnlyDictionary<string, string> measuredWith, string numericMode, string device, int threads)
    {
        var journal = new ShardJournal(output, new ShardRecord
        {
            Verb = work.Verb,
            Index = work.Shard.Index,
            Count = work.Shard.Count,
            WorkingFolder = Environment.CurrentDirectory,
            Arguments = work.Arguments,
            Settings = work.Settings,
            Adapters = work.Adapters,
            Host = Environment.MachineName,
            Began = DateTime.UtcNow,
            MeasuredWith = measuredWith,
            NumericMode = numericMode,
            Device = device,
            Threads = threads,
        });
        journal._record.Write(output);
        DropOthers(output, work);
        return journal;
    }

    /// <summary>The fingerprint of an adapter that was read, or null.</summary>
    internal string? FingerprintOf(string adapter)
    {
        lock (_read) return _read.GetValueOrDefault(adapter)?.Fingerprint;
    }

    /// <summary>Remembers what became of a variant.</summary>
    internal void Add(Variant variant, IEnumerable<(AdapterSource Adapter, AdapterStamp Stamp)> adapters, CellOutcome outcome)
    {
        if (outcome.Error is { } sentence)
        {
            _failures[variant.Name] = outcome.Skipped is { } skipped
                ? new FailedVariant(sentence, skipped.Path, skipped.Reason, skipped.IsCheckpoint)
                : new FailedVariant(sentence);
            return;
        }

        _failures.Remove(variant.Name);
        lock (_read)
        {
            foreach ((AdapterSource adapter, AdapterStamp stamp) in adapters) _read[adapter.Path] = new ReadAdapter(stamp, adapter.Fingerprint);
        }
    }

    /// <summary>Writes the last record.</summary>
    /// <exception cref="InputFileException">The folder cannot be written.</exception>
    internal void End() => (_record with { Ended = DateTime.UtcNow, Read = _read, Failures = _failures }).Write(_folder);

    // Shards of another number were an earlier division of the same work.
    private static void DropOthers(string output, ShardWork work)
    {
        foreach (string path in ShardRecords.Files(output).Where(f => ShardRecords.VerbOf(f) == work.Verb && !f.EndsWith($"-of-{work.Shard.Count}.json", StringComparison.Ordinal)))
        {
            try
            {
                File.Delete(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new InputFileException(path, $"is the record of another division of this work, and cannot be removed ({InputFile.OneLine(e.Message)}); remove it, or give another output folder", e);
            }
        }
    }
}
