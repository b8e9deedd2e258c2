namespace EmScan.Engine.Formats;

/// <summary>One entry of a safetensors header.</summary>
/// <param name="Name">Name of the tensor.</param>
/// <param name="DType">Element type as the format spells it: "F32", "F16", "BF16", "F64", "I64", ...</param>
/// <param name="Shape">Dimensions, row-major, last axis contiguous; empty for a scalar.</param>
/// <param name="Offset">First byte in the file.</param>
/// <param name="ByteCount">Bytes in the file.</param>
internal sealed record SafetensorsTensor(string Name, string DType, long[] Shape, long Offset, long ByteCount)
{
    /// <summary>Number of elements: the product of the shape, 1 for a scalar.</summary>
    public long ElementCount
    {
        get
        {
            long count = 1;
            foreach (long dimension in Shape) count *= dimension;
            return count;
        }
    }

    /// <summary>The shape as people write it: (2, 3).</summary>
    internal string ShapeText => $"({string.Join(", ", Shape)})";
}
