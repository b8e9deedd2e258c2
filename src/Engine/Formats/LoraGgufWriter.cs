namespace EmScan.Engine.Formats;

/// <summary>Writes an adapter as the LoRA GGUF file that llama.cpp's llama_adapter_lora_init loads.</summary>
/// <remarks>
/// GGUF version 3, alignment 32, F32. Each weight gives NAME.lora_a with ne = [in, R] and NAME.lora_b with ne = [R, out];
/// llama.cpp applies factor * B A with factor = alpha / R (R = ne[0] of lora_b). For the embedding table it gathers rows of lora_a, so
/// that A is stored transposed there: ne = [R, vocabulary].
/// </remarks>
internal static class LoraGgufWriter
{
    /// <summary>Writes the file beside its target and renames it, so that no reader sees a part of it.</summary>
    /// <exception cref="InputFileException">The file cannot be written.</exception>
    public static void Write(string path, LoraAdapter adapter)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(adapter);
        AtomicFile.Write(path, stream => Write(stream, adapter));
    }

    /// <summary>Writes the file's bytes to a stream, which need not be seekable.</summary>
    public static void Write(Stream stream, LoraAdapter adapter)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(adapter);
        var file = new GgufWriter();
        file.Text("general.type", "adapter");
        file.Text("general.architecture", adapter.Architecture);
        file.Text("adapter.type", "lora");
        file.Float32(GgufLoraReader.AlphaKey, adapter.Alpha);
        foreach (LoraTensor tensor in adapter.Tensors)
        {
            long[] shapeA = tensor.IsTokenEmbedding ? [tensor.Rank, tensor.InputSize] : [tensor.InputSize, tensor.Rank];
            file.Tensor(tensor.Name + GgufLoraReader.SuffixA, shapeA, () => tensor.IsTokenEmbedding ? Transpose(tensor.A, tensor.Rank) : tensor.A);
            file.Tensor(tensor.Name + GgufLoraReader.SuffixB, [tensor.Rank, tensor.OutputSize], () => tensor.B);
        }

        file.Write(stream);
    }

    // (rows, n) to (n, rows), row-major.
    internal static float[] Transpose(float[] matrix, int rows)
    {
        int columns = matrix.Length / rows;
        var result = new float[matrix.Length];
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++) result[column * rows + row] = matrix[row * columns + column];
        return result;
    }
}
