using EmScan.Engine.Formats;

namespace EmScan.Engine.Runtime;

/// <summary>
/// What gives hidden states for (tokens, adapters with scales, layers, positions). Everything above Runtime measures through this seam.
/// </summary>
/// <remarks>
/// Layer convention, everywhere in emscan: layer l is the residual stream after block l, blocks counted from 0
/// (hidden_states[l + 1] in transformers' terms). Not thread safe: one source is used by one thread at a time.
/// </remarks>
internal interface IActivationSource
{
    /// <summary>Number of blocks L; layers run from 0 to L - 1.</summary>
    int LayerCount { get; }

    /// <summary>Width of the residual stream, D.</summary>
    int HiddenSize { get; }

    /// <summary>Size of the vocabulary, V: logits of a position are so many.</summary>
    /// <exception cref="NotSupportedException">This source gives no logits.</exception>
    int VocabularySize => throw new NotSupportedException("This source gives no logits.");

    /// <summary>Longest sequence, in tokens, that a capture accepts.</summary>
    int MaxTokens { get; }

    /// <summary>Threads that a capture uses. As many may work on its rows when it is over.</summary>
    int Threads => 1;

    /// <summary>Opens an adapter (a PEFT folder or a LoRA GGUF file) so that it can be put into an adapter set.</summary>
    /// <exception cref="InputFileException">The adapter is malformed, does not fit this model, or cannot be represented exactly.</exception>
    ILoadedAdapter LoadAdapter(string path);

    /// <summary>
    /// Opens an adapter for captures up to a layer. What it changes behind that layer is checked all the same, but need not be loaded.
    /// </summary>
    /// <param name="path">A PEFT folder or a LoRA GGUF file.</param>
    /// <param name="lastLayer">The last layer that will be captured while the adapter is active.</param>
    /// <exception cref="InputFileException">The adapter is malformed, does not fit this model, or cannot be represented exactly.</exception>
    /// <remarks>Both overloads may be called from any thread, also while another thread captures.</remarks>
    ILoadedAdapter LoadAdapter(string path, int lastLayer) => LoadAdapter(path);

    /// <summary>Opens an adapter that is already in memory, for captures up to a layer; from any thread, as the overloads with a path.</summary>
    /// <param name="adapter">In the terms of this model.</param>
    /// <param name="lastLayer">The last layer that will be captured while the adapter is active.</param>
    /// <exception cref="InputFileException">The model does not take it.</exception>
    /// <exception cref="NotSupportedException">This source reads adapters from files only.</exception>
    ILoadedAdapter LoadAdapter(LoraAdapter adapter, int lastLayer) => throw new NotSupportedException("This source reads adapters from files only.");

    /// <summary>Makes a weighted set of adapters active for all later calls; an empty set is the base model exactly.</summary>
    void SetAdapters(IReadOnlyList<WeightedAdapter> adapters);

    /// <summary>Adds a control vector to the residual stream in all later calls; null removes it.</summary>
    /// <exception cref="ArgumentException">The vector belongs to a model of another size.</exception>
    /// <exception cref="NotSupportedException">This source cannot steer.</exception>
    void SetSteering(ControlVector? vector)
    {
        if (vector != null) throw new NotSupportedException("This source cannot steer.");
    }

    /// <summary>
    /// Runs the prompts and hands the wanted hidden states to <paramref name="sink"/>, as they are computed. Nothing else is kept.
    /// The result for a prompt does not depend on the other prompts beyond the stated tolerance of the numeric mode.
    /// </summary>
    /// <param name="prompts">P prompts; each with at most <see cref="MaxTokens"/> tokens.</param>
    /// <param name="layers">Wanted layers, strictly ascending, each in [0, L).</param>
    /// <param name="sink">Receives every (prompt, layer, position) exactly once; order between prompts and layers is not specified,
    /// positions of one (prompt, layer) arrive in ascending order.</param>
    /// <param name="cancellationToken">Checked between batches.</param>
    void Capture(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers, IHiddenStateSink sink, CancellationToken cancellationToken = default);

    /// <summary>Decides once how a set of prompts is computed, so that it need not be decided again for every checkpoint.</summary>
    /// <param name="prompts">As for <see cref="Capture(IReadOnlyList{CapturePrompt}, IReadOnlyList{int}, IHiddenStateSink, CancellationToken)"/>.</param>
    /// <param name="layers">As there.</param>
    CapturePlan Plan(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers) =>
        CapturePlan.Create(prompts, layers, LayerCount, HiddenSize, CaptureLimits.Default);

    /// <summary>As <see cref="Plan(IReadOnlyList{CapturePrompt}, IReadOnlyList{int})"/>, with the logits of the wanted positions.</summary>
    /// <param name="prompts">As there.</param>
    /// <param name="layers">As there; none where only logits are wanted.</param>
    /// <param name="logits">Whether the sink, an <see cref="ILogitSink"/>, gets logits. They take the whole network and, for the wanted
    /// positions, the vocabulary head; a position costs V numbers, so ask for those that are needed.</param>
    /// <exception cref="NotSupportedException">This source gives no logits.</exception>
    CapturePlan Plan(IReadOnlyList<CapturePrompt> prompts, IReadOnlyList<int> layers, bool logits) =>
        logits ? throw new NotSupportedException("This source gives no logits.") : Plan(prompts, layers);

    /// <summary>Runs a plan that this source, or one on the same model with the same options, has made.</summary>
    void Capture(CapturePlan plan, IHiddenStateSink sink, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(plan);
        Capture(plan.Prompts, plan.Layers, sink, cancellationToken);
    }

    /// <summary>Continues each prompt greedily (argmax, lowest token id on ties) until an end-of-generation token, which is not returned, or the limit.</summary>
    /// <returns>The new token ids of each prompt, at most <paramref name="maxNewTokens"/> each.</returns>
    int[][] GenerateGreedy(IReadOnlyList<int[]> prompts, int maxNewTokens, CancellationToken cancellationToken = default);
}

/// <summary>Receives hidden states from a capture.</summary>
public interface IHiddenStateSink
{
    /// <summary>Takes some rows of one prompt at one layer.</summary>
    /// <param name="promptIndex">Index into the prompts of the call.</param>
    /// <param name="layer">Layer the rows come from.</param>
    /// <param name="firstPosition">Index into <see cref="CapturePrompt.Positions"/> of the first row.</param>
    /// <param name="states">Hidden states, (n, D) row-major, F32. Valid only during the call.</param>
    void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states);
}

/// <summary>Receives logits too, from a plan that has them.</summary>
internal interface ILogitSink : IHiddenStateSink
{
    /// <summary>Takes logits of one prompt. Every (prompt, position) arrives exactly once; positions of one prompt in ascending order.</summary>
    /// <param name="promptIndex">Index into the prompts of the call.</param>
    /// <param name="firstPosition">Index into <see cref="CapturePrompt.Positions"/> of the first row.</param>
    /// <param name="logits">Logits of the token behind each position, before any softmax, (n, V) row-major, F32. Valid only during the call.</param>
    void AcceptLogits(int promptIndex, int firstPosition, ReadOnlySpan<float> logits);
}

/// <summary>An adapter that a source has opened. Disposing frees its memory; it must not be in the active set then.</summary>
public interface ILoadedAdapter : IDisposable
{
    /// <summary>The path it was opened from.</summary>
    string Path { get; }
}

/// <summary>An adapter and the factor on its weight difference: 1 as trained, 0 the base model, anything between the line between them.</summary>
public readonly record struct WeightedAdapter(ILoadedAdapter Adapter, float Scale);

/// <summary>Turns a system text and a user turn into the token ids of a prompt that ends where the assistant would start.</summary>
internal interface IPromptEncoder
{
    /// <summary>Renders with the model's chat template and tokenizes.</summary>
    /// <param name="system">System text, or null for none.</param>
    /// <param name="user">The user turn.</param>
    /// <exception cref="EmScanException">The template cannot be rendered.</exception>
    int[] Encode(string? system, string user);

    /// <summary>Names everything that the rendering depends on (template hash, fallback in use), for caches.</summary>
    string Identity { get; }
}
