using System.Globalization;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime.Native;

namespace EmScan.Engine.Runtime;

/// <summary>A GGUF model loaded through llama.cpp: weights, vocabulary and what its header says. Contexts and adapters are made from it.</summary>
/// <remarks>Immutable after loading and safe to share between threads; several activation sources may run on one model.</remarks>
public sealed unsafe class GgufModel : IDisposable
{
    private readonly LlamaModelHandle _handle;

    private GgufModel(LlamaLibrary library, LlamaModelHandle handle, string path, GgufFile file, LlamaDevice device)
    {
        Library = library;
        _handle = handle;
        FilePath = path;
        File = file;
        Device = device;
        LlamaApi api = library.Api;
        Vocabulary = new Vocabulary(library, this, api.ModelGetVocab(handle.Pointer));
        LayerCount = api.ModelLayerCount(handle.Pointer);
        HiddenSize = api.ModelEmbeddingLength(handle.Pointer);
        TrainedContext = api.ModelTrainContext(handle.Pointer);
        ParameterCount = (long)api.ModelParameterCount(handle.Pointer);
        string fileType = LlamaLibrary.Utf8(api.FileTypeName(api.ModelFileType(handle.Pointer)));
        Description = $"{file.Architecture}, {Count(ParameterCount)} parameters, {fileType}";
        OneSequenceAtATime = api.ModelIsRecurrent(handle.Pointer) != 0 || api.ModelIsHybrid(handle.Pointer) != 0;
    }

    internal LlamaLibrary Library { get; }

    internal LlamaModelHandle Handle => _handle;

    /// <summary>Held while an adapter of this model is loaded or freed.</summary>
    internal Lock AdapterGate { get; } = new();

    /// <summary>Recurrent models regroup the tokens of a batch by sequence, so that columns no longer follow batch order.</summary>
    internal bool OneSequenceAtATime { get; }

    /// <summary>The file as it was given.</summary>
    public string FilePath { get; }

    /// <summary>The header: metadata and tensor list.</summary>
    public GgufFile File { get; }

    /// <summary>The device that computes: the accelerator where layers are offloaded, else the CPU.</summary>
    public LlamaDevice Device { get; }

    /// <summary>Tokenizer and special tokens.</summary>
    public Vocabulary Vocabulary { get; }

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
        GgufFile file = GgufFile.Open(path);
        GgufModelValidator.Validate(file);

        LlamaLibrary library = LlamaLibrary.Load(options.LlamaDirectory);
        LlamaApi api = library.Api;
        LlamaModelParams parameters = api.ModelDefaultParams();
        LlamaDevice device = ChooseDevice(library, options);
        parameters.GpuLayers = device.IsCpu ? 0 : options.GpuLayers;
        if (options.CopyWeights) parameters.LoadMode = 0;

        // An empty list, not a null one: with null, llama.cpp offloads large batches to an accelerator even when no layer lives there.
        nint* devices = stackalloc nint[2] { device.IsCpu ? 0 : device.Handle, 0 };
        parameters.Devices = (nint)devices;

        nint pointer;
        fixed (byte* name = LlamaLibrary.NullTerminated(path))
            pointer = api.ModelLoadFromFile(name, parameters);
        if (pointer == 0)
            throw new InputFileException(path, "llama.cpp cannot load this model; run with --verbose to see its own words.");

        var handle = new LlamaModelHandle(api, pointer);
        try
        {
            if (api.ModelHasDecoder(pointer) == 0 || api.ModelHasEncoder(pointer) != 0)
                throw new InputFileException(path, "this is an encoder model; emscan reads the residual stream of decoder-only language models.");
            if (api.ModelIsDiffusion(pointer) != 0)
                throw new InputFileException(path, "this is a diffusion model; emscan reads the residual stream of causal language models.");
            return new GgufModel(library, handle, path, file, device);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private static string Count(long weights) => weights switch
    {
        >= 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{weights / 1e9:0.0}B"),
        >= 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{weights / 1e6:0.0}M"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{weights / 1e3:0}K"),
    };

    private static LlamaDevice ChooseDevice(LlamaLibrary library, ModelOptions options)
    {
        LlamaDevice cpu = library.Devices.First(d => d.IsCpu);
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
        $"GPU layers were asked for, but this llama.cpp build finds no accelerator ({string.Join(", ", library.Devices.Select(d => d.Name))}); build with -p:LlamaVariant=cuda or vulkan, or leave --gpu-layers out.");

    /// <summary>Frees the model once the last context and adapter made from it is gone.</summary>
    public void Dispose() => _handle.Dispose();
}
