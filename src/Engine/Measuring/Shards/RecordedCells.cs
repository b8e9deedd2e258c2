using EmScan.Engine.Adapters;

namespace EmScan.Engine.Measuring.Shards;

/// <summary>In place of measuring: what the shards have measured, and why not where they could not.</summary>
/// <param name="records">The shards' records.</param>
/// <param name="store">Their results.</param>
/// <param name="model">Names model and numeric mode.</param>
internal sealed class RecordedCells(ShardRecords records, CellStore store, ModelIdentity model)
{
    /// <summary>The shards.</summary>
    internal ShardRecords Records => records;

    /// <summary>Whether a group of cells of one variant was measured, or is known not to be measurable.</summary>
    internal bool Has(IReadOnlyList<Cell> cells) => Keys(cells) is { } keys && keys.All(store.Contains) || records.FailureOf(cells[0].Variant) != null;

    /// <summary>The outcome of a group of cells of one variant; null when there is none yet.</summary>
    internal CellOutcome? Find(IReadOnlyList<Cell> cells)
    {
        Variant variant = cells[0].Variant;
        if (Keys(cells) is { } keys)
        {
            var results = new CellResult[keys.Length];
            int found = 0;
            while (found < keys.Length && store.TryGet(keys[found], out CellResult? result)) results[found++] = result;

            // For this scan they were measured now, by the shards.
            if (found == keys.Length) return new CellOutcome(variant, cells, results, null, false, false, TimeSpan.Zero);
        }

        if (records.FailureOf(variant) is not { } failure) return null;
        LeftOut? skipped = failure.SkippedPath is { } path ? new LeftOut(path, failure.SkippedReason ?? LeftOutReason.Gone, failure.Sentence, failure.SkippedCheckpoint) : null;
        return new CellOutcome(variant, cells, null, failure.Sentence, false, false, TimeSpan.Zero) { Skipped = skipped };
    }

    private CellKey[]? Keys(IReadOnlyList<Cell> cells)
    {
        try
        {
            foreach (AdapterSource adapter in cells[0].Variant.Adapters) records.Recall(adapter);
            return [.. cells.Select(cell => cell.Key(model))];
        }
        catch (InputFileException)
        {
            // Gone, or damaged: what was recorded of it is all that is known.
            return null;
        }
    }
}

/// <summary>A group of cells that no shard has measured yet.</summary>
/// <param name="Label">What it is, for people.</param>
/// <param name="Shard">The shard whose share it is.</param>
internal readonly record struct MissingCells(string Label, int Shard);

/// <summary>Shards have not finished.</summary>
internal sealed class ShardsMissingException : EmScanException
{
    private const int Named = 3;

    internal ShardsMissingException(ShardRecords records, IReadOnlyList<MissingCells> missing, int total, string what)
        : base(Text(records, missing, total, what)) => (Records, Shards) = (records, [.. missing.Select(m => m.Shard).Distinct().Order()]);

    /// <summary>What there is of all shards.</summary>
    internal ShardRecords Records { get; }

    /// <summary>The shards to be run again, in order.</summary>
    internal IReadOnlyList<int> Shards { get; }

    private static string Text(ShardRecords records, IReadOnlyList<MissingCells> missing, int total, string what)
    {
        IEnumerable<string> parts = missing.GroupBy(m => m.Shard).OrderBy(g => g.Key).Select(shard =>
        {
            MissingCells[] cells = [.. shard];
            string more = cells.Length > Named ? $", and {cells.Length - Named} more" : "";
            return $"shard {shard.Key}/{records.Count} ({string.Join(", ", cells.Take(Named).Select(c => c.Label))}{more}): {records.StateOf(shard.Key)}";
        });
        return $"{missing.Count} of {total} {what} are not on record; {string.Join("; ", parts)}.";
    }
}

/// <summary>An analysis wants a result that is another shard's.</summary>
internal sealed class ResultElsewhereException(Variant variant) : EmScanException($"{variant}: this result belongs to another shard and is not on record yet.");
