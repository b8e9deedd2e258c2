using System.Runtime.InteropServices;

namespace EmScan.Engine.Runtime.Native;

/// <summary>The head of ggml_tensor, as far as the tap reads it; tensors are only ever seen through pointers.</summary>
[StructLayout(LayoutKind.Explicit, Size = 336)]
internal unsafe struct GgmlTensor
{
    /// <summary>ggml's number of F32.</summary>
    internal const int F32 = 0;

    [FieldOffset(0)] public int Type;
    [FieldOffset(8)] public nint Buffer;
    [FieldOffset(16)] public fixed long ElementCounts[4];
    [FieldOffset(48)] public fixed ulong ByteStrides[4];
    [FieldOffset(248)] public nint Data;
    [FieldOffset(256)] public fixed byte Name[64];
}
