using System.Runtime.CompilerServices;
using System.Threading.Channels;
using EmScan.Engine.Adapters;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Scanning;

/// <summary>
/// Measures the base model once and then every checkpoint once. While checkpoints are measured, one per activation source, the next one is
/// loaded; measurements reach the journal, and the caller, in the order of the checkpoints. Memory does not grow with the number of
/// checkpoints beyond the journal's few kilobytes each: at most one more adapter is loaded than there are sources.
/// </summary>
/// <remarks>Not thread safe. The activation sources are left with no adapter set.</remarks>
public sealed class Scanner
{
    private readonly IReadOnlyList<MeasuringSource> _sources;
    private readonly ScanDefinition _definition;
    private readonly RunJournal _journal;

    /// <summary>Prepares a scan that measures one checkpoint at a time.</summary>
    /// <exception cref="ArgumentException">The definition does not fit the model behind the source.</exception>
    public Scanner(IActivationSource source, ScanDefinition definition, RunJournal journal) : this([source], definition, journal) { }

    /// <summary>Prepares a scan that measures as many checkpoints at a time as there are sources.</summary>
    /// <param name="sources">At least one; all on the same model, with the same options.</param>
    /// <param name="definition">What is measured.</param>
    /// <param name="journal">The record; used by one scan at a time.</param>
    /// <exception cref="ArgumentException">No source, or the definition does not fit the model behind them.</exception>
    public Scanner(IReadOnlyList<IActivationSource> sources, ScanDefinition definition, RunJournal journal)
    {
        ArgumentNullException.ThrowIfNull(sources);
        ArgumentNullException.ThrowIfNull(definition);
        ArgumentNullException.ThrowIfNull(journal);
        if (sources.Count == 0) throw new ArgumentException("At least one activation source is needed.", nameof(sources));
        if (definition.Shape.HiddenSize != sources[0].HiddenSize)
            throw new ArgumentException($"The directions have {definition.Shape.HiddenSize} values, but the model's hidden size is {sources[0].HiddenSize}.", nameof(definition));
        if (definition.Layer < 0 || definition.Layer >= sources[0].LayerCount)
            throw new ArgumentException($"Layer {definition.Layer} does not exist in a model of {sources[0].LayerCount}.", nameof(definition));
        _definition = definition;
        _journal = journal;
        Plan = sources[0].Plan(definition.Prompts, [definition.Layer]);
        _sources = [.. sources.Select(source => new MeasuringSource(source, Plan, definition))];
    }

    /// <summary>How the prompts are computed, for every checkpoint alike.</summary>
    public CapturePlan Plan { get; }

    /// <summary>Measures the base model, or takes it from the journal.</summary>
    /// <exception cref="EmScanException">The base model cannot be measured.</exception>
    public Measurement MeasureBase(CancellationToken cancellationToken = default)
    {
        if (_journal.TryGet(RunJournal.BaseKey, out Measurement? known)) return known;
        Measurement measured = _sources[0].Measure(null, cancellationToken);
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
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var pipeline = new ScanPipeline(_sources, _journal, _definition, Plan.Layers[^1]);
        var points = Channel.CreateBounded<ScanPoint>(new BoundedChannelOptions(1) { SingleReader = true, SingleWriter = true });

        // Threads of their own, for the whole scan: llama.cpp's allocations then stay in the same arenas of the C heap, where hopping over
        // the thread pool would leave a half-used arena behind on every thread.
        Task[] stages =
        [
            OwnThread(() => pipeline.Load(checkpoints, MeasureBase, stop.Token)),
            OwnThread(() => pipeline.Record(points.Writer, stop.Token)),
            .. _sources.Select(source => OwnThread(() => pipeline.Measure(source, stop.Token))),
        ];
        try
        {
            await foreach (ScanPoint point in points.Reader.ReadAllAsync(CancellationToken.None).ConfigureAwait(false)) yield return point;
        }
        finally
        {
            // Also reached when the caller leaves its loop early; the sources must not be in use any more when this returns.
            await stop.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(stages).ConfigureAwait(false);
        }
    }

    private static Task OwnThread(Action work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
