using System.Runtime.CompilerServices;

namespace EmScan.Kernels;

/// <summary>
/// The SIMD algorithms, written once over the width of a vector; one file per operation. W is the number of float32 lanes of a vector.
/// </summary>
/// <remarks>
/// The loops are compiled optimised on first use: a scan of a small model ends before tiered compilation would have replaced them.
/// What a kernel writes and soon reads again starts on a cache line: a vector that straddles two is not forwarded from its store.
/// </remarks>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble> : KernelSet
    where TLanes : struct, ILanes<TFloat, TDouble>
    where TFloat : struct
    where TDouble : struct
{
    private const MethodImplOptions Hot = MethodImplOptions.AggressiveOptimization;
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    public override string Name => TLanes.Name;

    public override bool IsSupported => TLanes.IsSupported;

    /// <summary>Columns that whole vectors cover; the rest is left to a scalar tail.</summary>
    private static int VectorEnd(int dimension) => dimension - dimension % TLanes.Width;
}
