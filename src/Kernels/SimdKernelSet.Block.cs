using System.Runtime.CompilerServices;

namespace EmScan.Kernels;

/// <content>
/// The block that outer products and wide projections are made of: a group of columns of the left factor times a panel of the right one, over
/// many rows. Its chains of multiply-adds, 24 with 32 registers and 12 with 16, keep two units of latency 4 busy. A float32 chain may
/// only hold so many products; how they get to float64 is what <see cref="AddInTurn"/> and <see cref="AddInRuns"/> differ in.
/// </content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    /// <summary>How many vectors of a panel a block takes: a type, so that each number gets its own compiled loop.</summary>
    private interface IVectors
    {
        static abstract int Count { get; }
    }

    /// <summary>Columns of the left factor in a block; divides the width of a panel.</summary>
    private static int BlockColumns => TLanes.Registers / 4;

    /// <summary>Whether a block's columns move to float64 one after another.</summary>
    private static bool InTurn => BlockColumns == 8;

    /// <summary>Rows that the innermost loop takes at a time.</summary>
    private static int TurnRows => InTurn ? SimdLimits.Float32RowRun / BlockColumns : 4;

    private static int CeilingDivide(int dividend, int divisor) => (dividend - 1) / divisor + 1;

    /// <summary>Rows in the packed factors: zeros fill the last turn.</summary>
    [MethodImpl(Inline)]
    private static int PackedRows(int count) => CeilingDivide(count, TurnRows) * TurnRows;

    /// <summary>
    /// Fills (columns of a block, W) with the lanes from which a packed vector of the left factor takes its columns: line t / <see
    /// cref="TurnRows"/> % columns of a block is that of row t.
    /// </summary>
    private static unsafe void ColumnOrders(int* lanes)
    {
        for (int turn = 0; turn < BlockColumns; turn++)
        {
            int due = InTurn ? turn : 0;
            for (int i = 0; i < TLanes.Width; i++)
                lanes[turn * TLanes.Width + i] = i / BlockColumns * BlockColumns + (due + i) % BlockColumns;
        }
    }

    /// <summary>Adds the products of a group of columns with some vectors of a panel to float64 sums.</summary>
    /// <param name="left">T rows of a group's columns, a vector apart, in the order of <see cref="ColumnOrders"/>.</param>
    /// <param name="right">T rows of vectors, a panel's width apart.</param>
    /// <param name="rows">T, a multiple of <see cref="TurnRows"/>.</param>
    /// <param name="sums">(columns of a block, 3 W).</param>
    /// <param name="upper">Where the sum's first row of these columns begins.</param>
    /// <param name="stored">Columns that the sum stores of that row.</param>
    /// <param name="next">Distance to the vector of columns that comes after the one that the group is part of.</param>
    [MethodImpl(Inline)]
    private static unsafe void AddProducts<TVectors>(
        float* left, float* right, int rows, double* sums, double* upper, int stored, nint next)
        where TVectors : struct, IVectors
    {
        if (InTurn)
            AddInTurn<TVectors>(left, right, rows, sums, upper, stored, next);
        else
            AddInRuns<TVectors>(left, right, rows, sums, upper, stored, next);
    }

    /// <summary>One column of a block: up to 3 vectors of float32 chains.</summary>
    private struct Chains
    {
        private TFloat _first;
        private TFloat _second;
        private TFloat _third;

        [MethodImpl(Inline)]
        public static unsafe Chains Load<TVectors>(float* source, int offset = 0)
            where TVectors : struct, IVectors
        {
            Chains loaded = default;
            loaded._first = TLanes.Load(source + offset);
            if (TVectors.Count > 1)
                loaded._second = TLanes.Load(source + (offset + TLanes.Width));
            if (TVectors.Count > 2)
                loaded._third = TLanes.Load(source + (offset + 2 * TLanes.Width));
            return loaded;
        }

        [MethodImpl(Inline)]
        public void Add<TVectors>(float left, in Chains right)
            where TVectors : struct, IVectors
        {
            TFloat factor = TLanes.Broadcast(left);
            _first = TLanes.MultiplyAdd(factor, right._first, _first);
            if (TVectors.Count > 1)
                _second = TLanes.MultiplyAdd(factor, right._second, _second);
            if (TVectors.Count > 2)
                _third = TLanes.MultiplyAdd(factor, right._third, _third);
        }

        /// <summary>Adds float32 sums, which lie vector by vector.</summary>
        [MethodImpl(Inline)]
        public unsafe void Add<TVectors>(float* sums)
            where TVectors : struct, IVectors
        {
            _first = TLanes.Add(TLanes.Load(sums), _first);
            if (TVectors.Count > 1)
                _second = TLanes.Add(TLanes.Load(sums + TLanes.Width), _second);
            if (TVectors.Count > 2)
                _third = TLanes.Add(TLanes.Load(sums + 2 * TLanes.Width), _third);
        }

        /// <summary>Writes the chains, vector by vector.</summary>
        [MethodImpl(Inline)]
        public readonly unsafe void Store<TVectors>(float* sums)
            where TVectors : struct, IVectors
        {
            TLanes.Store(_first, sums);
            if (TVectors.Count > 1)
                TLanes.Store(_second, sums + TLanes.Width);
            if (TVectors.Count > 2)
                TLanes.Store(_third, sums + 2 * TLanes.Width);
        }

        /// <summary>Adds the chains to float64 sums.</summary>
        [MethodImpl(Inline)]
        public readonly unsafe void Widen<TVectors>(double* sums)
            where TVectors : struct, IVectors
        {
            Widen(_first, sums);
            if (TVectors.Count > 1)
                Widen(_second, sums + TLanes.Width);
            if (TVectors.Count > 2)
                Widen(_third, sums + 2 * TLanes.Width);
        }

        [MethodImpl(Inline)]
        private static unsafe void Widen(TFloat chains, double* sums)
        {
            double* upper = sums + TLanes.Width / 2;
            TLanes.Store(TLanes.Add(TLanes.Load(sums), TLanes.WidenLower(chains)), sums);
            TLanes.Store(TLanes.Add(TLanes.Load(upper), TLanes.WidenUpper(chains)), upper);
        }
    }

    private readonly struct One : IVectors
    {
        public static int Count => 1;
    }

    private readonly struct Two : IVectors
    {
        public static int Count => 2;
    }

    private readonly struct Three : IVectors
    {
        public static int Count => 3;
    }
}
