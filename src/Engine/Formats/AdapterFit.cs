namespace EmScan.Engine.Formats;

/// <summary>
/// What must hold of an adapter before llama.cpp gets to see it. The build in LLamaSharp ends the process on adapters that do not fit the
/// model, so nothing is loaded without this, whoever made the adapter.
/// </summary>
internal static class AdapterFit
{
    /// <summary>A rank that is read whatever the size of the weight: more than anybody trains.</summary>
    private const long AnyRank = 4096;

    /// <summary>Refuses a rank that no weight of this size can use before anything is read: a header may claim what it likes, and a file without
    /// content may be as large as it says.</summary>
    /// <exception cref="InputFileException">The rank is beyond both sides of the weight.</exception>
    internal static void RequireRank(string path, string tensor, long rank, long inputs, long outputs)
    {
        if (rank > Math.Max(AnyRank, Math.Max(inputs, outputs)))
            throw InputFile.BadTensor(path, tensor, $"has rank {rank}, more than a weight of {outputs} x {inputs} can use; the file is damaged");
    }

    /// <summary>Checks names and shapes against the model.</summary>
    /// <exception cref="InputFileException">The adapter is for another model, or changes what cannot be changed.</exception>
    internal static void Require(LoraAdapter adapter, GgufFile model)
    {
        if (adapter.Architecture != model.Architecture)
        {
            throw new InputFileException(
                adapter.Path, $"is an adapter for the architecture \"{InputFile.OneLine(adapter.Architecture)}\", but the model is \"{InputFile.OneLine(model.Architecture)}\"");
        }

        foreach (LoraTensor tensor in adapter.Tensors)
        {
            if (!model.Tensors.TryGetValue(tensor.Name, out GgufTensor? weight))
                throw InputFile.BadTensor(adapter.Path, tensor.Source, $"changes {InputFile.OneLine(tensor.Name)}, which the model does not have");
            if (weight.Ne.Length != 2) throw InputFile.BadTensor(adapter.Path, tensor.Source, "changes a weight that is not a matrix");
            if (tensor.IsTokenEmbedding && !model.Tensors.ContainsKey(WeightName.Output))
                throw InputFile.BadTensor(adapter.Path, tensor.Source, "changes the embeddings, which this model shares with its output matrix");
            (long inputs, long outputs) = tensor.IsTokenEmbedding ? (weight.Ne[1], weight.Ne[0]) : (weight.Ne[0], weight.Ne[1]);
            if (tensor.InputSize != inputs || tensor.OutputSize != outputs)
            {
                throw InputFile.BadTensor(
                    adapter.Path, tensor.Source, $"changes a weight of {tensor.OutputSize} x {tensor.InputSize} where the model has {outputs} x {inputs}");
            }
        }
    }
}
