using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace EmScan.Kernels;

/// <content>
/// Symmetric rank-T update, blocked like a matrix multiplication (Goto and van de Geijn, 2008, doi 10.1145/1356052.1356053). The rows are
/// repacked twice: as the right factor in panels of 3 vectors, and as the left factor in groups of 8 columns (4 where the processor has
/// only 16 registers). A block of the sum, one group times one panel, takes all rows of the pass at once: 24 chains of multiply-adds (12
/// with 16 registers) keep two units of latency 4 busy. The panels of a tile stay in the second-level cache while all its groups pass.
/// <para>A float32 chain may only hold so many products, then it moves to float64. All chains of a block at once would leave the
/// multiply-add units idle meanwhile; so after every few rows one column of the block moves, and the others follow in turn. For this loop
/// to stay short, the columns rotate through the registers: the one that is due stands first, and the left factor is packed in that
/// order.</para>
/// </content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    private const int PanelVectors = 3;

    /// <summary>Panels along each side of a tile: 360 KB of the second-level cache with the widest vectors.</summary>
    private const int TilePanels = 2;

    /// <summary>Rows that packing asks for ahead.</summary>
    private const int PackAhead = 8;

    /// <summary>How many vectors of a panel a block takes: a type, so that each number gets its own compiled loop.</summary>
    private interface IVectors
    {
        static abstract int Count { get; }
    }

    /// <summary>Columns of the left factor in a block; divides the width of a panel.</summary>
    private static int BlockColumns => TLanes.Registers / 4;

    /// <summary>Rows between the moves of two columns to float64, 3 or 6; each column thus moves once per float32 run.</summary>
    private static int TurnRows => SimdLimits.Float32RowRun / BlockColumns;

    private static int PanelWidth => PanelVectors * TLanes.Width;

    private static int TileWidth => TilePanels * PanelWidth;

    internal override int TileScratch => BlockColumns * PanelWidth + CacheLine / sizeof(double);

    internal override int PackParts(int dimension) => CeilingDivide(dimension, TileWidth);

    internal override long PackedLength(int count, int dimension) => 2 * FactorLength(count, dimension);

    internal override int Tiles(int dimension)
    {
        int side = CeilingDivide(dimension, TileWidth);
        return side * (side + 1) / 2;
    }

    /// <summary>
    /// Lays the panels of a tile's width out as (T, 3 W), centred, with zeros past column D - 1, and again as (T, W), with the columns of
    /// each group in the order in which the block's registers hold them.
    /// </summary>
    [MethodImpl(Hot)]
    internal override unsafe void Pack(in OuterProductPass pass, int part)
    {
        int* lanes = stackalloc int[BlockColumns * TLanes.Width];
        for (int due = 0; due < BlockColumns; due++)
            for (int i = 0; i < TLanes.Width; i++)
                lanes[due * TLanes.Width + i] = i / BlockColumns * BlockColumns + (due + i) % BlockColumns;
        int rows = PackedRows(pass.Count), end = Math.Min((part + 1) * TileWidth, pass.Dimension);
        nint leftStep = TLanes.Width * Stride(pass.Count);
        for (int t = 0; t < rows; t++)
        {
            int* order = lanes + t / TurnRows % BlockColumns * TLanes.Width;
            for (int panel = part * TileWidth; panel < end; panel += PanelWidth)
            {
                float* right = Right(pass, panel) + t * PanelWidth, left = Left(pass, panel) + t * TLanes.Width;
                if (t < pass.Count)
                    PackRow(pass, t, panel, right);
                else
                    new Span<float>(right, PanelWidth).Clear();
                for (int d = 0; d < PanelWidth; d += TLanes.Width, left += leftStep)
                    TLanes.Store(TLanes.Shuffle(TLanes.Load(ref right[d]), order), ref *left);
            }
        }
    }

    [MethodImpl(Hot)]
    internal override unsafe void AddTile(in OuterProductPass pass, int tile, Span<double> scratch)
    {
        // Tiles of the upper triangle, column by column: (0, 0), (0, 1), (1, 1), (0, 2) ...
        int tileColumn = 0;
        for (; tile > tileColumn; tile -= tileColumn)
            tileColumn++;
        int endRow = Math.Min((tile + 1) * TileWidth, pass.Dimension);
        int endColumn = Math.Min((tileColumn + 1) * TileWidth, pass.Dimension);
        fixed (double* unaligned = scratch)
        {
            double* sums = (double*)Align(unaligned);
            for (int row = tile * TileWidth; row < endRow; row += BlockColumns)
                for (int panel = Math.Max(tileColumn * TileWidth, row / PanelWidth * PanelWidth); panel < endColumn; panel += PanelWidth)
                    AddBlock(pass, row, panel, sums);
        }
    }

    private static int CeilingDivide(int dividend, int divisor) => (dividend - 1) / divisor + 1;

    /// <summary>Rows in the packed factors: zeros fill the last turn.</summary>
    [MethodImpl(Inline)]
    private static int PackedRows(int count) => CeilingDivide(count, TurnRows) * TurnRows;

    /// <summary>Rows from panel to panel: one more, or full passes would put all panels into the same sets of a cache.</summary>
    [MethodImpl(Inline)]
    private static int Stride(int count) => PackedRows(count) + 1;

    /// <summary>Float32 numbers of a packed factor.</summary>
    private static long FactorLength(int count, int dimension) =>
        (long)CeilingDivide(dimension, PanelWidth) * PanelWidth * Stride(count);

    /// <summary>The panel of the right factor that starts at this column.</summary>
    [MethodImpl(Inline)]
    private static unsafe float* Right(in OuterProductPass pass, int column) => pass.Packed + (nint)column * Stride(pass.Count);

    /// <summary>The group of the left factor that starts at this column.</summary>
    [MethodImpl(Inline)]
    private static unsafe float* Left(in OuterProductPass pass, int column) =>
        Right(pass, column - column % TLanes.Width) + column % TLanes.Width + FactorLength(pass.Count, pass.Dimension);

    /// <summary>Copies a panel's columns of one row, centred, with zeros past column D - 1.</summary>
    [MethodImpl(Inline)]
    private static unsafe void PackRow(in OuterProductPass pass, int row, int column, float* target)
    {
        int columns = Math.Min(PanelWidth, pass.Dimension - column), vectorEnd = VectorEnd(columns), half = TLanes.Width / 2;
        float* source = pass.Rows + (nint)row * pass.Dimension + column;
        double* centre = pass.Centre + column;
        for (int d = 0; d < vectorEnd; d += TLanes.Width)
        {
            // The processor follows no jumps from row to row. A hint: the address may lie past the end.
            if (Sse.IsSupported)
                Sse.Prefetch0(source + PackAhead * (nint)pass.Dimension + d);
            TFloat value = TLanes.Load(ref source[d]);
            if (pass.Centre != null)
            {
                TDouble lower = TLanes.Subtract(TLanes.WidenLower(value), TLanes.Load(ref centre[d]));
                TDouble upper = TLanes.Subtract(TLanes.WidenUpper(value), TLanes.Load(ref centre[d + half]));
                value = TLanes.Narrow(lower, upper);
            }

            TLanes.Store(value, ref target[d]);
        }

        for (int d = vectorEnd; d < PanelWidth; d++)
            target[d] = d >= columns ? 0 : pass.Centre == null ? source[d] : (float)(source[d] - centre[d]);
    }

    /// <summary>
    /// Adds the products of a group of columns, from the given row of the sum on, with the columns of a panel to the sum. Vectors that lie
    /// wholly below the diagonal or past column D - 1 are left out.
    /// </summary>
    [MethodImpl(Hot)]
    private static unsafe void AddBlock(in OuterProductPass pass, int row, int panel, double* sums)
    {
        int first = panel + Math.Max(0, row - panel) / TLanes.Width * TLanes.Width;
        int end = Math.Min(panel + PanelWidth, pass.Dimension), endRow = Math.Min(row + BlockColumns, pass.Dimension);
        new Span<double>(sums, BlockColumns * PanelWidth).Clear();
        for (int i = row; pass.Shift != null && i < endRow; i++)
            AddScaled(pass.Shift + first, pass.Weight * pass.Shift[i], sums + (i - row) * PanelWidth, end - first);

        float* left = Left(pass, row), right = Right(pass, panel) + (first - panel);
        int rows = PackedRows(pass.Count), stored = pass.Dimension - row, next = TLanes.Width * Stride(pass.Count);
        double* upper = UpperRow(pass, row) + first;
        switch (CeilingDivide(end - first, TLanes.Width))
        {
            case 1:
                AddProducts<One>(left, right, rows, sums, upper, stored, next);
                break;
            case 2:
                AddProducts<Two>(left, right, rows, sums, upper, stored, next);
                break;
            default:
                AddProducts<Three>(left, right, rows, sums, upper, stored, next);
                break;
        }

        for (int i = row; i < endRow; i++)
        {
            int column = Math.Max(i, first);
            AddScaled(sums + (i - row) * PanelWidth + column - first, 1, UpperRow(pass, i) + column, end - column);
        }
    }

    /// <summary>Where column 0 of a row of the sum would be.</summary>
    [MethodImpl(Inline)]
    private static unsafe double* UpperRow(in OuterProductPass pass, int row) =>
        pass.Upper + PackedUpper.RowStart(row, pass.Dimension) - row;

    /// <summary>Adds the products of a group of columns with some vectors of a panel to float64 sums.</summary>
    /// <param name="left">T rows of a group's columns, a vector apart, in the order of the registers.</param>
    /// <param name="right">T rows of vectors, a panel's width apart.</param>
    /// <param name="rows">T, a multiple of <see cref="TurnRows"/>.</param>
    /// <param name="sums">(columns of a block, 3 W).</param>
    /// <param name="upper">Where the sum's first row of these columns begins.</param>
    /// <param name="stored">Columns that the sum stores of that row.</param>
    /// <param name="next">Distance to the vector of columns that comes after the one that the group is part of.</param>
    [MethodImpl(Hot)]
    private static unsafe void AddProducts<TVectors>(
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
            if (TurnRows == 6)
            {
                AddRow<TVectors>(ref left, ref right, next, ref a, ref b, ref c, ref d, ref e, ref f, ref g, ref h);
                AddRow<TVectors>(ref left, ref right, next, ref a, ref b, ref c, ref d, ref e, ref f, ref g, ref h);
                AddRow<TVectors>(ref left, ref right, next, ref a, ref b, ref c, ref d, ref e, ref f, ref g, ref h);
            }

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
        if (BlockColumns == 8)
        {
            e.Add<TVectors>(left[4], row);
            f.Add<TVectors>(left[5], row);
            g.Add<TVectors>(left[6], row);
            h.Add<TVectors>(left[7], row);
        }

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
        if (BlockColumns == 4)
        {
            d = default;
            return;
        }

        d = e;
        e = f;
        f = g;
        g = h;
        h = default;
    }

    /// <summary>
    /// target += factor * source. Scalars round as vectors do, so where the sum lies in memory changes no bit.
    /// </summary>
    [MethodImpl(Inline)]
    private static unsafe void AddScaled(double* source, double factor, double* target, int length)
    {
        int half = TLanes.Width / 2;
        TDouble factors = TLanes.Broadcast(factor);
        int k = 0;
        for (; k <= length - half; k += half)
            TLanes.Store(TLanes.MultiplyAdd(factors, TLanes.Load(ref source[k]), TLanes.Load(ref target[k])), ref target[k]);
        for (; k < length; k++)
            target[k] = double.MultiplyAddEstimate(factor, source[k], target[k]);
    }

    /// <summary>One column of a block: up to 3 vectors of float32 chains.</summary>
    private struct Chains
    {
        private TFloat _first;
        private TFloat _second;
        private TFloat _third;

        [MethodImpl(Inline)]
        public static unsafe Chains Load<TVectors>(float* source)
            where TVectors : struct, IVectors
        {
            Chains loaded = default;
            loaded._first = TLanes.Load(ref *source);
            if (TVectors.Count > 1)
                loaded._second = TLanes.Load(ref source[TLanes.Width]);
            if (TVectors.Count > 2)
                loaded._third = TLanes.Load(ref source[2 * TLanes.Width]);
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
            ref double upper = ref sums[TLanes.Width / 2];
            TLanes.Store(TLanes.Add(TLanes.Load(ref *sums), TLanes.WidenLower(chains)), ref *sums);
            TLanes.Store(TLanes.Add(TLanes.Load(ref upper), TLanes.WidenUpper(chains)), ref upper);
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
