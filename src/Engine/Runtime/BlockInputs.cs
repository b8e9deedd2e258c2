using EmScan.Engine.Runtime.Native;

namespace EmScan.Engine.Runtime;

/// <summary>
/// <see cref="CaptureMethod.BlockInputs"/>: llama.cpp copies the input of a block to the host by itself, every row of it.
/// </summary>
internal sealed unsafe class BlockInputs(GgufModel model, AdaptedContext context)
{
    // llama.cpp aborts where the graph of an architecture does not keep the inputs of its blocks. These do, and are tested.
    private static readonly string[] Architectures = ["llama", "qwen3"];

    private readonly bool[] _copied = new bool[model.LayerCount];
    private int _generation;

    private LlamaImports Imports => model.Library.Imports;

    /// <summary>Refuses models that would end the process, and libraries that do not have the functions.</summary>
    /// <exception cref="LlamaException">One of the two.</exception>
    internal static void ThrowIfUnavailable(GgufModel model)
    {
        if (!Architectures.Contains(model.File.Architecture))
        {
            throw new LlamaException(
                $"The inputs of blocks can be captured for {string.Join(" and ", Architectures)} only, and {model.FilePath} is {model.File.Architecture}.");
        }

        if (model.Library.Imports.SetLayerInput == null || model.Library.Imports.GetLayerInput == null)
            throw new LlamaException("This build of llama.cpp does not export llama_set_embeddings_layer_inp; capture by graph nodes instead.");
    }

    /// <summary>Decodes the batch of the context, in one graph, and hands out its rows.</summary>
    /// <exception cref="LlamaException">llama.cpp fails, or copies nothing.</exception>
    internal void Capture(IReadOnlyList<int> layers, CaptureBatch batch, IHiddenStateSink sink)
    {
        Choose(layers);
        context.Decode();
        foreach (int layer in layers)
        {
            float* states = Imports.GetLayerInput(context.Handle.DangerousGetHandle(), (uint)layer + 1);
            if (states == null) throw new LlamaException($"llama.cpp copied no input of block {layer + 1}.");
            batch.Deliver(sink, layer, states, model.HiddenSize, compact: false);
        }
    }

    // Has these layers, and no others, copied from the next decode on.
    private void Choose(IReadOnlyList<int> layers)
    {
        if (_generation != context.Generation) Array.Clear(_copied);
        _generation = context.Generation;
        for (int layer = 0; layer < model.LayerCount - 1; layer++)
        {
            bool wanted = layers.Contains(layer);
            if (wanted == _copied[layer]) continue;
            Imports.SetLayerInput(context.Handle.DangerousGetHandle(), (uint)layer + 1, wanted ? (byte)1 : (byte)0);
            _copied[layer] = wanted;
        }
    }
}
