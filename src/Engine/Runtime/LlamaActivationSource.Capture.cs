using System.Numerics.Tensors;
using LLama.Native;

namespace EmScan.Engine.Runtime;

/// <content>How captures are planned, and how batches run: what of the cache is kept, which tokens are computed, where the rows go.</content>
public sealed partial class LlamaActivationSource
{
    // Rows that the last block may give in one batch. llama.cpp keeps room for logits of each.
    private const int MaxOutputs = 128;

    // While a batch is prepared, the last sequence holds what the next batch keeps of the one before.
    private int Spine => _limits.Sequences - 1;

    /// <inheritdoc/>
    internal CapturePlan Plan(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers) => Plan(prompts, layers, logits: false);

    /// <inheritdoc/>
    internal CapturePlan Plan(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers, bool logits)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        foreach (CapturePrompt prompt in prompts) CheckTokens(prompt.Tokens);

        // The least cache that does: a batch with room for a long prompt above it only where there is one.
        int longest = prompts.Count == 0 ? 0 : prompts.Max(p => p.Tokens.Length);
        int batch = _limits.BatchTokens, cells = ContextLimits.PadCells(longest <= batch / 2 ? batch : longest + batch);

        // A recurrent state cannot be kept for a part of its tokens, so there every prompt starts anew.
        bool alone = _model.OneSequenceAtATime;

        // A call for a few tokens reads the same weights as one for many: cheap on a processor, which is busy multiplying, not elsewhere.
        bool stopAtCache = _options.StopAtCache && !alone && _model.Device.IsCpu;
        var limits = new CaptureLimits(batch, cells, alone ? 1 : _limits.Sequences - 1, MaxOutputs, _options.SharePrefixes && !alone, _inputs == null, stopAtCache);
        return CapturePlan.Create(prompts, layers, LayerCount, HiddenSize, limits, logits);
    }

    /// <inheritdoc/>
    public void Capture(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers, IHiddenStateSink sink, CancellationToken cancellationToken = default) =>
        Capture(Plan(prompts, layers), sink, cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The plan was made for another model or other options.</exception>
    internal void Capture(CapturePlan plan, IHiddenStateSink sink, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(sink);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (plan.LayerCount != LayerCount || plan.HiddenSize != HiddenSize
            || plan.Limits.BatchTokens > _limits.BatchTokens || plan.Limits.MaxOutputs > MaxOutputs
            || (_model.OneSequenceAtATime ? plan.Limits is not { MaxSequences: 1, SharePrefixes: false } : plan.Limits.MaxSequences >= _limits.Sequences)
            || (_inputs != null && plan.Limits.StopEarly))
        {
            throw new ArgumentException("The plan was made for another model or other options.", nameof(plan));
        }

        if (plan.Logits && sink is not ILogitSink) throw new ArgumentException("The plan has logits; they need a sink that takes them.", nameof(sink));
        if (_inputs != null && plan.Layers is [.., var last] && last == LayerCount - 1)
            throw new ArgumentException("The last layer is the input of no block; it cannot be captured by block inputs.", nameof(plan));
        if (plan.BatchCount == 0) return;
        _context.Ensure(plan.Cells, _limits.BatchTokens, plan.Outputs);
        sink = new FiniteWatch(_context, sink);
        CaptureBatch? before = null;
        foreach (CaptureBatch batch in plan.Batches)
        {
            cancellationToken.ThrowIfCancellationRequested();
            PrepareMemory(batch, before);
            if (batch.StopsAtCache)
            {
                Fill(batch, flagged: false, wanted: false);
                _tap.ArmCacheOnly(plan.Layers[^1]);
                DecodeWatched();
            }

            Deliver(plan, batch, sink);
            before = batch;
        }
    }

    private void Deliver(CapturePlan plan, CaptureBatch batch, IHiddenStateSink sink)
    {
        if (batch is { StopsAtCache: true, Columns.Length: 0 }) return;
        Fill(batch, plan.Outputs > 0, batch.StopsAtCache ? true : null);
        if (_inputs != null)
        {
            _inputs.Capture(plan.Layers, batch, sink);
        }
        else
        {
            _tap.Arm(plan.Layers, batch, sink, stop: !plan.Logits);
            DecodeWatched();
        }

        if (plan.Logits) DeliverLogits(batch, (ILogitSink)sink);
    }

    // Row by row: where llama.cpp keeps the logits of neighbours is its own affair.
    private void DeliverLogits(CaptureBatch batch, ILogitSink sink)
    {
        foreach (RowRun run in batch.Runs)
        {
            for (int i = 0; i < run.Count; i++) sink.AcceptLogits(run.Prompt, run.Slot + i, _context.Handle.GetLogitsIth(run.Column + i));
        }
    }

    private void DecodeWatched()
    {
        try
        {
            _context.Decode();
            _tap.ThrowIfIncomplete();
        }
        finally
        {
            _tap.Disarm();
        }
    }

    // Takes the tokens of a batch that are wanted, or those that are not, or all.
    private void Fill(CaptureBatch batch, bool flagged, bool? wanted)
    {
        _context.Batch.Clear(_context.BatchCapacity);
        foreach (BatchToken token in batch.Tokens)
        {
            if (wanted is { } only && token.Wanted != only) continue;
            _context.Batch.Add(token.Id, token.Position, token.FirstSequence, token.SequenceCount, flagged && token.Wanted);
        }
    }

    /// <summary>
    /// Leaves in the cache what the batch continues, under the sequences that it will use. Blocks above the last wanted layer hold nothing
    /// of use, but all batches of a plan stop at the same one.
    /// </summary>
    private void PrepareMemory(CaptureBatch batch, CaptureBatch? before)
    {
        if (before == null || batch.Retained.All(count => count == 0))
        {
            _context.ClearMemory();
            return;
        }

        // The one sequence of a recurrent model simply goes on.
        if (_model.OneSequenceAtATime) return;
        SafeLLamaContextHandle context = _context.Handle;
        var spine = (LLamaSeqId)Spine;
        context.MemorySequenceCopy((LLamaSeqId)before.Tokens[^1].FirstSequence, spine, -1, -1);
        context.MemorySequenceKeep(spine);
        for (int s = 0; s < batch.Retained.Length; s++)
        {
            if (batch.Retained[s] > 0) context.MemorySequenceCopy(spine, (LLamaSeqId)s, 0, batch.Retained[s]);
        }

        context.MemorySequenceRemove(spine, -1, -1); // Removing a whole sequence cannot fail.
    }

    /// <summary>Hands rows on, and remembers where one is not finite: see <see cref="AdaptedContext.Spoilt"/>.</summary>
    private sealed class FiniteWatch(AdaptedContext context, IHiddenStateSink inner) : ILogitSink
    {
        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
        {
            context.Spoilt |= !float.IsFinite(TensorPrimitives.Sum(states));
            inner.Accept(promptIndex, layer, firstPosition, states);
        }

        public void AcceptLogits(int promptIndex, int firstPosition, ReadOnlySpan<float> logits)
        {
            context.Spoilt |= !float.IsFinite(TensorPrimitives.Sum(logits));
            ((ILogitSink)inner).AcceptLogits(promptIndex, firstPosition, logits);
        }
    }
}
