using EmScan.Engine.Formats;

namespace EmScan.Engine.Runtime;

/// <summary>A LoRA adapter in llama.cpp's memory, bound to one model.</summary>
internal sealed unsafe class LlamaAdapter : ILoadedAdapter
{
    private readonly LlamaAdapterHandle _handle;

    private LlamaAdapter(GgufModel model, LlamaAdapterHandle handle, string path)
    {
        Model = model;
        _handle = handle;
        Path = path;
    }

    public string Path { get; }

    internal GgufModel Model { get; }

    internal nint Pointer => _handle.Pointer;

    /// <summary>
    /// Hands an adapter that was read and validated in managed code to llama.cpp as the LoRA GGUF that llama.cpp reads, in memory.
    /// </summary>
    /// <param name="model">The model it is for.</param>
    /// <param name="whole">The adapter, in the terms of this model.</param>
    /// <param name="lastLayer">Changes behind this layer are checked but not loaded.</param>
    /// <exception cref="InputFileException">The adapter does not fit the model, or llama.cpp refuses it.</exception>
    internal static LlamaAdapter Load(GgufModel model, LoraAdapter whole, int lastLayer)
    {
        AdapterFit.Require(whole, model.File);
        LoraAdapter adapter = UpTo(lastLayer, whole);
        using MemoryFile file = MemoryFile.Write(stream => LoraGgufWriter.Write(stream, adapter));
        fixed (byte* name = LlamaLibrary.NullTerminated(file.Path))
        {
            // llama.cpp keeps the adapters of a model in a list without a lock.
            lock (model.AdapterGate)
            {
                nint pointer = model.Library.Imports.AdapterLoad(model.Handle.DangerousGetHandle(), name);
                if (pointer == 0)
                    throw new InputFileException(adapter.Path, "llama.cpp refuses this adapter for this model; its own words are in the log.");
                return new LlamaAdapter(model, new LlamaAdapterHandle(model.Handle, pointer, model.Library.Imports, model.AdapterGate), adapter.Path);
            }
        }
    }

    /// <summary>The adapter without what has no effect up to a layer: changes of later blocks and of the vocabulary head.</summary>
    internal static LoraAdapter UpTo(int lastLayer, LoraAdapter adapter)
    {
        LoraTensor[] needed = [.. adapter.Tensors.Where(t => BlockOf(t.Name) <= lastLayer)];

        // llama.cpp does not load an empty adapter; one change that is never reached is as good as none.
        return needed.Length == adapter.Tensors.Count ? adapter
            : new LoraAdapter(adapter.Path, adapter.Architecture, adapter.Alpha, needed.Length > 0 ? needed : [adapter.Tensors[0]]);
    }

    // The embeddings come before all blocks, the head behind them.
    private static int BlockOf(string tensor) => WeightName.BlockOf(tensor) ?? (tensor == WeightName.Output ? int.MaxValue : -1);

    public void Dispose() => _handle.Dispose();
}
