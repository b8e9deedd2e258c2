using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Kernels;

namespace EmScan.Engine.Scanning;

/// <summary>
/// Measures the base model once and then every checkpoint once, in order, each on record in the journal before the next one starts.
/// Memory does not grow with the number of checkpoints beyond the journal's few kilobytes each.
/// </summary>
/// <remarks>Not thread safe. The activation source is left with no adapter set.</remarks>
public sealed class Scanner
{
    private readonly IActivationSource _source;
    private readonly ScanDefinition _definition;
    private readonly RunJournal _journal;
    private readonly MeasurementSink _sink;
    private readonly CapturePlan _plan;

    /// <summary>Prepares a scan.</summary>
    /// <exception cref="ArgumentException">The definition does not fit the model behind the source.</exception>
    public Scanner(IActivationSource source, ScanDefinition definition, RunJournal journal)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(definition);
        ArgumentNullException.ThrowIfNull(journal);
        if (definition.Shape.HiddenSize != source.HiddenSize)
            throw new ArgumentException($"The directions have {definition.Shape.HiddenSize} values, but the model's hidden size is {source.HiddenSize}.", nameof(definition));
        if (definition.Layer < 0 || definition.Layer >= source.LayerCount)
            throw new ArgumentException($"Layer {definition.Layer} does not exist in a model of {source.LayerCount}.", nameof(definition));
        _source = source;
        _definition = definition;
        _journal = journal;
        _plan = source.Plan(definition.Prompts, [definition.Layer]);
        MeasurementShape shape = definition.Shape;
        _sink = new MeasurementSink(KernelSets.Default, definition.DirectionArray, shape.Traits, shape.HiddenSize, shape.Prompts);
    }

    /// <summary>Measures the base model, or takes it from the journal.</summary>
    /// <exception cref="EmScanException">The base model cannot be measured.</exception>
    public Measurement MeasureBase(CancellationToken cancellationToken = default)
    {
        if (_journal.TryGet(RunJournal.BaseKey, out Measurement? known)) return known;
        _source.SetAdapters([]);
        Measurement measured = Measure(cancellationToken);
        if (measured.MeanNorm <= 0) throw new EmScanException("The base model's hidden states are all zero at this layer; the weights are damaged.");
        _journal.Append(RunJournal.BaseKey, RunJournal.BaseKey, measured);
        return measured;
    }

    /// <summary>Scans checkpoints. One that cannot be read or applied becomes a point with an error; the scan goes on.</summary>
    /// <param name="checkpoints">In the order in which they are wanted.</param>
    /// <param name="cancellationToken">Ends the scan between two batches; what was finished is on record.</param>
    /// <exception cref="EmScanException">The base model cannot be measured, or the journal cannot be written.</exception>
    public async IAsyncEnumerable<ScanPoint> ScanAsync(
        IEnumerable<Checkpoint> checkpoints, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoints);

        // One thread for the whole scan: llama.cpp's allocations then stay in one arena of the C heap, where hopping over the thread
        // pool would leave a half-used arena behind on every thread.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var points = Channel.CreateBounded<ScanPoint>(new BoundedChannelOptions(1) { SingleReader = true, SingleWriter = true });
        Task worker = Task.Factory.StartNew(
            () => Measure(checkpoints, points.Writer, stop.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        try
        {
            await foreach (ScanPoint point in points.Reader.ReadAllAsync(CancellationToken.None).ConfigureAwait(false)) yield return point;
        }
        finally
        {
            // Also reached when the caller leaves its loop early; the source must not be in use any more when this returns.
            await stop.CancelAsync().ConfigureAwait(false);
            await worker.ConfigureAwait(false);
        }
    }

    private void Measure(IEnumerable<Checkpoint> checkpoints, ChannelWriter<ScanPoint> points, CancellationToken cancellationToken)
    {
        Exception? failure = null;
        try
        {
            Measurement baseline = MeasureBase(cancellationToken);
            foreach (Checkpoint checkpoint in checkpoints)
            {
                cancellationToken.ThrowIfCancellationRequested();
                points.WriteAsync(Point(checkpoint, baseline, cancellationToken), cancellationToken).AsTask().GetAwaiter().GetResult();
            }
        }
        catch (Exception e)
        {
            // It reaches the caller through the channel, at the place in the order where it happened.
            failure = e;
        }

        points.Complete(failure);
    }

    private ScanPoint Point(Checkpoint checkpoint, Measurement baseline, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        string key;
        Measurement? measurement;
        bool known, changed;
        try
        {
            key = AdapterFingerprint.Compute(checkpoint.Path);
            changed = _journal.WasDifferentAt(checkpoint.Path, key);
            known = _journal.TryGet(key, out measurement);
            measurement ??= MeasureAdapter(checkpoint.Path, cancellationToken);
        }
        catch (EmScanException e)
        {
            string sentence = e is InputFileException ? e.Message : $"{checkpoint.Path}: {e.Message}";
            return new ScanPoint(checkpoint, null, sentence, false, false, Stopwatch.GetElapsedTime(start));
        }

        if (!known) _journal.Append(key, checkpoint.Path, measurement);
        var drift = DriftPoint.From(measurement, baseline, _definition.Shape.Traits);
        return new ScanPoint(checkpoint, drift, null, known, changed, Stopwatch.GetElapsedTime(start));
    }

    private Measurement MeasureAdapter(string path, CancellationToken cancellationToken)
    {
        using ILoadedAdapter adapter = _source.LoadAdapter(path);
        _source.SetAdapters([new WeightedAdapter(adapter, 1)]);
        try
        {
            return Measure(cancellationToken);
        }
        finally
        {
            _source.SetAdapters([]);
        }
    }

    private Measurement Measure(CancellationToken cancellationToken)
    {
        _sink.Reset();
        _source.Capture(_plan, _sink, cancellationToken);
        return _sink.Result();
    }
}
