using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Measuring;

/// <summary>A model loaded as a request asks, with its traits, its tokenizing of prompts and a source of hidden states.</summary>
/// <remarks>Not thread safe. Disposing frees the context, and the model unless it was given.</remarks>
internal sealed class LoadedModel : IDisposable
{
    private LoadedModel(ScanRequest request, GgufModel model, LlamaActivationSource source, (int, int) parallel, ChatPromptEncoder encoder, TraitSet traits, string traitSource, string sha256)
    {
        Request = request;
        Model = model;
        Source = source;
        Parallel = parallel;
        Encoder = encoder;
        Traits = traits;
        TraitSource = traitSource;
        Sha256 = sha256;
        NumericMode = request.Merged?.First.NumericMode ?? $"{(request.Capture.Precise ? "exact" : "fast")}, {(model.Device.IsCpu ? "CPU" : model.Device.Name)}";
    }

    /// <summary>What was asked for, with the pooling of the directions decided.</summary>
    public ScanRequest Request { get; }

    /// <summary>Where hidden states are taken.</summary>
    public MeasuredPlace Place => Request.Place ?? MeasuredPlace.LastPromptToken;

    /// <summary>The loaded model.</summary>
    public GgufModel Model { get; }

    /// <summary>Where hidden states come from.</summary>
    public LlamaActivationSource Source { get; }

    /// <summary>Contexts that measure checkpoints at the same time, and the threads of each.</summary>
    public (int Contexts, int ThreadsEach) Parallel { get; }

    /// <summary>Turns prompts into tokens.</summary>
    public ChatPromptEncoder Encoder { get; }

    /// <summary>The traits.</summary>
    public TraitSet Traits { get; }

    /// <summary>Where the traits come from, for reports.</summary>
    public string TraitSource { get; }

    /// <summary>Digest of the model file.</summary>
    public string Sha256 { get; }

    /// <summary>"exact" or "fast" and the kind of device: numbers of different modes are not mixed.</summary>
    public string NumericMode { get; }

    /// <summary>Folder for what can be computed again.</summary>
    public string Cache => Request.CacheFolder ?? CacheFolder.Default;

    /// <summary>Loads the model and what belongs to it.</summary>
    /// <exception cref="EmScanException">Something that was given cannot be used; the message says what.</exception>
    public static LoadedModel Load(ScanRequest request, IProgress<ScanProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        request.Validate();
        Pooling pooling = request.Extraction.Pooling ?? (request.Place ?? MeasuredPlace.LastPromptToken).MatchingPooling();
        request = request with { Extraction = request.Extraction with { Pooling = pooling } };
        var traits = TraitSelection.Load(request.TraitsFile, request.Model, out string traitSource);
        progress?.Report(new ScanProgress("loading model", 0, 0));
        GgufModel model = request.Loaded ?? GgufModel.Load(
            request.Model, request.Merged == null ? request.ModelOptions : request.ModelOptions with { VocabularyOnly = true, GpuLayers = 0, Device = null });
        LlamaActivationSource? source = null;
        try
        {
            string sha256 = ModelFingerprint.Compute(request.Model, request.CacheFolder ?? CacheFolder.Default, request.Shared?.Owner, cancellationToken);
            var encoder = ChatPromptEncoder.Create(model, request.ChatTemplate, traits.Acknowledgement);
            (int contexts, int threads) = ThreadCount.Split(
                request.Capture.Threads, request.Parallel, model.ParameterCount, model.HiddenSize, model.Device.IsCpu);

            // Directions are extracted in one context, with all threads unless the model is too small for that.
            int all = request.Capture.Threads > 0 ? request.Capture.Threads : ThreadCount.IsSmall(model.ParameterCount) ? 1 : contexts * threads;
            source = new LlamaActivationSource(model, request.Capture with { Threads = all });
            return new LoadedModel(request, model, source, (contexts, threads), encoder, traits, traitSource, sha256);
        }
        catch
        {
            source?.Dispose();
            if (model != request.Loaded) model.Dispose();
            throw;
        }
    }

    /// <summary>The layer to measure: the one asked for, else half of the layers.</summary>
    /// <exception cref="EmScanException">The model has no such layer.</exception>
    public int ChooseLayer(int? byDefault = null)
    {
        int layer = Request.Layer ?? byDefault ?? Model.LayerCount / 2;
        return layer >= 0 && layer < Model.LayerCount ? layer
            : throw new InvalidSettingException($"Layer {layer} does not exist: {Request.Model} has layers 0 to {Model.LayerCount - 1}.");
    }

    /// <summary>The evaluation prompts as single user turns without a system text, (P), the last token of each to be captured.</summary>
    public CapturePrompt[] EvaluationPrompts() => [.. EncodedPrompts().Select(CapturePrompt.Last)];

    /// <summary>The evaluation prompts, (P), with the positions of the place that was asked for.</summary>
    /// <param name="answers">The base's answers; null where the place needs none.</param>
    internal CapturePrompt[] MeasuredPrompts(BaseAnswers? answers) =>
        answers == null ? EvaluationPrompts() : answers.After(EncodedPrompts(), Place);

    /// <summary>Token ids of each evaluation prompt, (P).</summary>
    internal int[][] EncodedPrompts() => [.. Traits.EvalPrompts.Select(prompt => Encoder.Encode(null, prompt))];

    /// <inheritdoc/>
    public void Dispose()
    {
        Source.Dispose();
        if (Model != Request.Loaded) Model.Dispose();
    }
}
