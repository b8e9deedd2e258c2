namespace EmScan.Engine.Formats;

/// <summary>One tensor of a GGUF file.</summary>
/// <param name="Path">The file that holds its data: the model's, or one of its parts.</param>
/// <param name="Name">Name, at most 63 bytes.</param>
/// <param name="Type">Element type.</param>
/// <param name="Ne">Dimensions in ggml's order, the contiguous one first: a weight (out, in) has ne = [in, out].</param>
/// <param name="Offset">First byte in the file.</param>
/// <param name="ByteCount">Bytes in the file.</param>
internal sealed record GgufTensor(string Path, string Name, GgmlType Type, long[] Ne, long Offset, long ByteCount)
{
    /// <summary>Number of elements.</summary>
    public long ElementCount
    {
        get
        {
            long count = 1;
            foreach (long dimension in Ne) count *= dimension;
            return count;
        }
    }

    /// <summary>A dimension in ggml's order; 1 beyond the last.</summary>
    public long Dimension(int axis) => axis < Ne.Length ? Ne[axis] : 1;
}
