using System.Runtime.ExceptionServices;
using EmScan.Engine.Runtime;
using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>
/// Measures the cells of a variant in one activation source: one pass through the model feeds all reducers and layers. Where a reducer
/// needs the base model's rows beside the variant's, the prompts go through in pieces, base first and variant behind it, and only the
/// rows of one piece are kept; where accumulators need more memory than there is, layers are measured in several passes.
/// </summary>
/// <remarks>Not thread safe. No adapter is active between two calls.</remarks>
internal sealed class CellMeasurer
{
    private const int MostPlans = 8;

    private readonly IActivationSource _source;
    private readonly MeasuringLimits _limits;
    private readonly List<(PromptSet[] Sets, int[] Layers, bool Logits, CapturePlan Plan)> _plans = [];

    internal CellMeasurer(IActivationSource source, MeasuringLimits? limits = null)
    {
        _source = source;
        _limits = limits ?? MeasuringLimits.Default;
    }

    /// <summary>Told how far a variant is, from the thread that measures it or from those that reduce its rows; or null.</summary>
    internal IProgress<ScanProgress>? Progress { get; set; }

    /// <summary>Measures cells of one variant.</summary>
    /// <param name="cells">All of the same variant.</param>
    /// <param name="variant">That variant, loaded.</param>
    /// <param name="cancellationToken">Checked between batches.</param>
    /// <returns>A result for each cell.</returns>
    /// <exception cref="EmScanException">The rows cannot be reduced; the sentence says why.</exception>
    internal CellResult[] Measure(IReadOnlyList<Cell> cells, LoadedVariant variant, CancellationToken cancellationToken)
    {
        var results = new CellResult[cells.Count];
        try
        {
            Generate(cells, variant, results, cancellationToken);
            foreach (int[] pass in Passes(cells))
            {
                CellResult[] measured;
                try
                {
                    measured = MeasurePass(cells, pass, variant, cancellationToken);
                }
                catch (KernelDeviceException)
                {
                    // What was added up on the device is lost with it; the device makes everything on the processor from now on.
                    measured = MeasurePass(cells, pass, variant, cancellationToken);
                }

                for (int i = 0; i < pass.Length; i++) results[pass[i]] = measured[i];
            }
        }
        finally
        {
            LoadedVariant.Clear(_source);
        }

        return results;
    }

    // What is generated is generated together: a batch of one token costs nearly what a batch of many does.
    private void Generate(IReadOnlyList<Cell> cells, LoadedVariant variant, CellResult[] results, CancellationToken cancellationToken)
    {
        foreach (IGrouping<int, int> some in Enumerable.Range(0, cells.Count).Where(i => cells[i].Reducer.Generates).GroupBy(i => ((GreedyAnswerReducer)cells[i].Reducer).MaxTokens))
        {
            variant.Apply(_source);
            int[][] answers = _source.GenerateGreedy([.. some.SelectMany(i => cells[i].Prompts.Prompts.Select(p => p.Tokens))], some.Key, cancellationToken);
            int from = 0;
            foreach (int i in some)
            {
                int count = cells[i].Prompts.Prompts.Count;
                results[i] = GreedyAnswerReducer.Result(answers.Skip(from).Take(count));
                from += count;
            }
        }
    }

    private CellResult[] MeasurePass(IReadOnlyList<Cell> cells, int[] pass, LoadedVariant variant, CancellationToken cancellationToken)
    {
        var subscriptions = new List<CellSubscription>(pass.Length);
        try
        {
            foreach (int i in pass) subscriptions.Add(new CellSubscription(cells[i], _source.HiddenSize));
            Run([.. subscriptions], variant, cancellationToken);
            return FinishAll(subscriptions, cancellationToken);
        }
        finally
        {
            foreach (CellSubscription subscription in subscriptions) (subscription.Accumulator as IDisposable)?.Dispose();
        }
    }

    // Cells in the order of their layers, as many at a time as fit into memory. An early pass stops at an early layer.
    private IEnumerable<int[]> Passes(IReadOnlyList<Cell> cells)
    {
        var pass = new List<int>();
        long bytes = 0;
        foreach (int i in Enumerable.Range(0, cells.Count).Where(i => !cells[i].Reducer.Generates).OrderBy(i => cells[i].Layer ?? int.MaxValue))
        {
            long needed = cells[i].Reducer.StateBytes(cells[i].Prompts, _source.HiddenSize);
            if (pass.Count > 0 && bytes + needed > _limits.StateBytes)
            {
                yield return [.. pass];
                pass.Clear();
                bytes = 0;
            }

            pass.Add(i);
            bytes += needed;
        }

        if (pass.Count > 0) yield return [.. pass];
    }

    // Side by side: what takes long, the spectra of a wide model, is one thread's work each. Each has memory of its own meanwhile, so that no
    // more are at work than there is room for.
    private CellResult[] FinishAll(List<CellSubscription> subscriptions, CancellationToken cancellationToken)
    {
        long[] bytes = [.. subscriptions.Select(s => s.Cell.Reducer.FinishBytes(s.Cell.Prompts, _source.HiddenSize))];
        int[] order = [.. Enumerable.Range(0, bytes.Length).OrderByDescending(i => bytes[i])];
        int threads = (int)Math.Clamp(_limits.StateBytes / Math.Max(1, bytes.Max()), 1, _source.Threads), next = 0, done = 0;
        var results = new CellResult[subscriptions.Count];
        try
        {
            Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken }, _ =>
            {
                for (int taken; (taken = Interlocked.Increment(ref next) - 1) < order.Length;)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    results[order[taken]] = Finish(subscriptions[order[taken]]);
                    Progress?.Report(new ScanProgress("reducing", Interlocked.Increment(ref done), results.Length));
                }
            });
        }
        catch (AggregateException failures)
        {
            ExceptionDispatchInfo.Throw(failures.InnerExceptions[0]);
        }

        return results;
    }

    private static CellResult Finish(CellSubscription subscription)
    {
        CellResult result = subscription.Accumulator.Finish();
        return result.IsFinite ? result : throw new EmScanException(
            $"the hidden states of '{subscription.Cell.Prompts.Name}' hold NaN or infinity{(subscription.Cell.Layer is { } layer ? $" at layer {layer}" : "")}; the weights are damaged or overflow.");
    }

    // Logits take the whole network and the head, so prompts without them go through on their own and stop early, unless they are other
    // positions of the very same sequences.
    private void Run(CellSubscription[] subscriptions, LoadedVariant variant, CancellationToken cancellationToken)
    {
        PromptSet[] withLogits = [.. subscriptions.Where(s => s.Cell.Reducer.ReadsLogits).Select(s => s.Cell.Prompts).Distinct()];
        HashSet<int[]> sequences = [.. withLogits.SelectMany(set => set.Prompts).Select(p => p.Tokens)];
        HashSet<PromptSet> along = [.. subscriptions.Select(s => s.Cell.Prompts).Distinct().Where(set => set.Prompts.All(p => sequences.Contains(p.Tokens)))];
        foreach (IGrouping<bool, CellSubscription> part in subscriptions.GroupBy(s => along.Contains(s.Cell.Prompts) && !s.Cell.Reducer.NeedsBase))
        {
            CellSubscription[] some = [.. part];
            PromptSet[] sets = [.. some.Select(s => s.Cell.Prompts).Distinct()];
            int[] layers = [.. some.Select(s => s.Cell.Layer).OfType<int>().Distinct().Order()];
            if (Array.Exists(some, s => s.Cell.Reducer.NeedsBase)) RunPaired(some, sets, layers, variant, cancellationToken);
            else RunAlone(some, sets, layers, part.Key, variant, cancellationToken);
        }
    }

    private void RunAlone(CellSubscription[] subscriptions, PromptSet[] sets, int[] layers, bool logits, LoadedVariant variant, CancellationToken cancellationToken)
    {
        PromptPiece whole = PromptPiece.Whole(sets);
        variant.Apply(_source);
        var sink = new RowSink(whole, sets, subscriptions, _source.HiddenSize, null, logits ? _source.VocabularySize : 0);
        _source.Capture(PlanOf(sets, layers, logits, whole), sink, cancellationToken);
    }

    private void RunPaired(CellSubscription[] subscriptions, PromptSet[] sets, int[] layers, LoadedVariant variant, CancellationToken cancellationToken)
    {
        int[] pairedLayers = [.. subscriptions.Where(s => s.Cell.Reducer.NeedsBase).Select(s => s.Cell.Layer!.Value).Distinct().Order()];
        bool[] paired = [.. sets.Select(set => Array.Exists(subscriptions, s => s.Cell.Reducer.NeedsBase && s.Cell.Prompts == set))];
        long rowBytes = (long)pairedLayers.Length * _source.HiddenSize * sizeof(float);
        var sink = new RowSink(PromptPiece.Whole(sets), sets, subscriptions, _source.HiddenSize, new BaseRows(pairedLayers, _source.HiddenSize));
        int done = 0, total = (int)Math.Min(int.MaxValue, sets.Sum(set => set.Rows));
        foreach (PromptPiece piece in PromptPiece.Cut(sets, Math.Max(1, _limits.BaseRowBytes / rowBytes)))
        {
            Progress?.Report(new ScanProgress("states", done, total));
            sink.Begin(piece, paired);
            if (sink.PairedPrompts.Count > 0)
            {
                LoadedVariant.Clear(_source);
                _source.Capture(sink.PairedPrompts, pairedLayers, sink.BaseSink, cancellationToken);
            }

            variant.Apply(_source);
            _source.Capture(piece.Prompts, layers, sink, cancellationToken);
            done += piece.Prompts.Sum(prompt => prompt.Positions.Length);
        }
    }

    // Variant after variant is measured on the same prompts: the plan is made once.
    private CapturePlan PlanOf(PromptSet[] sets, int[] layers, bool logits, PromptPiece whole)
    {
        foreach ((PromptSet[] knownSets, int[] knownLayers, bool knownLogits, CapturePlan known) in _plans)
        {
            if (knownLogits == logits && knownSets.SequenceEqual(sets) && knownLayers.SequenceEqual(layers)) return known;
        }

        CapturePlan plan = _source.Plan(whole.Prompts, layers, logits);
        if (_plans.Count == MostPlans) _plans.RemoveAt(0);
        _plans.Add((sets, layers, logits, plan));
        return plan;
    }
}
