using System.Globalization;
using System.Runtime.InteropServices;
using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Running;

/// <summary>What sessions do for shards, and for the merge of what these have measured: one way for scans and analyses.</summary>
/// <param name="Work">The share of this process, or null.</param>
/// <param name="Device">The device that computes: in a merge, the shards'.</param>
/// <param name="Threads">CPU threads: in a merge, the shards'.</param>
internal sealed record ShardSession(ShardWork? Work, string Device, int Threads)
{
    private ShardJournal? Journal { get; init; }

    private ShardRecords? Records { get; init; }

    /// <summary>Variants of this shard that could not be measured.</summary>
    internal int Failures => Journal?.Failures ?? 0;

    /// <summary>The store of a request.</summary>
    /// <exception cref="InputFileException">It cannot be read or written.</exception>
    internal static CellStore OpenStore(LoadedModel prepared)
    {
        ScanRequest request = prepared.Request;
        string? writer = request.Shared is { Shard: var shard } ? string.Create(CultureInfo.InvariantCulture, $"s{shard.Index}of{shard.Count}") : null;
        return CellStore.Open(request.OutputFolder ?? Path.Combine(prepared.Cache, "cells"), request.Recompute, writer);
    }

    /// <summary>Begins the record of a shard, or has the engine answer from the records of all of them; or neither.</summary>
    /// <exception cref="InputFileException">What was recorded was measured with something else.</exception>
    internal static ShardSession Begin(LoadedModel prepared, CellEngine engine, int layer, DirectionSet directions, IReadOnlyList<CapturePrompt> prompts, int threads)
    {
        ScanRequest request = prepared.Request;
        string device = prepared.Model.Device.Description;
        if (request.Shared == null && request.Merged == null) return new ShardSession(null, device, threads);
        var measuredWith = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["version of emscan"] = EmScanVersion.Text,
            ["model"] = prepared.Sha256,
            ["numeric mode"] = prepared.NumericMode,
            ["layer"] = layer.ToString(CultureInfo.InvariantCulture),
            ["place"] = prepared.Place.ToName(),
            ["set of traits"] = ShardRecord.Digest(directions.Traits),
            ["set of directions"] = ShardRecord.Digest(directions.Layers.Select(l => MemoryMarshal.AsBytes(directions.Direction(l)).ToArray())),
            ["set of prompts"] = new PromptSet("prompts", prompts).Identity,
        };
        if (request.Merged is { } records)
        {
            records.Require(measuredWith);
            engine.Recorded = new RecordedCells(records, engine.Store, engine.Model);
            return new ShardSession(null, records.First.Device, records.First.Threads) { Records = records };
        }

        ShardJournal? journal = request.OutputFolder is { } output
            ? ShardJournal.Begin(output, request.Shared!, measuredWith, prepared.NumericMode, device, threads)
            : null;
        engine.Journal = journal;
        return new ShardSession(request.Shared, device, threads) { Journal = journal };
    }

    /// <summary>What an adapter's files say of it: kept by a shard, read from there by a merge.</summary>
    /// <exception cref="InputFileException">A file is missing or damaged.</exception>
    internal AdapterSurvey Survey(string adapter, CellStore store)
    {
        if (Records?.FingerprintOf(adapter) is { } known && KeptSurvey.Find(store, known, adapter) is { } kept) return kept;
        var survey = AdapterSurvey.Read(adapter);
        if (Journal?.FingerprintOf(adapter) is { } read) KeptSurvey.Keep(store, read, survey);
        return survey;
    }

    /// <summary>Completes the record: the share was measured.</summary>
    /// <exception cref="InputFileException">It cannot be written.</exception>
    internal void End() => Journal?.End();
}
