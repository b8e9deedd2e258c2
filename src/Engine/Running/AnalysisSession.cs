using EmScan.Engine.Analyses;
using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Reports;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;
using EmScan.Kernels;

namespace EmScan.Engine.Running;

/// <summary>A model made ready for analyses: loaded, directions at hand, prompts tokenized, store open, base measured.</summary>
/// <remarks>Not thread safe. Disposing frees the model, the contexts and the store.</remarks>
internal sealed class AnalysisSession : IDisposable
{
    private readonly SessionModel _model;
    private readonly CellEngine _engine;
    private readonly ShardSession _shards;

    private AnalysisSession(SessionModel model, CellEngine engine, AnalysisContext context, ShardSession shards)
    {
        _model = model;
        _engine = engine;
        _shards = shards;
        Context = context;
    }

    /// <summary>What analyses know.</summary>
    public AnalysisContext Context { get; }

    /// <summary>Sentences for the user about what was found or decided on the way.</summary>
    public IReadOnlyList<Remark> Remarks => _model.Remarks;

    /// <summary>Loads and prepares everything and measures the base model. Slow the first time, when directions are extracted; they are cached.</summary>
    /// <param name="request">What to load; results are kept in its output folder, else in the cache.</param>
    /// <param name="progress">Told what is being done.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="EmScanException">Something that was given cannot be used; the message says what.</exception>
    public static AnalysisSession Open(ScanRequest request, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        var session = SessionModel.Load(request, progress, cancellationToken);
        try
        {
            session.OpenStore();
            (LoadedModel prepared, DirectionSet directions, int layer, CellStore store) = (session.Loaded, session.Directions, session.Layer, session.Store);
            GgufModel model = prepared.Model;
            var identity = new ModelIdentity(prepared.Sha256, prepared.NumericMode);
            var engine = new CellEngine(session.Sources, identity, model.File, store);
            var prompts = new PromptSet("evaluation prompts", prepared.EvaluationPrompts());
            ShardSession shards = session.BeginShard(engine, prompts.Prompts);
            progress?.Report(new ScanProgress("measuring base model", 0, 0));
            var baseline = new Cell(Variant.Base, prompts, layer, new ProjectionReducer(directions.Direction(layer), directions.Traits.Count));
            request.Shared?.Once(engine, baseline, "base model", progress, cancellationToken);
            double n0 = Measure(engine, [baseline], null, cancellationToken).GetAwaiter().GetResult()[0].Results![0]["norms"].Average();
            if (n0 <= 0) throw new EmScanException("The base model's hidden states are all zero at this layer; the weights are damaged.");

            FindingsHeader header = SessionHeader.Of(session, prompts.Prompts.Count, n0, shards);
            var encoder = new TextEncoder(model.Vocabulary, prepared.Encoder, prepared.Source.MaxTokens);
            var context = new AnalysisContext(model, encoder, directions, prompts, header, new CellResults(store, identity) { IsShared = request.Shared != null })
            {
                EvaluationTexts = prepared.Traits.EvalPrompts,
                TraitSet = prepared.Traits,
                Prompts = prepared.Encoder,
                IsApproximate = !request.Capture.Precise || model.File.Tensors.Values.Any(t => t.Ne.Length > 1 && t.Type.Name is not ("F32" or "F16" or "BF16")),
            };
            return new AnalysisSession(session, engine, context, shards);
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    /// <summary>The result of one cell, measured where it is not on record.</summary>
    /// <exception cref="EmScanException">It cannot be measured.</exception>
    internal CellResult Measure(Cell cell, CancellationToken cancellationToken) =>
        Measure(_engine, [cell], null, cancellationToken).GetAwaiter().GetResult()[0].Results![0];

    /// <summary>Measures what an analysis needs and is not on record, and has it conclude.</summary>
    /// <param name="analysis">The analysis.</param>
    /// <param name="measured">Called for each variant as soon as it is measured, on the calling thread's behalf; or null.</param>
    /// <param name="progress">Told how many variants of the stage at hand are done; or null.</param>
    /// <param name="cancellationToken">Ends it between two batches; what was finished is on record.</param>
    /// <exception cref="EmScanException">The analysis cannot conclude; the sentence says why.</exception>
    public async Task<Findings> RunAsync(
        IAnalysis analysis, Action<CellOutcome>? measured = null, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(analysis);
        int done = 0, total = 0;
        _engine.Progress = progress == null ? null : new PartOf(progress, At);
        foreach (IEnumerable<Cell> stage in analysis.Plan(Context))
        {
            Cell[] cells = [.. stage];
            RequireOnRecord(cells);
            (done, total) = (0, cells.Select(cell => cell.Variant).Distinct().Count());
            progress?.Report(At());
            await Measure(_engine, cells, Told, cancellationToken).ConfigureAwait(false);
        }

        _engine.Progress = null;
        progress?.Report(new ScanProgress("concluding", 0, 0));
        Findings findings = analysis.Conclude(Context);
        if (Context.KernelDevice is not FallbackKernelDevice device) return findings;
        Remark[] lost = KernelDeviceChoice.Lost(device) is { } remark ? [remark] : [];
        return findings with { Header = findings.Header == null ? null : findings.Header with { KernelDevice = device.Name }, Notes = [.. findings.Notes, .. lost] };

        void Told(CellOutcome outcome)
        {
            if (outcome.Error is { } sentence) Context.Results.Failed(outcome.Variant, sentence);
            done++;
            progress?.Report(At());
            measured?.Invoke(outcome);
        }

        ScanProgress At() => analysis.Progress ?? new ScanProgress("measuring", done, total);
    }

    /// <summary>Measures this process's share of what an analysis needs, for a merge to conclude from.</summary>
    /// <remarks>
    /// Where a stage is planned from the results of the one before, these are needed whole, whoever's share they are: what is not on record
    /// by then is measured here as well, from the end on, where the others come last.
    /// </remarks>
    /// <param name="analysis">The analysis.</param>
    /// <param name="progress">Told how many variants of the stage at hand are done; or null.</param>
    /// <param name="cancellationToken">Ends it between two batches; what was finished is on record.</param>
    /// <returns>Variants of the analysis, those of this shard's share, and those of it that could not be measured.</returns>
    internal async Task<(int All, int Own, int Failed)> RunShareAsync(IAnalysis analysis, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ShardWork work = _shards.Work ?? throw new InvalidOperationException("The session was not opened for a shard.");
        var planned = new List<IReadOnlyList<Cell>>();
        while (true)
        {
            int all = 0, own = 0;
            planned.Clear();
            try
            {
                foreach (IEnumerable<Cell> stage in analysis.Plan(Context))
                {
                    IReadOnlyList<Cell>[] groups = [.. CellEngine.ByVariant(stage)];
                    planned.AddRange(groups);
                    int[] shards = ShardShares.OfVariants(groups, work.Shard.Count);
                    IReadOnlyList<Cell>[] mine = [.. groups.Where((_, g) => shards[g] == work.Shard.Index)];
                    all += groups.Length;
                    own += mine.Length;
                    await Groups(mine, mine.Length, "measuring").ConfigureAwait(false);
                }

                _shards.End();
                return (all, own, _shards.Failures);
            }
            catch (ResultElsewhereException) when (planned.Exists(group => !Context.Results.IsKnown(group)))
            {
                await Groups(Missing(), planned.Count, "measuring what the next stage needs").ConfigureAwait(false);
            }
        }

        IEnumerable<IReadOnlyList<Cell>> Missing()
        {
            foreach (IReadOnlyList<Cell> group in planned.ToArray().Reverse())
            {
                if (Context.Results.IsKnown(group)) continue;
                _model.Store.Refresh();
                if (!Context.Results.IsKnown(group)) yield return group;
            }
        }

        async Task Groups(IEnumerable<IReadOnlyList<Cell>> groups, int total, string what)
        {
            int done = 0;
            progress?.Report(new ScanProgress(what, 0, total));
            await foreach (CellOutcome outcome in _engine.MeasureAsync(groups, cancellationToken).ConfigureAwait(false))
            {
                if (outcome.Error is { } sentence) Context.Results.Failed(outcome.Variant, sentence);
                progress?.Report(new ScanProgress(what, ++done, total));
            }
        }
    }

    /// <summary>For a merge: throws where cells of a stage were not measured, nor are known not to be measurable.</summary>
    private void RequireOnRecord(Cell[] cells)
    {
        if (_engine.Recorded is not { } recorded) return;
        IReadOnlyList<Cell>[] groups = [.. CellEngine.ByVariant(cells)];
        int[] shards = ShardShares.OfVariants(groups, recorded.Records.Count);
        MissingCells[] missing = [.. groups.Zip(shards).Where(pair => !recorded.Has(pair.First)).Select(pair => new MissingCells(pair.First[0].Variant.Name, pair.Second))];
        if (missing.Length > 0) throw new ShardsMissingException(recorded.Records, missing, groups.Length, "variants");
    }

    private static async Task<List<CellOutcome>> Measure(CellEngine engine, IEnumerable<Cell> cells, Action<CellOutcome>? told, CancellationToken cancellationToken)
    {
        var outcomes = new List<CellOutcome>();
        await foreach (CellOutcome outcome in engine.MeasureAsync(cells, cancellationToken).ConfigureAwait(false))
        {
            if (told != null) told(outcome);
            else outcomes.Add(outcome.Results != null ? outcome : throw new EmScanException(outcome.Error!));
        }

        return outcomes;
    }

    /// <summary>Tells of a variant at work behind what is done in whole.</summary>
    private sealed class PartOf(IProgress<ScanProgress> progress, Func<ScanProgress> whole) : IProgress<ScanProgress>
    {
        public void Report(ScanProgress value)
        {
            ScanProgress at = whole();
            progress.Report(value with { Stage = $"{at.Stage} {at.Done} of {at.Total}, {value.Stage}" });
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Context.Dispose();
        _model.Dispose();
    }
}
