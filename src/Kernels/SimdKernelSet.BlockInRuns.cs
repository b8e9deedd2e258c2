using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace EmScan.Kernels;

/// <content>
/// The block with 16 registers: 4 columns. Such processors start few instructions a cycle, fewer still where two threads share a core, and a
/// move to float64 takes eleven for each vector; so short runs of products are first added in float32, in memory, and many of them move
/// together: as many roundings as one long run, at half its instructions.
/// </content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    /// <summary><see cref="AddProducts"/>, all columns to float64 once in <see cref="SimdLimits.Float32ShortRuns"/> runs.</summary>
    [MethodImpl(Hot)]
    [SkipLocalsInit]
    private static unsafe void AddInRuns<TVectors>(float* left, float* right, int rows, double* sums, double* upper, int stored, nint next)
        where TVectors : struct, IVectors
    {
        byte* unaligned = stackalloc byte[(BlockColumns * PanelWidth + CacheLine / sizeof(float)) * sizeof(float)];
        float* added = (float*)Align(unaligned); // (columns of a block, 3 W)
        PrefetchUpper<TVectors>(upper, stored);
        while (rows > 0)
        {
            int together = Math.Min(rows, SimdLimits.Float32ShortRun * SimdLimits.Float32ShortRuns);
            float* end = right + (nint)together * PanelWidth;
            rows -= together;
            for (bool first = true; ; first = false)
            {
                Chains a = default, b = default, c = default, d = default;
                float* endOfRun = right + SimdLimits.Float32ShortRun * PanelWidth;
                if (endOfRun > end)
                    endOfRun = end;
                do
                {
                    // Four rows of the left factor are two lines: as many are asked for that come later. A hint: the address may lie past the end.
                    if (Sse.IsSupported)
                    {
                        Sse.Prefetch1(left + next);
                        Sse.Prefetch1(left + next + 2 * TLanes.Width);
                    }

                    AddRow<TVectors>(left, right, 0, ref a, ref b, ref c, ref d);
                    AddRow<TVectors>(left, right, 1, ref a, ref b, ref c, ref d);
                    AddRow<TVectors>(left, right, 2, ref a, ref b, ref c, ref d);
                    AddRow<TVectors>(left, right, 3, ref a, ref b, ref c, ref d);
                    left += 4 * TLanes.Width;
                    right += 4 * PanelWidth;
                }
                while (right < endOfRun);

                if (!first)
                {
                    a.Add<TVectors>(added);
                    b.Add<TVectors>(added + PanelWidth);
                    c.Add<TVectors>(added + 2 * PanelWidth);
                    d.Add<TVectors>(added + 3 * PanelWidth);
                }

                if (right == end)
                {
                    a.Widen<TVectors>(sums);
                    b.Widen<TVectors>(sums + PanelWidth);
                    c.Widen<TVectors>(sums + 2 * PanelWidth);
                    d.Widen<TVectors>(sums + 3 * PanelWidth);
                    break;
                }

                a.Store<TVectors>(added);
                b.Store<TVectors>(added + PanelWidth);
                c.Store<TVectors>(added + 2 * PanelWidth);
                d.Store<TVectors>(added + 3 * PanelWidth);
            }
        }
    }

    /// <summary>Adds the products of one row; its number is a constant, so that addresses need no instruction of their own.</summary>
    [MethodImpl(Inline)]
    private static unsafe void AddRow<TVectors>(float* left, float* right, int row, ref Chains a, ref Chains b, ref Chains c, ref Chains d)
        where TVectors : struct, IVectors
    {
        Chains vectors = Chains.Load<TVectors>(right, row * PanelWidth);
        a.Add<TVectors>(left[row * TLanes.Width], vectors);
        b.Add<TVectors>(left[row * TLanes.Width + 1], vectors);
        c.Add<TVectors>(left[row * TLanes.Width + 2], vectors);
        d.Add<TVectors>(left[row * TLanes.Width + 3], vectors);
    }

    /// <summary>The sum is touched once per pass: asks for it while the block is at work.</summary>
    [MethodImpl(Inline)]
    private static unsafe void PrefetchUpper<TVectors>(double* upper, int stored)
        where TVectors : struct, IVectors
    {
        if (!Sse.IsSupported)
            return;
        for (int column = 0; column < BlockColumns; column++, upper += stored - 1 - column)
            for (int ahead = 0; ahead < TVectors.Count * TLanes.Width; ahead += CacheLine / sizeof(double))
                Sse.Prefetch1(upper + ahead);
    }
}
