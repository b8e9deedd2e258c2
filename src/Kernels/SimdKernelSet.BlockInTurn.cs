using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace EmScan.Kernels;

/// <content>
/// The block with 32 registers: 8 columns. All chains at once on their way to float64 would leave the multiply-add units idle meanwhile; so
/// after every few rows one column of the block moves, and the others follow in turn. For this loop to stay short, the columns rotate
/// through the registers: the one that is due stands first, and the left factor is packed in that order.
/// </content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    /// <summary><see cref="AddProducts"/>, each column to float64 once in <see cref="SimdLimits.Float32RowRun"/> rows.</summary>
    [MethodImpl(Hot)]
    private static unsafe void AddInTurn<TVectors>(
        float* left, float* right, int rows, double* sums, double* upper, int stored, nint next)
        where TVectors : struct, IVectors
    {
        Chains a = default, b = default, c = default, d = default, e = default, f = default, g = default, h = default;
        int due = 0, ahead = 0;
        for (; rows > 0; rows -= TurnRows)
        {
            // No loop over the rows of a turn: its end would be mispredicted too often.
            AddRow<TVectors>(ref left, ref right, next, ref a, ref b, ref c, ref d, ref e, ref f, ref g, ref h);
            AddRow<TVectors>(ref left, ref right, next, ref a, ref b, ref c, ref d, ref e, ref f, ref g, ref h);
            AddRow<TVectors>(ref left, ref right, next, ref a, ref b, ref c, ref d, ref e, ref f, ref g, ref h);

            // The sum is touched once per pass: ask for it, a line at a time, while the block is at work.
            if (Sse.IsSupported && ahead < TVectors.Count * TLanes.Width)
                Sse.Prefetch1(upper + due * (stored - 1) - due * (due - 1) / 2 + ahead);
            Move<TVectors>(ref due, sums, ref a, ref b, ref c, ref d, ref e, ref f, ref g, ref h);
            if (due == 0)
                ahead += CacheLine / sizeof(double);
        }

        for (int i = 0; i < BlockColumns; i++)
            Move<TVectors>(ref due, sums, ref a, ref b, ref c, ref d, ref e, ref f, ref g, ref h);
    }

    /// <summary>Adds the products of one row.</summary>
    [MethodImpl(Inline)]
    private static unsafe void AddRow<TVectors>(
        ref float* left, ref float* right, nint next,
        ref Chains a, ref Chains b, ref Chains c, ref Chains d, ref Chains e, ref Chains f, ref Chains g, ref Chains h)
        where TVectors : struct, IVectors
    {
        // Ask for what comes after this vector of columns while there is time. A hint: the address may lie past the end.
        if (Sse.IsSupported)
            Sse.Prefetch1(left + next);
        Chains row = Chains.Load<TVectors>(right);
        a.Add<TVectors>(left[0], row);
        b.Add<TVectors>(left[1], row);
        c.Add<TVectors>(left[2], row);
        d.Add<TVectors>(left[3], row);
        e.Add<TVectors>(left[4], row);
        f.Add<TVectors>(left[5], row);
        g.Add<TVectors>(left[6], row);
        h.Add<TVectors>(left[7], row);
        left += TLanes.Width;
        right += PanelWidth;
    }

    /// <summary>
    /// Moves the first column to float64 and the others up by one; where it was last, it starts from zero.
    /// </summary>
    [MethodImpl(Inline)]
    private static unsafe void Move<TVectors>(
        ref int due, double* sums,
        ref Chains a, ref Chains b, ref Chains c, ref Chains d, ref Chains e, ref Chains f, ref Chains g, ref Chains h)
        where TVectors : struct, IVectors
    {
        a.Widen<TVectors>(sums + due * PanelWidth);
        due = (due + 1) & (BlockColumns - 1);
        a = b;
        b = c;
        c = d;
        d = e;
        e = f;
        f = g;
        g = h;
        h = default;
    }
}
