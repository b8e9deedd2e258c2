using System.Globalization;
using System.Runtime.CompilerServices;
using EmScan.Engine.Formats;
using LLama;
using LLama.Exceptions;
using LLama.Native;

namespace EmScan.Engine.Runtime;

/// <summary>A GGUF model loaded through LLamaSharp: weights, vocabulary and what its header says. Contexts and adapters are made from it.</summary>
/// <remarks>Immutable after loading and safe to share between threads; several activation sources may run on one model.</remarks>
public sealed unsafe class GgufModel : IDisposable
{
    // llama.cpp keeps the adapters of a model in a list without a lock, and one model may be attached to more than once.
    private static readonly ConditionalWeakTable<SafeLlamaModelHandle, Lock> Gates = [];

    private readonly SafeLlamaModelHandle _handle;
    private readonly bool _owned;
    private int _disposed;

    private GgufModel(LlamaLibrary library, SafeLlamaModelHandle handle, bool owned, string path, GgufFile file, LlamaDevice device)
    {
        Library = library;
        _handle = handle;
        _owned = owned;
        FilePath = path;
        File = file;
        Device = device;
        Vocabulary = new Vocabulary(this);

        // llama.cpp reads sizes together with weights; without these the header has to do.
        bool whole = handle.LayerCount > 0;
        LayerCount = whole ? handle.LayerCount : (int)file.BlockCount;
        HiddenSize = whole ? handle.EmbeddingSize : (int)(file.GetInteger($"{file.Architecture}.embedding_length") ?? 0);
        TrainedContext = whole ? handle.ContextSize : (int)(file.GetInteger($"{file.Architecture}.context_length") ?? 0);
        ParameterCount = (long)handle.ParameterCount;
        string fileType = LlamaLibrary.Utf8(library.Imports.FileTypeName((int)handle.FileType));
        Description = $"{file.Architecture}, {Count(ParameterCount)} parameters, {fileType}";
        OneSequenceAtATime = handle.IsRecurrent || library.Imports.ModelIsHybrid(handle.DangerousGetHandle()) != 0;
        AdapterGate = Gates.GetValue(handle, _ => new Lock());
    }

    internal LlamaLibrary Library { get; }

    /// <summary>The native model.</summary>
    /// <exception cref="ObjectDisposedException">This was disposed.</exception>
    internal SafeLlamaModelHandle Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed != 0, this);
            return _handle;
        }
    }

    /// <summary>Held while an adapter of this model is loaded or freed.</summary>
    internal Lock AdapterGate { get; }

    /// <summary>Recurrent models regroup the tokens of a batch by sequence, so that columns no longer follow batch order.</summary>
    internal bool OneSequenceAtATime { get; }

    /// <summary>The llama.cpp that runs it, as <see cref="LlamaLibrary.Version"/>.</summary>
    public string LlamaVersion => Library.Version;

    /// <summary>The file as it was given.</summary>
    public string FilePath { get; }

    /// <summary>The header: metadata and tensor list.</summary>
    internal GgufFile File { get; }

    /// <summary>The device that computes: the accelerator where layers are offloaded, else the CPU.</summary>
    public LlamaDevice Device { get; }

    /// <summary>Tokenizer and special tokens.</summary>
    internal Vocabulary Vocabulary { get; }

    /// <summary>Number of blocks, L.</summary>
    public int LayerCount { get; }

    /// <summary>Width of the residual stream, D.</summary>
    public int HiddenSize { get; }

    /// <summary>Context length the model was trained with, in tokens.</summary>
    public int TrainedContext { get; }

    /// <summary>Number of weights.</summary>
    public long ParameterCount { get; }

    /// <summary>For people: architecture, size, quantization.</summary>
    public string Description { get; }

    /// <summary>Loads a model. Its header is validated first, because llama.cpp aborts the process on some malformed files.</summary>
    /// <exception cref="InputFileException">The file is missing, malformed, not a language model with a decoder, or refused by llama.cpp.</exception>
    /// <exception cref="LlamaException">llama.cpp itself, or the device asked for, is not available.</exception>
    public static GgufModel Load(string path, ModelOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new ModelOptions();
        if (options.LoggerFactory is { } factory) LlamaLibrary.LogTo(factory);
        GgufFile file = GgufFile.Open(path);
        GgufModelValidator.Validate(file);
        GgufModelValidator.RequireWeights(file);
        LlamaArchitectures.Require(file);

        bool cpuAsked = options.GpuLayers == 0 || "cpu".Equals(options.Device, StringComparison.OrdinalIgnoreCase);
        LlamaLibrary library = LlamaLibrary.Load(options.LlamaDirectory, allowFallback: cpuAsked);
        LlamaDevice device = ChooseDevice(library, options, cpuAsked);
        LLamaModelParams parameters = LLamaModelParams.Default();
        parameters.n_gpu_layers = device.IsCpu ? 0 : options.GpuLayers;
        parameters.vocab_only = options.VocabularyOnly;
        parameters.load_mode = options.CopyWeights || !NativeApi.llama_supports_mmap() ? LLamaLoadMode.None : LLamaLoadMode.MemoryMap;

        // An empty list, not a null one: with null, llama.cpp offloads large batches to an accelerator even when no layer lives there.
        nint* devices = stackalloc nint[2] { device.IsCpu ? 0 : device.Handle, 0 };
        parameters.devices = devices;

        SafeLlamaModelHandle handle;
        try
        {
            handle = SafeLlamaModelHandle.LoadFromFile(path, parameters);
        }
        catch (LoadWeightsFailedException e)
        {
            throw new InputFileException(path, "llama.cpp cannot load this model; its own words are in the log.", e);
        }

        try
        {
            RefuseOtherKinds(handle, path);
            return new GgufModel(library, handle, owned: true, path, file, device);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Takes a model that the host has loaded through LLamaSharp. Its weights are shared, not loaded a second time; they stay the host's:
    /// disposing this frees nothing of it. Neither LLamaSharp's configuration nor its log is touched.
    /// </summary>
    /// <param name="weights">The host's model. It may be disposed before this; the memory is then freed when this is disposed as well.</param>
    /// <param name="path">The file it was loaded from: its header is read, and caches know the model by the digest of the file.</param>
    /// <param name="device">The device that the host has put it on, as <see cref="LlamaLibrary.Devices"/> names them. Null means the processor
    /// where llama.cpp has nothing else, else its first accelerator.</param>
    /// <exception cref="InputFileException">The file is not the one of the weights, or not a language model with a decoder.</exception>
    /// <exception cref="LlamaException">The host uses another version of LLamaSharp or llama.cpp, or there is no such device.</exception>
    public static GgufModel Attach(LLamaWeights weights, string path, string? device = null)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentException.ThrowIfNullOrEmpty(path);
        LlamaLibrary library = LlamaLibrary.OfHost();
        GgufFile file = GgufFile.Open(path);
        SafeLlamaModelHandle handle = weights.NativeHandle;
        bool added = false;
        try
        {
            handle.DangerousAddRef(ref added);
            RefuseOtherKinds(handle, path);
            string architecture = weights.Metadata.GetValueOrDefault("general.architecture", "");
            long parameters = file.Tensors.Values.Sum(t => t.ElementCount);
            if (architecture != file.Architecture || parameters != (long)handle.ParameterCount)
            {
                throw new InputFileException(
                    path, $"this is not the file of the model given ({file.Architecture} with {parameters} weights, the model is {architecture} with {handle.ParameterCount}); give the file it was loaded from.");
            }

            return new GgufModel(library, handle, owned: false, path, file, ChooseDevice(library, new ModelOptions { Device = device }, cpuAsked: true));
        }
        catch
        {
            if (added) handle.DangerousRelease();
            throw;
        }
    }

    private static void RefuseOtherKinds(SafeLlamaModelHandle handle, string path)
    {
        if (!handle.HasDecoder || handle.HasEncoder)
            throw new InputFileException(path, "this is an encoder model; emscan reads the residual stream of decoder-only language models.");
        if (handle.IsDiffusion)
            throw new InputFileException(path, "this is a diffusion model; emscan reads the residual stream of causal language models.");
    }

    private static string Count(long weights) => weights switch
    {
        >= 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{weights / 1e9:0.0}B"),
        >= 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{weights / 1e6:0.0}M"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{weights / 1e3:0}K"),
    };

    private static LlamaDevice ChooseDevice(LlamaLibrary library, ModelOptions options, bool cpuAsked)
    {
        LlamaDevice cpu = library.Devices.First(d => d.IsCpu);
        if (!cpuAsked && library.IsShipped && LlamaLibrary.Accelerator is { } accelerator && library.Devices.All(d => d.IsCpu))
        {
            throw new LlamaException(
                $"This emscan was built for {accelerator}, but llama.cpp finds no such device here; see to its driver, or choose the device cpu to go on with the processor.");
        }

        if (options.Device == null)
        {
            if (options.GpuLayers == 0) return cpu;
            return library.Devices.FirstOrDefault(d => !d.IsCpu) ?? (options.GpuLayers < 0 ? cpu : throw NoAccelerator(library));
        }

        LlamaDevice? named = library.Devices.FirstOrDefault(d => d.Name.Equals(options.Device, StringComparison.OrdinalIgnoreCase));
        if (named == null)
        {
            throw new LlamaException(
                $"There is no device '{options.Device}' here; llama.cpp offers {string.Join(", ", library.Devices.Select(d => d.Name))}.");
        }

        if (named.IsCpu && options.GpuLayers > 0) throw new LlamaException("GPU layers were asked for on the CPU device; leave one of the two out.");
        return named;
    }

    private static LlamaException NoAccelerator(LlamaLibrary library) => new(
        $"GPU layers were asked for, but this llama.cpp build finds no accelerator ({string.Join(", ", library.Devices.Select(d => d.Name))}); build with -p:Backend=cuda12 or vulkan, or ask for none.");

    /// <summary>Frees the model once the last context and adapter made from it is gone; a host's model stays.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        if (_owned) _handle.Dispose();
        else _handle.DangerousRelease();
    }
}
