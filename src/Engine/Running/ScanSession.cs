using System.Runtime.CompilerServices;
using EmScan.Engine.Adapters;
using EmScan.Engine.Analyses.Scan;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts;
using EmScan.Kernels;

namespace EmScan.Engine.Running;

/// <summary>
/// A scan made ready from a request: model loaded, directions at hand, prompts tokenized, store open, base measured. The way from here
/// is <see cref="Scanner.ScanAsync"/>.
/// </summary>
/// <remarks>Not thread safe. Disposing frees the model, the context and the store.</remarks>
public sealed class ScanSession : IDisposable, IAsyncDisposable
{
    private readonly Lazy<GgufFile> _modelFile;
    private readonly SessionModel _model;
    private LatentMeasurement? _latents;

    private ScanSession(SessionModel model, Scanner scanner, ScanDefinition definition, Measurement baseline, ScanHeader header, ShardSession shards)
    {
        _model = model;
        Scanner = scanner;
        Definition = definition;
        Baseline = baseline;
        Header = header;
        Shards = shards;
        _modelFile = new Lazy<GgufFile>(() => GgufFile.Open(Prepared.Request.Model));
    }

    /// <summary>The model and what belongs to it.</summary>
    internal LoadedModel Prepared => _model.Loaded;

    /// <summary>The trait directions in use.</summary>
    internal DirectionSet Directions => _model.Directions;

    /// <summary>The base's answers that are measured on; null at the last prompt token, which needs none.</summary>
    internal BaseAnswers? Answers { get; private init; }

    /// <summary>The part that this process has in a division of the work, where there is one.</summary>
    internal ShardSession Shards { get; }

    /// <summary>What is measured.</summary>
    internal ScanDefinition Definition { get; }

    /// <summary>The record on disk.</summary>
    internal CellStore Store => _model.Store;

    /// <summary>The scanner.</summary>
    public Scanner Scanner { get; }

    /// <summary>The base model's measurement.</summary>
    internal Measurement Baseline { get; }

    /// <summary>What reports say above their rows.</summary>
    public ScanHeader Header { get; private set; }

    /// <summary>Sentences for the user about what was found or decided on the way.</summary>
    public IReadOnlyList<Remark> Remarks => _model.Remarks;

    /// <summary>The base model's own point: no drift.</summary>
    public Displacement BaselinePoint => Displacement.From(Baseline, Baseline, Definition.Shape.Traits);

    /// <summary>What this session measures on, as calibrations record it and compare it with their own.</summary>
    internal CalibratedBase MeasuredBase =>
        new(Header.ModelSha256, Header.ModelDescription, Header.LayerCount, Header.Layer, Header.Traits, Header.Prompts, Header.NumericMode, BaselinePoint.NormalizedProjections)
        {
            Place = Header.Place,
            DirectionsPooling = Header.DirectionsPooling,
            DirectionsMethod = Directions.Metadata.Method,
            Directions = Definition.Directions.ToArray(),
            Answers = Answers,
            Autoencoder = _latents == null ? null : CalibratedAutoencoder.Of(_latents.Autoencoder),
        };

    /// <summary>Says that the device which computed latents has failed; null while it has not.</summary>
    internal Remark? KernelDeviceLost => _latents == null ? null : KernelDeviceChoice.Lost(_latents.Device);

    /// <summary>Has the latents of a sparse autoencoder measured with every checkpoint from now on, in the same pass; those of the base at once.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="device">Where they are computed; the session closes it.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="InputFileException">It is of another width, or of a layer that the model does not have.</exception>
    /// <exception cref="EmScanException">The base cannot be measured.</exception>
    internal void MeasureLatents(SparseAutoencoder autoencoder, IKernelDevice device, CancellationToken cancellationToken = default)
    {
        try
        {
            autoencoder.RequireFor(Header.HiddenSize, Header.LayerCount);
            var latents = LatentMeasurement.Begin(Scanner, autoencoder, device, Prepared.Request.Shared, cancellationToken);
            _latents?.Dispose();
            _latents = latents;
        }
        catch
        {
            device.Dispose();
            throw;
        }

        if (!device.IsCpu) Header = Header with { KernelDevice = device.Name };
    }

    /// <summary>A measured checkpoint as features see it; its files are read when a feature asks for them.</summary>
    /// <param name="model">Names the base model.</param>
    /// <param name="point">The point.</param>
    internal Observation Observe(string model, MeasuredPoint point)
    {
        ArgumentNullException.ThrowIfNull(point);
        Checkpoint checkpoint = point.Checkpoint;
        return new Observation(
            model, checkpoint.Run, checkpoint.Step, Definition.Traits, point.Displacement,
            new Lazy<AdapterFacts>(() => AdapterFacts.Read(checkpoint.Path, checkpoint.Step, _modelFile.Value)))
        {
            Latents = _latents?.Of(point),
        };
    }

    /// <summary>What is to be thought of a point: a verdict with its doubts, or that nothing is known.</summary>
    internal Assessment Assess(ScanPoint point, Assessor assessor)
    {
        ArgumentNullException.ThrowIfNull(point);
        ArgumentNullException.ThrowIfNull(assessor);
        return point switch
        {
            MeasuredPoint measured => assessor.Of(point.Checkpoint, Observe(Header.ModelPath, measured)),
            FailedPoint { Skipped: { } skipped } => Assessment.Skipped(skipped.Text),
            FailedPoint failed => Assessment.Failed(failed.Error),
            _ => throw new InvalidOperationException($"A point of an unknown kind, {point.GetType().Name}."),
        };
    }

    /// <summary>Scans checkpoints and says what is to be thought of each.</summary>
    /// <param name="found">The checkpoints. What was left out of them has no row: <see cref="DiscoveredCheckpoints.Remarks"/> says so.</param>
    /// <param name="judge">What verdicts rest on.</param>
    /// <param name="cancellationToken">Ends the scan between two batches; what was finished is on record.</param>
    /// <exception cref="EmScanException">The store cannot be written.</exception>
    public async IAsyncEnumerable<(ScanPoint Point, Assessment Assessment)> ScanAsync(
        DiscoveredCheckpoints found, Judge judge, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(found);
        ArgumentNullException.ThrowIfNull(judge);
        var assessor = new Assessor(judge, AdapterCensus.Take(found, _modelFile.Value, cancellationToken), Header.Layer, Header.LayerCount);
        await foreach (ScanPoint point in Scanner.ScanAsync(found.Runs.SelectMany(run => run.Checkpoints), cancellationToken).ConfigureAwait(false))
            yield return (point, Assess(point, assessor));
    }

    /// <summary><see cref="Open"/> on a thread of the pool, for callers that must not be kept waiting: a user interface, a server.</summary>
    /// <exception cref="EmScanException">Something that was given cannot be used; the message says what.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; nothing stays loaded.</exception>
    public static Task<ScanSession> OpenAsync(ScanRequest request, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Task.Run(() => Open(request, progress, cancellationToken), cancellationToken);
    }

    /// <summary>Loads and prepares everything and measures the base model. Slow the first time, when directions are extracted; they are cached.</summary>
    /// <exception cref="EmScanException">Something that was given cannot be used; the message says what.</exception>
    public static ScanSession Open(ScanRequest request, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        var session = SessionModel.Load(request, progress, cancellationToken);
        try
        {
            LoadedModel prepared = session.Loaded;
            BaseAnswers? answers = BaseAnswersProvider.Get(prepared, progress, session.Remarks, cancellationToken);
            var definition = new ScanDefinition(
                prepared.Sha256, session.Layer, session.Directions.Traits, session.Directions.Direction(session.Layer).ToArray(),
                prepared.MeasuredPrompts(answers), prepared.NumericMode);
            session.OpenStore();
            CellStore store = session.Store;
            var scanner = new Scanner(session.Sources, definition, store);
            string oldFolder = request.OutputFolder ?? Path.Combine(prepared.Cache, "scans");
            if (!request.Recompute && request is { Shared: null, Merged: null } && OldJournal.TakeOver(oldFolder, definition, scanner.CellOf, store) is { } takenOver) session.Remarks.Add(new Remark("old-journal", takenOver));
            ShardSession shards = session.BeginShard(scanner.Engine, definition.Prompts);
            progress?.Report(new ScanProgress("measuring base model", 0, 0));
            request.Shared?.Once(scanner.Engine, scanner.CellOf(Variant.Base), "base model", progress, cancellationToken);
            Measurement baseline = scanner.MeasureBase(cancellationToken);

            ScanHeader header = SessionHeader.Of(session, definition.Shape.Prompts, baseline.MeanNorm, shards);
            return new ScanSession(session, scanner, definition, baseline, header, shards) { Answers = answers };
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    /// <summary>What a checkpoint's files say of it.</summary>
    /// <exception cref="InputFileException">A file is missing or damaged.</exception>
    internal AdapterSurvey Survey(Checkpoint checkpoint) => Shards.Survey(checkpoint.Path, Store);

    /// <summary>For a merge: throws where a checkpoint was not measured, nor is known not to be measurable.</summary>
    /// <exception cref="ShardsMissingException">It says which, and which shards have not finished.</exception>
    internal void RequireOnRecord(DiscoveredCheckpoints found)
    {
        if (Scanner.Engine.Recorded is not { } recorded) return;
        Dictionary<string, int> shards = ShardShares.OfCheckpoints(found.Runs, recorded.Records.Count);
        MissingCells[] missing =
        [
            .. found.Runs.SelectMany(run => run.Checkpoints).Where(c => !recorded.Has(Scanner.CellsOf(c)))
                .Select(c => new MissingCells($"{c.Run} step {c.Step}", shards[c.Path])),
        ];
        if (missing.Length > 0) throw new ShardsMissingException(recorded.Records, missing, found.Count, "checkpoints");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _latents?.Dispose();
        _model.Dispose();
    }

    /// <summary><see cref="Dispose"/> on a thread of the pool: freeing a large model takes a while.</summary>
    public ValueTask DisposeAsync() => new(Task.Run(Dispose));
}
