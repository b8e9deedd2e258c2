using EmScan.Engine.Formats;

namespace EmScan.Engine.Measuring.Shards;

/// <summary>What makes a request that of one shard among others which share its output folder and its cache.</summary>
/// <param name="Shard">The share.</param>
/// <param name="Verb">What is done, in a word: results of different verbs are kept apart.</param>
/// <param name="Arguments">How the same work is asked for again, without the shard.</param>
/// <param name="Settings">Those of the arguments that a result depends on.</param>
/// <param name="Adapters">The paths that the adapters were given by, lists read.</param>
internal sealed record ShardWork(Shard Shard, string Verb, IReadOnlyList<string> Arguments, IReadOnlyList<string> Settings, IReadOnlyList<string> Adapters)
{
    /// <summary>The folder that the shards share, or null.</summary>
    internal string? Output { get; init; }

    /// <summary>Names the shard where processes claim work that is done once. Other shards of the same number may share the cache.</summary>
    internal string Owner => $"{Verb}, shard {Shard}{(Output == null ? "" : $" of {Path.GetFullPath(Output)}")}";

    /// <summary>Has a cell measured once by all shards: by this one, or another one that is waited for.</summary>
    /// <exception cref="EmScanException">It cannot be measured.</exception>
    internal void Once(CellEngine engine, Cell cell, string stage, IProgress<ScanProgress>? progress, CancellationToken cancellationToken)
    {
        CellKey key = cell.Key(engine.Model);
        string target = Path.Combine(engine.Store.Folder, ShardRecord.Folder, $"{key.ToString()[..16]}.cell");
        SharedWork.Once(target, Owner, Find, Measure, () => progress?.Report(new ScanProgress($"waiting for another shard: {stage}", 0, 0)), cancellationToken);

        string? Find()
        {
            if (!engine.Store.Contains(key)) engine.Store.Refresh();
            return engine.Store.Contains(key) ? target : null;
        }

        void Measure()
        {
            foreach (CellOutcome outcome in engine.MeasureAsync([cell], cancellationToken).ToBlockingEnumerable(cancellationToken))
                if (outcome.Results == null) throw new EmScanException(outcome.Error!);
        }
    }
}
