using System.Runtime.InteropServices;

namespace EmScan.Engine.Runtime.Native;

/// <summary>
/// The functions of llama.cpp and ggml that emscan calls, bound once to the libraries that were loaded. Names are the C names without
/// prefix. Function pointers rather than DllImport, because the folder of the libraries is the user's choice at run time.
/// </summary>
internal sealed unsafe class LlamaApi
{
    internal readonly delegate* unmanaged<nint, nint, void> LogSet;
    internal readonly delegate* unmanaged<void> BackendInit;
    internal readonly delegate* unmanaged<byte*> Version;

    internal readonly delegate* unmanaged<byte*, void> LoadAllBackendsFromPath;
    internal readonly delegate* unmanaged<nuint> DeviceCount;
    internal readonly delegate* unmanaged<nuint, nint> DeviceGet;
    internal readonly delegate* unmanaged<nint, byte*> DeviceName;
    internal readonly delegate* unmanaged<nint, byte*> DeviceDescription;
    internal readonly delegate* unmanaged<nint, int> DeviceType;
    internal readonly delegate* unmanaged<nint, nuint*, nuint*, void> DeviceMemory;
    internal readonly delegate* unmanaged<nint, byte> BufferIsHost;
    internal readonly delegate* unmanaged<GgmlTensor*, void*, nuint, nuint, void> TensorGet;

    internal readonly delegate* unmanaged<LlamaModelParams> ModelDefaultParams;
    internal readonly delegate* unmanaged<LlamaContextParams> ContextDefaultParams;
    internal readonly delegate* unmanaged<PaddedParams> ModelDefaultParamsPadded;
    internal readonly delegate* unmanaged<PaddedParams> ContextDefaultParamsPadded;

    internal readonly delegate* unmanaged<byte*, LlamaModelParams, nint> ModelLoadFromFile;
    internal readonly delegate* unmanaged<nint, void> ModelFree;
    internal readonly delegate* unmanaged<nint, nint> ModelGetVocab;
    internal readonly delegate* unmanaged<nint, int> ModelEmbeddingLength;
    internal readonly delegate* unmanaged<nint, int> ModelLayerCount;
    internal readonly delegate* unmanaged<nint, int> ModelTrainContext;
    internal readonly delegate* unmanaged<nint, ulong> ModelParameterCount;
    internal readonly delegate* unmanaged<nint, int> ModelFileType;
    internal readonly delegate* unmanaged<int, byte*> FileTypeName;
    internal readonly delegate* unmanaged<nint, byte> ModelHasEncoder;
    internal readonly delegate* unmanaged<nint, byte> ModelHasDecoder;
    internal readonly delegate* unmanaged<nint, byte> ModelIsRecurrent;
    internal readonly delegate* unmanaged<nint, byte> ModelIsHybrid;
    internal readonly delegate* unmanaged<nint, byte> ModelIsDiffusion;

    internal readonly delegate* unmanaged<nint, LlamaContextParams, nint> InitFromModel;
    internal readonly delegate* unmanaged<nint, void> Free;
    internal readonly delegate* unmanaged<nint, int, int, void> SetThreads;
    internal readonly delegate* unmanaged<nint, LlamaBatch, int> Decode;
    internal readonly delegate* unmanaged<nint, nint> GetMemory;
    internal readonly delegate* unmanaged<nint, byte, void> MemoryClear;
    internal readonly delegate* unmanaged<nint, int, void> MemorySequenceKeep;
    internal readonly delegate* unmanaged<nint, int, int, int, byte> MemorySequenceRemove;
    internal readonly delegate* unmanaged<nint, int, int, int, int, void> MemorySequenceCopy;
    internal readonly delegate* unmanaged<nint, int, float*> GetLogitsAt;

    // From a header that llama.cpp does not call stable, in C++: null where the library does not have them.
    internal readonly delegate* unmanaged<nint, uint, byte, void> SetLayerInput;
    internal readonly delegate* unmanaged<nint, uint, float*> GetLayerInput;

    internal readonly delegate* unmanaged<nint, byte*, nint> AdapterLoad;
    internal readonly delegate* unmanaged<nint, void> AdapterFree;
    internal readonly delegate* unmanaged<nint, nint*, nuint, float*, int> SetAdapters;
    internal readonly delegate* unmanaged<nint, float*, nuint, int, int, int, int> SetControlVector;

    internal readonly delegate* unmanaged<nint, int> VocabSize;
    internal readonly delegate* unmanaged<nint, int> VocabBos;
    internal readonly delegate* unmanaged<nint, int> VocabEos;
    internal readonly delegate* unmanaged<nint, int> VocabPad;
    internal readonly delegate* unmanaged<nint, byte> VocabAddBos;
    internal readonly delegate* unmanaged<nint, int, byte> VocabIsEndOfGeneration;
    internal readonly delegate* unmanaged<nint, int, byte*> VocabText;
    internal readonly delegate* unmanaged<nint, byte*, int, int*, int, byte, byte, int> Tokenize;
    internal readonly delegate* unmanaged<nint, int, byte*, int, int, byte, int> TokenToPiece;

    private readonly nint[] _libraries;
    private readonly string _directory;

    /// <summary>Binds every function; the first one that is missing is named.</summary>
    /// <param name="libraries">Handles of the loaded libraries, searched in order.</param>
    /// <param name="directory">Where they came from, for the error message.</param>
    internal LlamaApi(nint[] libraries, string directory)
    {
        _libraries = libraries;
        _directory = directory;

        LogSet = (delegate* unmanaged<nint, nint, void>)Export("llama_log_set");
        BackendInit = (delegate* unmanaged<void>)Export("llama_backend_init");
        Version = (delegate* unmanaged<byte*>)Export("llama_version");

        LoadAllBackendsFromPath = (delegate* unmanaged<byte*, void>)Export("ggml_backend_load_all_from_path");
        DeviceCount = (delegate* unmanaged<nuint>)Export("ggml_backend_dev_count");
        DeviceGet = (delegate* unmanaged<nuint, nint>)Export("ggml_backend_dev_get");
        DeviceName = (delegate* unmanaged<nint, byte*>)Export("ggml_backend_dev_name");
        DeviceDescription = (delegate* unmanaged<nint, byte*>)Export("ggml_backend_dev_description");
        DeviceType = (delegate* unmanaged<nint, int>)Export("ggml_backend_dev_type");
        DeviceMemory = (delegate* unmanaged<nint, nuint*, nuint*, void>)Export("ggml_backend_dev_memory");
        BufferIsHost = (delegate* unmanaged<nint, byte>)Export("ggml_backend_buffer_is_host");
        TensorGet = (delegate* unmanaged<GgmlTensor*, void*, nuint, nuint, void>)Export("ggml_backend_tensor_get");

        ModelDefaultParams = (delegate* unmanaged<LlamaModelParams>)Export("llama_model_default_params");
        ContextDefaultParams = (delegate* unmanaged<LlamaContextParams>)Export("llama_context_default_params");
        ModelDefaultParamsPadded = (delegate* unmanaged<PaddedParams>)Export("llama_model_default_params");
        ContextDefaultParamsPadded = (delegate* unmanaged<PaddedParams>)Export("llama_context_default_params");

        ModelLoadFromFile = (delegate* unmanaged<byte*, LlamaModelParams, nint>)Export("llama_model_load_from_file");
        ModelFree = (delegate* unmanaged<nint, void>)Export("llama_model_free");
        ModelGetVocab = (delegate* unmanaged<nint, nint>)Export("llama_model_get_vocab");
        ModelEmbeddingLength = (delegate* unmanaged<nint, int>)Export("llama_model_n_embd");
        ModelLayerCount = (delegate* unmanaged<nint, int>)Export("llama_model_n_layer");
        ModelTrainContext = (delegate* unmanaged<nint, int>)Export("llama_model_n_ctx_train");
        ModelParameterCount = (delegate* unmanaged<nint, ulong>)Export("llama_model_n_params");
        ModelFileType = (delegate* unmanaged<nint, int>)Export("llama_model_ftype");
        FileTypeName = (delegate* unmanaged<int, byte*>)Export("llama_ftype_name");
        ModelHasEncoder = (delegate* unmanaged<nint, byte>)Export("llama_model_has_encoder");
        ModelHasDecoder = (delegate* unmanaged<nint, byte>)Export("llama_model_has_decoder");
        ModelIsRecurrent = (delegate* unmanaged<nint, byte>)Export("llama_model_is_recurrent");
        ModelIsHybrid = (delegate* unmanaged<nint, byte>)Export("llama_model_is_hybrid");
        ModelIsDiffusion = (delegate* unmanaged<nint, byte>)Export("llama_model_is_diffusion");

        InitFromModel = (delegate* unmanaged<nint, LlamaContextParams, nint>)Export("llama_init_from_model");
        Free = (delegate* unmanaged<nint, void>)Export("llama_free");
        SetThreads = (delegate* unmanaged<nint, int, int, void>)Export("llama_set_n_threads");
        Decode = (delegate* unmanaged<nint, LlamaBatch, int>)Export("llama_decode");
        GetMemory = (delegate* unmanaged<nint, nint>)Export("llama_get_memory");
        MemoryClear = (delegate* unmanaged<nint, byte, void>)Export("llama_memory_clear");
        MemorySequenceKeep = (delegate* unmanaged<nint, int, void>)Export("llama_memory_seq_keep");
        MemorySequenceRemove = (delegate* unmanaged<nint, int, int, int, byte>)Export("llama_memory_seq_rm");
        MemorySequenceCopy = (delegate* unmanaged<nint, int, int, int, int, void>)Export("llama_memory_seq_cp");
        GetLogitsAt = (delegate* unmanaged<nint, int, float*>)Export("llama_get_logits_ith");

        SetLayerInput = (delegate* unmanaged<nint, uint, byte, void>)Find("_Z30llama_set_embeddings_layer_inpP13llama_contextjb");
        GetLayerInput = (delegate* unmanaged<nint, uint, float*>)Find("_Z30llama_get_embeddings_layer_inpP13llama_contextj");

        AdapterLoad = (delegate* unmanaged<nint, byte*, nint>)Export("llama_adapter_lora_init");
        AdapterFree = (delegate* unmanaged<nint, void>)Export("llama_adapter_lora_free");
        SetAdapters = (delegate* unmanaged<nint, nint*, nuint, float*, int>)Export("llama_set_adapters_lora");
        SetControlVector = (delegate* unmanaged<nint, float*, nuint, int, int, int, int>)Export("llama_set_adapter_cvec");

        VocabSize = (delegate* unmanaged<nint, int>)Export("llama_vocab_n_tokens");
        VocabBos = (delegate* unmanaged<nint, int>)Export("llama_vocab_bos");
        VocabEos = (delegate* unmanaged<nint, int>)Export("llama_vocab_eos");
        VocabPad = (delegate* unmanaged<nint, int>)Export("llama_vocab_pad");
        VocabAddBos = (delegate* unmanaged<nint, byte>)Export("llama_vocab_get_add_bos");
        VocabIsEndOfGeneration = (delegate* unmanaged<nint, int, byte>)Export("llama_vocab_is_eog");
        VocabText = (delegate* unmanaged<nint, int, byte*>)Export("llama_vocab_get_text");
        Tokenize = (delegate* unmanaged<nint, byte*, int, int*, int, byte, byte, int>)Export("llama_tokenize");
        TokenToPiece = (delegate* unmanaged<nint, int, byte*, int, int, byte, int>)Export("llama_token_to_piece");
    }

    /// <summary>The address of a function, by its C name.</summary>
    /// <exception cref="LlamaException">The libraries do not export it.</exception>
    internal nint Export(string name) => Find(name) is not 0 and var address ? address : throw new LlamaException(
        $"{_directory}: these llama.cpp libraries do not export {name}; emscan needs llama.cpp {LlamaLibrary.SupportedVersion}.");

    private nint Find(string name)
    {
        foreach (nint library in _libraries)
        {
            if (NativeLibrary.TryGetExport(library, name, out nint address)) return address;
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
