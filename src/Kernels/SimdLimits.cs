namespace EmScan.Kernels;

/// <summary>Constants that all SIMD sets share: how long a sum may stay in float32.</summary>
/// <remarks>
/// <para>Projection: a float32 lane sums <see cref="Float32Run"/> products (each fused multiply-add rounds once), then
/// <see cref="Float32Runs"/> such runs are added in float32, and their sum moves to float64. A product thus takes part in at most
/// 12 + 4 = 16 roundings, and with unit roundoff u = 2^-24 the error is at most 16 u = 9.6e-7 times the sum of the absolute products
/// (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 and 4.2), the same as for one run of 16, at a third of
/// its moves to float64.</para>
/// <para>Outer products and wide projections: with 32 registers a lane sums <see cref="Float32RowRun"/> products, then moves to float64;
/// runs of 16 were measured to be 2 to 5% slower. With 16 registers it sums <see cref="Float32ShortRun"/> products, and <see
/// cref="Float32ShortRuns"/> such runs are added in float32: a product takes part in at most 16 + 8 = 24 roundings as well. The error is at
/// most 24 u = 1.43e-6 times the sum of the absolute products.</para>
/// </remarks>
public static class SimdLimits
{
    /// <summary>Most products that one float32 lane sums in a row.</summary>
    public const int Float32Run = 12;

    /// <summary>Most runs that are added in float32 before their sum moves to float64.</summary>
    public const int Float32Runs = 5;

    /// <summary>
    /// Most roundings that a product of an outer product or a wide projection takes part in before it moves to float64; where the processor
    /// has 32 registers, also the most products that a float32 lane sums until then.
    /// </summary>
    public const int Float32RowRun = 24;

    /// <summary>With 16 registers, most products that a float32 lane sums in a row.</summary>
    internal const int Float32ShortRun = 16;

    /// <summary>With 16 registers, most such runs that are added in float32 before their sum moves to float64.</summary>
    internal const int Float32ShortRuns = Float32RowRun - Float32ShortRun + 1;
}
