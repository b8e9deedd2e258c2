using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using EmScan.Engine.Adapters;
using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses.Scan;

/// <summary>
/// Measures the base model once and then every checkpoint once: a cell each, of projections on the trait directions. Points come in the
/// order of the checkpoints, as they are measured or taken from the store; how, <see cref="CellEngine"/> says.
/// </summary>
/// <remarks>Not thread safe. The activation sources are left with no adapter set.</remarks>
public sealed class Scanner
{
    private readonly ScanDefinition _definition;
    private readonly CellEngine _engine;
    private readonly PromptSet _prompts;
    private readonly ProjectionReducer _reducer;

    /// <summary>Prepares a scan that measures one checkpoint at a time.</summary>
    /// <exception cref="ArgumentException">The definition does not fit the model behind the source.</exception>
    internal Scanner(IActivationSource source, ScanDefinition definition, CellStore store) : this([source], definition, store) { }

    /// <summary>Prepares a scan that measures as many checkpoints at a time as there are sources.</summary>
    /// <param name="sources">At least one; all on the same model, with the same options.</param>
    /// <param name="definition">What is measured.</param>
    /// <param name="store">The record.</param>
    /// <exception cref="ArgumentException">No source, or the definition does not fit the model behind them.</exception>
    internal Scanner(IReadOnlyList<IActivationSource> sources, ScanDefinition definition, CellStore store)
    {
        ArgumentNullException.ThrowIfNull(sources);
        ArgumentNullException.ThrowIfNull(definition);
        ArgumentNullException.ThrowIfNull(store);
        if (sources.Count == 0) throw new ArgumentException("At least one activation source is needed.", nameof(sources));
        if (definition.Shape.HiddenSize != sources[0].HiddenSize)
            throw new ArgumentException($"The directions have {definition.Shape.HiddenSize} values, but the model's hidden size is {sources[0].HiddenSize}.", nameof(definition));
        if (definition.Layer < 0 || definition.Layer >= sources[0].LayerCount)
            throw new ArgumentException($"Layer {definition.Layer} does not exist in a model of {sources[0].LayerCount}.", nameof(definition));
        _definition = definition;
        _engine = new CellEngine(sources, definition.Model, null, store);
        _prompts = new PromptSet("the evaluation prompts", definition.Prompts);
        _reducer = new ProjectionReducer(definition.Directions, definition.Traits.Count);
        Plan = sources[0].Plan(definition.Prompts, [definition.Layer]);
    }

    /// <summary>How the prompts are computed, for every checkpoint alike.</summary>
    internal CapturePlan Plan { get; }

    /// <summary>What measures.</summary>
    internal CellEngine Engine => _engine;

    /// <summary>What is measured beside the projections, on the same prompts and in the same pass; or null.</summary>
    internal (int Layer, Reducer Reducer)? Beside { get; set; }

    /// <summary>The cell of a variant.</summary>
    internal Cell CellOf(Variant variant) => new(variant, _prompts, _definition.Layer, _reducer);

    /// <summary>All cells of a variant: that of <see cref="CellOf(Variant)"/>, and what is measured beside it.</summary>
    internal Cell[] CellsOf(Variant variant) =>
        Beside is var (layer, reducer) ? [CellOf(variant), new Cell(variant, _prompts, layer, reducer)] : [CellOf(variant)];

    /// <summary>All cells of a checkpoint.</summary>
    internal Cell[] CellsOf(Checkpoint checkpoint) => CellsOf(Variant.Of(new AdapterSource(checkpoint.Path, checkpoint.Step)));

    /// <summary>Measures the base model, or takes it from the store.</summary>
    /// <exception cref="EmScanException">The base model cannot be measured.</exception>
    internal Measurement MeasureBase(CancellationToken cancellationToken = default)
    {
        CellOutcome outcome = _engine.MeasureAsync([CellOf(Variant.Base)], cancellationToken).ToBlockingEnumerable(cancellationToken).Single();
        if (outcome.Results == null) throw new EmScanException(outcome.Error!);
        var measured = Measurement.From(outcome.Results[0]);
        return measured.MeanNorm > 0 ? measured
            : throw new EmScanException("The base model's hidden states are all zero at this layer; the weights are damaged.");
    }

    /// <summary>What <see cref="Beside"/> gives for the base model.</summary>
    /// <exception cref="EmScanException">The base model cannot be measured.</exception>
    internal CellResult MeasureBaseBeside(CancellationToken cancellationToken = default)
    {
        CellOutcome outcome = _engine.MeasureAsync([CellsOf(Variant.Base)[1]], cancellationToken).ToBlockingEnumerable(cancellationToken).Single();
        return outcome.Results?[0] ?? throw new EmScanException(outcome.Error!);
    }

    /// <summary>Scans checkpoints. One that cannot be read or applied becomes a point with an error; the scan goes on.</summary>
    /// <param name="checkpoints">In the order in which they are wanted.</param>
    /// <param name="cancellationToken">Ends the scan between two batches; what was finished is on record.</param>
    /// <exception cref="EmScanException">The base model cannot be measured, or the store cannot be written.</exception>
    public async IAsyncEnumerable<ScanPoint> ScanAsync(
        IEnumerable<Checkpoint> checkpoints, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoints);
        Measurement baseline = MeasureBase(cancellationToken);
        var underWay = new ConcurrentQueue<Checkpoint>();
        await foreach (CellOutcome outcome in _engine.MeasureAsync(checkpoints.Select(Taken), cancellationToken).ConfigureAwait(false))
        {
            _ = underWay.TryDequeue(out Checkpoint? checkpoint);
            if (outcome.Results is not { } results)
            {
                yield return new FailedPoint(checkpoint!, outcome.Error!, outcome.Skipped, outcome.Elapsed);
                continue;
            }

            var measurement = Measurement.From(results[0]);
            yield return new MeasuredPoint(checkpoint!, Displacement.From(measurement, baseline, _definition.Shape.Traits), outcome.FromStore, outcome.Changed, outcome.Elapsed)
            {
                Measurement = measurement,
                Beside = results.Count > 1 ? results[1] : null,
            };
        }

        IReadOnlyList<Cell> Taken(Checkpoint checkpoint)
        {
            underWay.Enqueue(checkpoint);
            return CellsOf(checkpoint);
        }
    }
}
