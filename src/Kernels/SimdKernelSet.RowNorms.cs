using System.Runtime.CompilerServices;

namespace EmScan.Kernels;

/// <content>Row norms: two vectors per step, widened to four independent chains of float64 multiply-adds.</content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    [MethodImpl(Hot)]
    internal override unsafe void RowNormsCore(ReadOnlySpan<float> states, int dimension, Span<double> norms)
    {
        int width = TLanes.Width;
        int pairEnd = dimension - dimension % (2 * width);
        fixed (float* start = states)
        {
            for (int t = 0; t < norms.Length; t++)
            {
                float* row = start + (nint)t * dimension;
                TDouble sum0 = default, sum1 = default, sum2 = default, sum3 = default;
                for (nint d = 0; d < pairEnd; d += 2 * width)
                {
                    TFloat first = TLanes.Load(row + d);
                    TFloat second = TLanes.Load(row + d + width);
                    sum0 = AddSquares(TLanes.WidenLower(first), sum0);
                    sum1 = AddSquares(TLanes.WidenUpper(first), sum1);
                    sum2 = AddSquares(TLanes.WidenLower(second), sum2);
                    sum3 = AddSquares(TLanes.WidenUpper(second), sum3);
                }

                double sum = TLanes.Sum(TLanes.Add(TLanes.Add(sum0, sum1), TLanes.Add(sum2, sum3)));
                norms[t] = Math.Sqrt(sum + TailDot(row, row, pairEnd, dimension));
            }
        }
    }

    [MethodImpl(Inline)]
    private static TDouble AddSquares(TDouble value, TDouble sum) => TLanes.MultiplyAdd(value, value, sum);
}
