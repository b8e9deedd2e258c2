using System.Diagnostics;
using System.Runtime.InteropServices;
using LLama.Native;

namespace EmScan.Engine.Runtime.Native;

/// <summary>
/// What emscan calls in llama.cpp and ggml by itself. Everything else goes through LLamaSharp; a function is here only where LLamaSharp
/// does not have it, or has it in a form that cannot be used, and the comment above it says which. The functions are taken from the
/// modules that LLamaSharp has loaded, so that there is one llama.cpp in the process, whoever came first.
/// </summary>
internal sealed unsafe class LlamaImports
{
    // Which source it was built from. Layouts of structs hold for one commit.
    internal readonly delegate* unmanaged<byte*> Commit;
    internal readonly delegate* unmanaged<byte*> GgmlVersion;

    // The defaults as bytes: returned into room for a struct of any size, they are compared with LLamaSharp's layout before it is used.
    internal readonly delegate* unmanaged<PaddedParams> ModelDefaultParams;
    internal readonly delegate* unmanaged<PaddedParams> ContextDefaultParams;

    // LLamaSharp's Decode holds one lock for the whole process, so that two contexts take turns. On a CPU they need not (1.9 x, measured).
    internal readonly delegate* unmanaged<nint, LLamaNativeBatch, int> Decode;

    // LLamaSharp's LoadLoraFromFile hides whether llama.cpp refused the adapter, and decoding with a refused one ends the process.
    internal readonly delegate* unmanaged<nint, byte*, nint> AdapterLoad;
    internal readonly delegate* unmanaged<nint, void> AdapterFree;

    // LLamaSharp's SetLoraAdapters takes its own adapters only, and drops the result.
    internal readonly delegate* unmanaged<nint, nint*, nuint, float*, int> SetAdapters;

    // Not in LLamaSharp: the tap reads rows of tensors that may live on a device.
    internal readonly delegate* unmanaged<nint, byte> BufferIsHost;
    internal readonly delegate* unmanaged<GgmlTensor*, void*, nuint, nuint, void> TensorGet;

    // Not in LLamaSharp, or bound there to whatever the system finds under the name ggml: the devices.
    internal readonly delegate* unmanaged<nuint> DeviceCount;
    internal readonly delegate* unmanaged<nuint, nint> DeviceGet;
    internal readonly delegate* unmanaged<nint, byte*> DeviceName;
    internal readonly delegate* unmanaged<nint, byte*> DeviceDescription;
    internal readonly delegate* unmanaged<nint, int> DeviceType;
    internal readonly delegate* unmanaged<nint, nuint*, nuint*, void> DeviceMemory;

    // Not in LLamaSharp: needed for builds that keep one library for each CPU family.
    internal readonly delegate* unmanaged<byte*, void> LoadAllBackendsFromPath;

    // Not in LLamaSharp: models of which only a part of the layers is recurrent.
    internal readonly delegate* unmanaged<nint, byte> ModelIsHybrid;

    // LLamaSharp's frees the text that it returns, which is a constant of llama.cpp: the process ends.
    internal readonly delegate* unmanaged<int, byte*> FileTypeName;

    // Private in LLamaSharp: the text of a token as the vocabulary stores it, which is not its text in a sentence.
    internal readonly delegate* unmanaged<nint, nint> ModelGetVocab;
    internal readonly delegate* unmanaged<nint, int, byte*> VocabText;

    // Not in LLamaSharp, and from a header that llama.cpp does not call stable, in C++: null where the library does not have them.
    internal readonly delegate* unmanaged<nint, uint, byte, void> SetLayerInput;
    internal readonly delegate* unmanaged<nint, uint, float*> GetLayerInput;

    private readonly nint[] _modules;

    private LlamaImports(nint[] modules, string file)
    {
        _modules = modules;
        File = file;
        Commit = (delegate* unmanaged<byte*>)Export("ggml_commit");
        GgmlVersion = (delegate* unmanaged<byte*>)Export("ggml_version");
        ModelDefaultParams = (delegate* unmanaged<PaddedParams>)Export("llama_model_default_params");
        ContextDefaultParams = (delegate* unmanaged<PaddedParams>)Export("llama_context_default_params");
        Decode = (delegate* unmanaged<nint, LLamaNativeBatch, int>)Export("llama_decode");
        AdapterLoad = (delegate* unmanaged<nint, byte*, nint>)Export("llama_adapter_lora_init");
        AdapterFree = (delegate* unmanaged<nint, void>)Export("llama_adapter_lora_free");
        SetAdapters = (delegate* unmanaged<nint, nint*, nuint, float*, int>)Export("llama_set_adapters_lora");
        BufferIsHost = (delegate* unmanaged<nint, byte>)Export("ggml_backend_buffer_is_host");
        TensorGet = (delegate* unmanaged<GgmlTensor*, void*, nuint, nuint, void>)Export("ggml_backend_tensor_get");
        DeviceCount = (delegate* unmanaged<nuint>)Export("ggml_backend_dev_count");
        DeviceGet = (delegate* unmanaged<nuint, nint>)Export("ggml_backend_dev_get");
        DeviceName = (delegate* unmanaged<nint, byte*>)Export("ggml_backend_dev_name");
        DeviceDescription = (delegate* unmanaged<nint, byte*>)Export("ggml_backend_dev_description");
        DeviceType = (delegate* unmanaged<nint, int>)Export("ggml_backend_dev_type");
        DeviceMemory = (delegate* unmanaged<nint, nuint*, nuint*, void>)Export("ggml_backend_dev_memory");
        LoadAllBackendsFromPath = (delegate* unmanaged<byte*, void>)Export("ggml_backend_load_all_from_path");
        ModelIsHybrid = (delegate* unmanaged<nint, byte>)Export("llama_model_is_hybrid");
        FileTypeName = (delegate* unmanaged<int, byte*>)Export("llama_ftype_name");
        ModelGetVocab = (delegate* unmanaged<nint, nint>)Export("llama_model_get_vocab");
        VocabText = (delegate* unmanaged<nint, int, byte*>)Export("llama_vocab_get_text");
        SetLayerInput = (delegate* unmanaged<nint, uint, byte, void>)Find("_Z30llama_set_embeddings_layer_inpP13llama_contextjb");
        GetLayerInput = (delegate* unmanaged<nint, uint, float*>)Find("_Z30llama_get_embeddings_layer_inpP13llama_contextj");
    }

    /// <summary>The file of libllama.</summary>
    internal string File { get; }

    /// <summary>Binds every function to what LLamaSharp has loaded; it must have done so.</summary>
    /// <exception cref="LlamaException">The modules are not to be found, or one does not export a function.</exception>
    internal static LlamaImports Bind()
    {
        string? llama = Module("llama") ?? PathFromLLamaSharp();
        if (llama == null || !NativeLibrary.TryLoad(llama, out nint handle))
            throw new LlamaException($"LLamaSharp has loaded llama.cpp, but {LibraryFile.Name("llama")} is not among the modules of this process; emscan cannot work beside it.");

        // On Windows a module gives its own exports only, so ggml's two are asked as well; elsewhere the first finds all.
        var modules = new List<nint> { handle };
        foreach (string name in (ReadOnlySpan<string>)["ggml", "ggml-base"])
        {
            if (Module(name) is { } path && NativeLibrary.TryLoad(path, out nint module)) modules.Add(module);
        }

        return new LlamaImports([.. modules], llama);
    }

    private static string? Module(string name)
    {
        using Process self = Process.GetCurrentProcess();
        foreach (ProcessModule module in self.Modules)
        {
            if (LibraryFile.Is(module.ModuleName, name)) return module.FileName;
        }

        return null;
    }

    // macOS does not list its modules; LLamaSharp says where it looked, relative to the program.
    private static string? PathFromLLamaSharp() =>
        NativeApi.GetLoadedNativeLibrary(NativeLibraryName.LLama)?.Prepare(SystemInfo.Get(), null)
            .Select(path => Path.GetFullPath(path, AppContext.BaseDirectory)).FirstOrDefault(System.IO.File.Exists);

    private nint Export(string name) => Find(name) is not 0 and var address ? address : throw new LlamaException(
        $"{File}: this llama.cpp does not export {name}; emscan needs {LlamaLibrary.SupportedVersion}.");

    private nint Find(string name)
    {
        foreach (nint module in _modules)
        {
            if (NativeLibrary.TryGetExport(module, name, out nint address)) return address;
        }

        return 0;
    }
}

/// <summary>Room for a parameter struct of any version: what an unknown library returns by value must not overrun the stack.</summary>
[StructLayout(LayoutKind.Sequential, Size = 1024)]
internal unsafe struct PaddedParams
{
    public fixed byte Bytes[1024];
}
