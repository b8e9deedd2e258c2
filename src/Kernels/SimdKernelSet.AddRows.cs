using System.Runtime.CompilerServices;

namespace EmScan.Kernels;

/// <content>Sums over rows: the same additions as the scalar loops in the same order per column, so the same bits.</content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    /// <summary>Rows that one pass over the sum takes, so that the sum is loaded and stored once for all of them.</summary>
    private const int RowsPerPass = 4;

    [MethodImpl(Hot)]
    internal override unsafe void AddRowsCore(ReadOnlySpan<float> states, int rows, int stride, Span<double> sum)
    {
        int vectorEnd = VectorEnd(sum.Length);
        int half = TLanes.Width / 2;
        fixed (float* start = states)
        fixed (double* target = sum)
        {
            for (int t = 0; t < rows; t += RowsPerPass)
            {
                int count = Math.Min(RowsPerPass, rows - t);
                float* first = start + (nint)t * stride;
                for (int d = 0; d < vectorEnd; d += TLanes.Width)
                {
                    TDouble lower = TLanes.Load(target + d);
                    TDouble upper = TLanes.Load(target + d + half);
                    for (int i = 0; i < count; i++)
                    {
                        TFloat value = TLanes.Load(first + (nint)i * stride + d);
                        lower = TLanes.Add(lower, TLanes.WidenLower(value));
                        upper = TLanes.Add(upper, TLanes.WidenUpper(value));
                    }

                    TLanes.Store(lower, target + d);
                    TLanes.Store(upper, target + d + half);
                }

                for (int d = vectorEnd; d < sum.Length; d++)
                    for (int i = 0; i < count; i++)
                        target[d] += first[(nint)i * stride + d];
            }
        }
    }
}
