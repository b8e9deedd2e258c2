using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading.Channels;
using EmScan.Engine.Adapters;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Scanning;

/// <summary>
/// The three stages of a scan, each on a thread of its own: load (fingerprint, look-up in the journal, reading and converting the adapter),
/// measure (one thread per source), record (journal and output, in order).
/// </summary>
/// <remarks>A failure travels to the caller behind the last point before it, as it would if everything ran on one thread.</remarks>
internal sealed class ScanPipeline : IDisposable
{
    private readonly RunJournal _journal;
    private readonly ScanDefinition _definition;
    private readonly MeasuringSource _loader;
    private readonly int _lastLayer;

    // Adapters that may be loaded at once: one for each source, and the next one.
    private readonly SemaphoreSlim _room;
    private readonly BlockingCollection<Job> _toMeasure = [];
    private readonly BlockingCollection<Job> _inOrder;
    private Measurement? _baseline;
    private Exception? _failure;

    internal ScanPipeline(IReadOnlyList<MeasuringSource> sources, RunJournal journal, ScanDefinition definition, int lastLayer)
    {
        _journal = journal;
        _definition = definition;
        _loader = sources[0];
        _lastLayer = lastLayer;
        _room = new SemaphoreSlim(sources.Count + 1);
        _inOrder = new BlockingCollection<Job>(sources.Count + 1);
    }

    /// <summary>First stage: prepares one checkpoint after another.</summary>
    internal void Load(IEnumerable<Checkpoint> checkpoints, Func<CancellationToken, Measurement> measureBase, CancellationToken cancellationToken)
    {
        var recent = new Queue<Job>();
        try
        {
            _baseline = measureBase(cancellationToken);
            foreach (Checkpoint checkpoint in checkpoints)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var job = new Job(checkpoint);
                Prepare(job, recent, cancellationToken);
                if (job.Adapter != null) _toMeasure.Add(job, CancellationToken.None);
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
        string path = job.Checkpoint.Path;
        AdapterStamp before = AdapterStamp.Of(path);
        try
        {
            job.Key = AdapterFingerprint.Compute(path);
            job.Changed = _journal.WasDifferentAt(path, job.Key);

            // The same content under another name, still on its way: its measurement is waited for, not made twice.
            if (recent.FirstOrDefault(other => other.Key == job.Key) is { } twin) twin.Recorded.Task.Wait(cancellationToken);
            if (_journal.TryGet(job.Key, out Measurement? known))
            {
                job.Known = true;
                job.Result.SetResult(known);
            }
            else
            {
                _room.Wait(cancellationToken);
                try
                {
                    job.Adapter = _loader.Load(path, _lastLayer);

                    // The key must name what was read: a trainer may have saved over it since.
                    if (AdapterStamp.Of(path) != before)
                    {
                        job.Adapter.Dispose();
                        job.Adapter = null;
                        throw new InputFileException(path, "changed while it was read");
                    }
                }
                catch
                {
                    _room.Release();
                    throw;
                }
            }
        }
        catch (EmScanException e)
        {
            job.Skipped = AdapterWalk.WhyNotReady(job.Checkpoint, before);
            job.Result.SetException(e);
        }

        job.Elapsed = Stopwatch.GetElapsedTime(start);
    }

    /// <summary>Second stage: measures what was loaded.</summary>
    internal void Measure(MeasuringSource source, CancellationToken cancellationToken)
    {
        foreach (Job job in _toMeasure.GetConsumingEnumerable(CancellationToken.None))
        {
            long start = Stopwatch.GetTimestamp();
            Measurement? measurement = null;
            Exception? failure = null;
            try
            {
                cancellationToken.ThrowIfCancellationRequested();
                measurement = source.Measure(job.Adapter, cancellationToken);
            }
            catch (Exception e)
            {
                // It belongs to this checkpoint, and is judged where its turn comes.
                failure = e;
            }

            job.Adapter!.Dispose();
            _room.Release();
            job.Elapsed += Stopwatch.GetElapsedTime(start);
            if (measurement != null) job.Result.SetResult(measurement);
            else job.Result.SetException(failure!);
        }
    }

    /// <summary>Third stage: puts every measurement on record, and then hands it out.</summary>
    internal void Record(ChannelWriter<ScanPoint> points, CancellationToken cancellationToken)
    {
        Exception? failure = null;
        foreach (Job job in _inOrder.GetConsumingEnumerable(CancellationToken.None))
        {
            try
            {
                // After a cancellation, what had been finished by then is still put on record.
                if (failure is null or OperationCanceledException)
                {
                    ScanPoint point = ToPoint(job);
                    if (failure == null) points.WriteAsync(point, cancellationToken).AsTask().GetAwaiter().GetResult();
                }
            }
            catch (Exception e)
            {
                failure = e;
            }

            job.Recorded.SetResult();
        }

        points.Complete(failure ?? _failure);
    }

    private ScanPoint ToPoint(Job job)
    {
        try
        {
            Measurement measurement = job.Result.Task.GetAwaiter().GetResult();
            if (!job.Known) _journal.Append(job.Key!, job.Checkpoint.Path, measurement);
            var drift = DriftPoint.From(measurement, _baseline!, _definition.Shape.Traits);
            return new ScanPoint(job.Checkpoint, drift, null, job.Known, job.Changed, job.Elapsed);
        }
        catch (EmScanException e) when (job.Result.Task.IsFaulted)
        {
            string sentence = job.Skipped?.Text ?? (e is InputFileException ? e.Message : $"{job.Checkpoint.Path}: {e.Message}");
            return new ScanPoint(job.Checkpoint, null, sentence, false, false, job.Elapsed) { Skipped = job.Skipped };
        }
    }

    /// <summary>To be called when all stages have ended.</summary>
    public void Dispose()
    {
        _room.Dispose();
        _toMeasure.Dispose();
        _inOrder.Dispose();
    }

    private sealed class Job(Checkpoint checkpoint)
    {
        internal Checkpoint Checkpoint { get; } = checkpoint;
        internal string? Key { get; set; }
        internal bool Changed { get; set; }
        internal bool Known { get; set; }
        internal ILoadedAdapter? Adapter { get; set; }
        internal LeftOut? Skipped { get; set; }
        internal TimeSpan Elapsed { get; set; }
        internal TaskCompletionSource<Measurement> Result { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
        internal TaskCompletionSource Recorded { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
