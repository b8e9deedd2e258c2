using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading.Channels;
using EmScan.Engine.Adapters;
using EmScan.Engine.Measuring.Shards;

namespace EmScan.Engine.Measuring;

/// <summary>
/// The three stages of measuring, each on a thread of its own: load (fingerprints, look-up in the store, reading and converting adapters),
/// measure (one thread per source), record (store and output, in order).
/// </summary>
/// <remarks>A failure travels to the caller behind the last outcome before it, as it would if everything ran on one thread.</remarks>
internal sealed class CellPipeline : IDisposable
{
    private readonly VariantLoader _loader;
    private readonly ModelIdentity _model;
    private readonly CellStore _store;
    private readonly int _layers;
    private readonly ShardJournal? _journal;

    // Variants that may be loaded at once: one for each source, and the next one.
    private readonly SemaphoreSlim _room;
    private readonly BlockingCollection<Job> _toMeasure = [];
    private readonly BlockingCollection<Job> _inOrder;
    private Exception? _failure;

    internal CellPipeline(VariantLoader loader, ModelIdentity model, CellStore store, int layers, int sources, ShardJournal? journal)
    {
        _journal = journal;
        _loader = loader;
        _model = model;
        _store = store;
        _layers = layers;
        _room = new SemaphoreSlim(sources + 1);
        _inOrder = new BlockingCollection<Job>(sources + 1);
    }

    /// <summary>First stage: prepares one variant after another.</summary>
    internal void Load(IEnumerable<IReadOnlyList<Cell>> groups, CancellationToken cancellationToken)
    {
        var recent = new Queue<Job>();
        try
        {
            foreach (IReadOnlyList<Cell> cells in groups)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var job = new Job(cells);
                Prepare(job, recent, cancellationToken);
                if (job.Variant != null) _toMeasure.Add(job, CancellationToken.None);
                recent.Enqueue(job);
                _inOrder.Add(job, CancellationToken.None);
                while (recent.TryPeek(out Job? oldest) && oldest.Recorded.Task.IsCompleted) recent.Dequeue();
            }
        }
        catch (Exception e)
        {
            _failure = e;
        }

        _toMeasure.CompleteAdding();
        _inOrder.CompleteAdding();
    }

    private void Prepare(Job job, Queue<Job> recent, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        (AdapterSource Adapter, AdapterStamp Before)[] stamps = job.Stamps = [.. job.Cells[0].Variant.Adapters.Select(adapter => (adapter, AdapterStamp.Of(adapter.Path)))];
        try
        {
            job.Keys = [.. job.Cells.Select(cell => cell.Key(_model))];
            job.Changed = job.Cells.Zip(job.Keys).Any(pair => _store.WasDifferentAt(pair.First.Place(_model), pair.Second));

            // The same cell under another name, still on its way: its result is waited for, not made twice.
            foreach (Job twin in recent.Where(other => other.Keys.AsSpan().ContainsAny(job.Keys))) twin.Recorded.Task.Wait(cancellationToken);
            for (int i = 0; i < job.Cells.Count; i++)
            {
                if (_store.TryGet(job.Keys[i], out CellResult? known)) job.Known[i] = known;
                else job.Missing.Add(i);
            }

            if (job.Missing.Count == 0)
            {
                job.Measured.SetResult([]);
            }
            else
            {
                int lastLayer = job.Missing.Max(i => job.Cells[i].Layer ?? _layers - 1);
                _room.Wait(cancellationToken);
                try
                {
                    job.Variant = _loader.Load(job.Cells[0].Variant, lastLayer);

                    // The key must name what was read: a trainer may have saved over it since.
                    foreach ((AdapterSource adapter, AdapterStamp before) in stamps)
                    {
                        if (AdapterStamp.Of(adapter.Path) != before) throw new InputFileException(adapter.Path, "changed while it was read");
                    }
                }
                catch
                {
                    job.Variant?.Dispose();
                    job.Variant = null;
                    _room.Release();
                    throw;
                }
            }
        }
        catch (EmScanException e)
        {
            job.Skipped = stamps.Select(s => LeftOut.WhyNotReady(s.Adapter.Path, s.Adapter.Step, s.Before)).FirstOrDefault(s => s != null);
            job.Measured.SetException(e);
        }

        job.Elapsed = Stopwatch.GetElapsedTime(start);
    }

    /// <summary>Second stage: measures what was loaded.</summary>
    internal void Measure(CellMeasurer measurer, CancellationToken cancellationToken)
    {
        foreach (Job job in _toMeasure.GetConsumingEnumerable(CancellationToken.None))
        {
            long start = Stopwatch.GetTimestamp();
            CellResult[]? results = null;
            Exception? failure = null;
            try
            {
                using LoadedVariant variant = job.Variant!;
                cancellationToken.ThrowIfCancellationRequested();
                results = measurer.Measure([.. job.Missing.Select(i => job.Cells[i])], variant, cancellationToken);
            }
            catch (Exception e)
            {
                // It belongs to this variant, and is judged where its turn comes.
                failure = e;
            }

            _room.Release();
            job.Elapsed += Stopwatch.GetElapsedTime(start);
            if (results != null) job.Measured.SetResult(results);
            else job.Measured.SetException(failure!);
        }
    }

    /// <summary>Third stage: puts every result on record, and then hands it out.</summary>
    internal void Record(ChannelWriter<CellOutcome> outcomes, CancellationToken cancellationToken)
    {
        Exception? failure = null;
        foreach (Job job in _inOrder.GetConsumingEnumerable(CancellationToken.None))
        {
            try
            {
                // After a cancellation, what had been finished by then is still put on record.
                if (failure is null or OperationCanceledException)
                {
                    CellOutcome outcome = ToOutcome(job);
                    _journal?.Add(job.Cells[0].Variant, job.Stamps, outcome);
                    if (failure == null) outcomes.WriteAsync(outcome, cancellationToken).AsTask().GetAwaiter().GetResult();
                }
            }
            catch (Exception e)
            {
                failure = e;
            }

            job.Recorded.SetResult();
        }

        outcomes.Complete(failure ?? _failure);
    }

    private CellOutcome ToOutcome(Job job)
    {
        Variant variant = job.Cells[0].Variant;
        try
        {
            CellResult[] measured = job.Measured.Task.GetAwaiter().GetResult();
            if (measured.Length > 0)
                _store.Append([.. measured.Select((result, m) => new StoredCell(job.Keys[job.Missing[m]], job.Cells[job.Missing[m]].Place(_model), result))]);
            for (int m = 0; m < measured.Length; m++) job.Known[job.Missing[m]] = measured[m];
            return new CellOutcome(variant, job.Cells, job.Known!, null, measured.Length == 0, job.Changed, job.Elapsed);
        }
        catch (EmScanException e) when (job.Measured.Task.IsFaulted)
        {
            string sentence = job.Skipped?.Text ?? (e is InputFileException ? e.Message : $"{variant.Name}: {e.Message}");
            return new CellOutcome(variant, job.Cells, null, sentence, false, false, job.Elapsed) { Skipped = job.Skipped };
        }
    }

    /// <summary>To be called when all stages have ended.</summary>
    public void Dispose()
    {
        _room.Dispose();
        _toMeasure.Dispose();
        _inOrder.Dispose();
    }

    private sealed class Job(IReadOnlyList<Cell> cells)
    {
        internal IReadOnlyList<Cell> Cells { get; } = cells;
        internal CellKey[] Keys { get; set; } = [];
        internal (AdapterSource Adapter, AdapterStamp Before)[] Stamps { get; set; } = [];
        internal CellResult?[] Known { get; } = new CellResult?[cells.Count];
        internal List<int> Missing { get; } = [];
        internal bool Changed { get; set; }
        internal LoadedVariant? Variant { get; set; }
        internal LeftOut? Skipped { get; set; }
        internal TimeSpan Elapsed { get; set; }
        internal TaskCompletionSource<CellResult[]> Measured { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
        internal TaskCompletionSource Recorded { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
