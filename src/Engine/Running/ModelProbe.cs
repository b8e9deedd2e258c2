using System.Security.Cryptography;
using System.Text;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Running;

/// <summary>How a trial of a model in a process of its own ended.</summary>
/// <param name="Passed">Whether the model was loaded and run.</param>
/// <param name="Refusal">The one sentence with which it was refused, or null when the process died instead.</param>
/// <param name="LastWords">What the process said last, or its exit code.</param>
public sealed record ModelTrial(bool Passed, string? Refusal, string LastWords);

/// <summary>
/// llama.cpp ends the whole process on some damaged models, whatever the caller does. So a model that was never seen before is first
/// loaded, and run for one token, in a process of its own; once it has passed, its digest is remembered and the check costs nothing.
/// </summary>
public static class ModelProbe
{
    /// <summary>The model's header.</summary>
    /// <exception cref="InputFileException">There is no such file, or it is no model in GGUF.</exception>
    internal static GgufFile Header(ScanRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        InputUse.Model.Require(request.Model);
        return GgufFile.Open(request.Model);
    }

    /// <summary>Throws one sentence if the model cannot be loaded, without risking this process.</summary>
    /// <param name="request">Names the model, the device and the cache.</param>
    /// <param name="tryInChild">Starts a process that calls <see cref="LoadAndRun"/>, and waits for its end. Called only for a model that has not passed before.</param>
    /// <param name="cancellationToken">Checked while the model is hashed.</param>
    /// <exception cref="EmScanException">The model cannot be used.</exception>
    public static void Require(ScanRequest request, Func<ModelTrial> tryInChild, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tryInChild);
        ArgumentNullException.ThrowIfNull(request);

        // Before directions are extracted, which takes long.
        GgufFile header = Header(request);
        if (request.Layer is { } layer && layer >= header.BlockCount)
            throw new InvalidSettingException($"Layer {layer} does not exist: {request.Model} has layers 0 to {header.BlockCount - 1}.");

        // The shards have run it, and no weights are loaded now.
        if (request.Merged != null) return;
        string cache = request.CacheFolder ?? CacheFolder.Default;
        string digest = ModelFingerprint.Compute(request.Model, cache, request.Shared?.Owner, cancellationToken);
        string passed = Path.Combine(cache, "models", $"{digest}-{LlamaLibrary.SupportedCommit}-{DeviceKey(request.ModelOptions)}.ok");
        if (request.Shared is not { } work) Try();
        else SharedWork.Once(passed, work.Owner, () => File.Exists(passed) ? passed : null, Try, null, cancellationToken);

        void Try()
        {
            if (File.Exists(passed)) return;
            ModelTrial trial = tryInChild();
            if (!trial.Passed)
            {
                throw trial.Refusal != null ? new EmScanException(trial.Refusal) : new InputFileException(
                    request.Model,
                    $"llama.cpp ends the process when it loads this model ({trial.LastWords}); the file is damaged, or not supported by {LlamaLibrary.SupportedVersion}.");
            }

            AtomicFile.Write(passed, _ => { });
        }
    }

    /// <summary>Loads a model and runs one token through it. On some damaged models the process ends here.</summary>
    /// <exception cref="EmScanException">The model cannot be loaded, or gives no finite numbers.</exception>
    public static void LoadAndRun(string path, ModelOptions options, int threads = 0, CancellationToken cancellationToken = default)
    {
        using GgufModel model = GgufModel.Load(path, options);
        using var source = new LlamaActivationSource(model, new CaptureOptions { Threads = threads, BatchTokens = 64 });
        int[] token = [model.Vocabulary.Bos ?? 0];
        var sink = new FiniteSink();
        source.Capture([CapturePrompt.Last(token)], [model.LayerCount - 1], sink, cancellationToken);
        if (!sink.AllFinite) throw new InputFileException(model.FilePath, "its hidden states are NaN or infinite on a single token; the weights are damaged.");
    }

    /// <summary>Names what the check depends on besides the model: the device, as far as it is known before llama.cpp is loaded, and the build.</summary>
    private static string DeviceKey(ModelOptions options)
    {
        string device = options.Device?.ToLowerInvariant() ?? (options.GpuLayers == 0 ? "cpu" : LlamaLibrary.Accelerator ?? "default");
        string name = string.Concat(device.Where(char.IsAsciiLetterOrDigit));
        return LlamaLibrary.Asked(options.LlamaDirectory) is not { } folder ? name
            : $"{name}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(folder)))[..12]}";
    }

    private sealed class FiniteSink : IHiddenStateSink
    {
        internal bool AllFinite { get; private set; } = true;

        public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
        {
            foreach (float value in states) AllFinite &= float.IsFinite(value);
        }
    }
}
