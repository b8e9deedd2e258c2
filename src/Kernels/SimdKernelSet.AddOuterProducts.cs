using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace EmScan.Kernels;

/// <content>
/// Symmetric rank-T update, blocked like a matrix multiplication (Goto and van de Geijn, 2008, doi 10.1145/1356052.1356053). The rows are
/// repacked into panels of 2 W columns, so that both factors are read as consecutive numbers. The sum is cut into tiles of 6 x 6 panels,
/// whose float64 sums stay in the second-level cache. A tile takes the rows in slabs, of which one panel stays in the first-level cache
/// while all the columns of the tile pass, and computes in blocks of 6 x 2 W sums: 12 chains of multiply-adds keep two units of latency 4
/// busy, and 12 accumulators, 2 vectors of one factor and 1 of the other fit the 16 registers of AVX2.
/// </content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    private const int BlockColumns = 6;

    /// <summary>Panels along each side of a tile; a multiple of 3, so that blocks of 6 columns fill it.</summary>
    private const int TilePanels = 6;

    /// <summary>Float32 sums live for so many rows.</summary>
    private const int RunsRows = SimdLimits.Float32Run * SimdLimits.Float32Runs;

    /// <summary>Rows in a slab: a panel of it takes 15 KB with the widest vectors.</summary>
    private const int SlabRows = 2 * RunsRows;

    private static int PanelWidth => 2 * TLanes.Width;

    private static int TileWidth => TilePanels * PanelWidth;

    internal override int TileScratch => TileWidth * TileWidth + BlockColumns * TLanes.Width + CacheLine / sizeof(double);

    internal override int PackParts(int dimension) => CeilingDivide(dimension, PanelWidth);

    internal override long PackedLength(int count, int dimension) => (long)PackParts(dimension) * PanelWidth * count;

    internal override int Tiles(int dimension)
    {
        int side = CeilingDivide(dimension, TileWidth);
        return side * (side + 1) / 2;
    }

    /// <summary>Lays a panel out as (T, 2 W), centred, with zeros past column D - 1.</summary>
    [MethodImpl(Hot)]
    internal override unsafe void Pack(in OuterProductPass pass, int part)
    {
        int column = part * PanelWidth;
        int columns = Math.Min(PanelWidth, pass.Dimension - column);
        int vectorEnd = VectorEnd(columns), half = TLanes.Width / 2;
        double* centre = pass.Centre + column;
        for (int t = 0; t < pass.Count; t++)
        {
            float* source = pass.Rows + (nint)t * pass.Dimension + column;
            float* target = pass.Packed + (nint)column * pass.Count + (nint)t * PanelWidth;
            for (int d = 0; d < vectorEnd; d += TLanes.Width)
            {
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
    }

    [MethodImpl(Hot)]
    internal override unsafe void AddTile(in OuterProductPass pass, int tile, Span<double> scratch)
    {
        // Tiles of the upper triangle, column by column: (0, 0), (0, 1), (1, 1), (0, 2) ...
        int tileColumn = 0;
        for (; tile > tileColumn; tile -= tileColumn)
            tileColumn++;
        int firstRow = tile * TileWidth, endRow = Math.Min(firstRow + TileWidth, pass.Dimension);
        int firstColumn = tileColumn * TileWidth, endColumn = Math.Min(firstColumn + TileWidth, pass.Dimension);
        fixed (double* unaligned = scratch)
        {
            double* sums = (double*)Align(unaligned);
            new Span<double>(sums, TileWidth * TileWidth).Clear();
            AddSlabs(pass, firstRow, endRow, firstColumn, endColumn, (float*)(sums + TileWidth * TileWidth), sums);
            for (int row = firstRow; row < endRow; row++)
            {
                int column = Math.Max(row, firstColumn);
                if (column >= endColumn)
                    return;
                double* target = pass.Upper + PackedUpper.RowStart(row, pass.Dimension) - row + column;
                AddScaled(sums + (row - firstRow) * TileWidth + column - firstColumn, 1, target, endColumn - column);
                if (pass.Shift != null)
                    AddScaled(pass.Shift + column, pass.Weight * pass.Shift[row], target, endColumn - column);
            }
        }
    }

    private static int CeilingDivide(int dividend, int divisor) => (dividend - 1) / divisor + 1;

    /// <summary>Sums the products of the tile's columns over all rows of the pass.</summary>
    [MethodImpl(Hot)]
    private static unsafe void AddSlabs(
        in OuterProductPass pass, int firstRow, int endRow, int firstColumn, int endColumn, float* runs, double* sums)
    {
        for (int slab = 0; slab < pass.Count; slab += SlabRows)
        {
            int count = Math.Min(SlabRows, pass.Count - slab);
            for (int j = firstColumn; j < endColumn; j += PanelWidth)
            {
                // Rows below the diagonal of this panel are not wanted.
                int end = Math.Min(endRow, j + PanelWidth);
                for (int i = firstRow; i < end; i += BlockColumns)
                {
                    // The sum is touched once per pass: ask for it while the last slab is at work.
                    if (slab + SlabRows >= pass.Count)
                        Prefetch(pass, i, Math.Min(i + BlockColumns, endRow), Math.Max(i, j));
                    AddBlock(
                        Packed(pass, slab, i),
                        Packed(pass, slab, i + 2),
                        Packed(pass, slab, i + 4),
                        Packed(pass, slab, j),
                        count,
                        runs,
                        sums + (i - firstRow) * TileWidth + j - firstColumn);
                }
            }
        }
    }

    /// <summary>Asks for a panel's width of some rows of the sum. A hint: the address may lie past the end.</summary>
    [MethodImpl(Inline)]
    private static unsafe void Prefetch(in OuterProductPass pass, int row, int endRow, int column)
    {
        if (!Sse.IsSupported)
            return;
        for (; row < endRow; row++)
        {
            double* start = pass.Upper + PackedUpper.RowStart(row, pass.Dimension) - row + column;
            for (int k = 0; k < PanelWidth; k += CacheLine / sizeof(double))
                Sse.Prefetch1(start + k);
        }
    }

    /// <summary>
    /// Where row and column lie among the panels. A pair of columns never straddles two panels; past the last panel, which only sums that
    /// nobody reads look at, the last pair stands in.
    /// </summary>
    [MethodImpl(Inline)]
    private static unsafe float* Packed(in OuterProductPass pass, int row, int column)
    {
        column = Math.Min(column, CeilingDivide(pass.Dimension, PanelWidth) * PanelWidth - 2);
        int within = column % PanelWidth;
        return pass.Packed + (nint)(column - within) * pass.Count + (nint)row * PanelWidth + within;
    }

    /// <summary>
    /// Adds the products of 3 pairs of columns with the 2 W columns of a panel, summed over at most a slab of rows, to 6 x 2 W float64
    /// sums.
    /// </summary>
    [MethodImpl(Hot)]
    private static unsafe void AddBlock(
        float* pair0, float* pair1, float* pair2, float* right, int count, float* runs, double* sums)
    {
        while (count > 0)
        {
            int rows = Math.Min(RunsRows, count);
            count -= rows;
            for (bool first = true; rows > 0; first = false)
            {
                int run = Math.Min(SimdLimits.Float32Run, rows);
                rows -= run;
                TFloat a0 = default, a1 = default, b0 = default, b1 = default, c0 = default, c1 = default;
                TFloat d0 = default, d1 = default, e0 = default, e1 = default, f0 = default, f1 = default;
                for (nint at = 0; at < run * PanelWidth; at += PanelWidth)
                {
                    TFloat right0 = TLanes.Load(ref right[at]);
                    TFloat right1 = TLanes.Load(ref right[at + TLanes.Width]);
                    TFloat factor = TLanes.Broadcast(pair0[at]);
                    a0 = TLanes.MultiplyAdd(factor, right0, a0);
                    a1 = TLanes.MultiplyAdd(factor, right1, a1);
                    factor = TLanes.Broadcast(pair0[at + 1]);
                    b0 = TLanes.MultiplyAdd(factor, right0, b0);
                    b1 = TLanes.MultiplyAdd(factor, right1, b1);
                    factor = TLanes.Broadcast(pair1[at]);
                    c0 = TLanes.MultiplyAdd(factor, right0, c0);
                    c1 = TLanes.MultiplyAdd(factor, right1, c1);
                    factor = TLanes.Broadcast(pair1[at + 1]);
                    d0 = TLanes.MultiplyAdd(factor, right0, d0);
                    d1 = TLanes.MultiplyAdd(factor, right1, d1);
                    factor = TLanes.Broadcast(pair2[at]);
                    e0 = TLanes.MultiplyAdd(factor, right0, e0);
                    e1 = TLanes.MultiplyAdd(factor, right1, e1);
                    factor = TLanes.Broadcast(pair2[at + 1]);
                    f0 = TLanes.MultiplyAdd(factor, right0, f0);
                    f1 = TLanes.MultiplyAdd(factor, right1, f1);
                }

                int step = run * PanelWidth;
                pair0 += step;
                pair1 += step;
                pair2 += step;
                right += step;
                if (!first)
                {
                    AddPair(ref a0, ref a1, runs);
                    AddPair(ref b0, ref b1, runs + PanelWidth);
                    AddPair(ref c0, ref c1, runs + 2 * PanelWidth);
                    AddPair(ref d0, ref d1, runs + 3 * PanelWidth);
                    AddPair(ref e0, ref e1, runs + 4 * PanelWidth);
                    AddPair(ref f0, ref f1, runs + 5 * PanelWidth);
                }

                StorePair(a0, a1, runs);
                StorePair(b0, b1, runs + PanelWidth);
                StorePair(c0, c1, runs + 2 * PanelWidth);
                StorePair(d0, d1, runs + 3 * PanelWidth);
                StorePair(e0, e1, runs + 4 * PanelWidth);
                StorePair(f0, f1, runs + 5 * PanelWidth);
            }

            for (int i = 0; i < BlockColumns; i++)
            {
                Widen(runs + i * PanelWidth, sums + i * TileWidth);
                Widen(runs + i * PanelWidth + TLanes.Width, sums + i * TileWidth + TLanes.Width);
            }
        }
    }

    [MethodImpl(Inline)]
    private static unsafe void AddPair(ref TFloat left, ref TFloat right, float* runs)
    {
        left = TLanes.Add(TLanes.Load(ref *runs), left);
        right = TLanes.Add(TLanes.Load(ref runs[TLanes.Width]), right);
    }

    [MethodImpl(Inline)]
    private static unsafe void StorePair(TFloat left, TFloat right, float* runs)
    {
        TLanes.Store(left, ref *runs);
        TLanes.Store(right, ref runs[TLanes.Width]);
    }

    /// <summary>Adds W float32 numbers to W float64 sums, lane by lane.</summary>
    [MethodImpl(Inline)]
    private static unsafe void Widen(float* source, double* sums)
    {
        TFloat value = TLanes.Load(ref *source);
        ref double second = ref sums[TLanes.Width / 2];
        TLanes.Store(TLanes.Add(TLanes.Load(ref *sums), TLanes.WidenLower(value)), ref *sums);
        TLanes.Store(TLanes.Add(TLanes.Load(ref second), TLanes.WidenUpper(value)), ref second);
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
        for (; k < length && (nuint)(target + k) % CacheLine != 0; k++)
            target[k] = double.MultiplyAddEstimate(factor, source[k], target[k]);
        for (; k <= length - half; k += half)
            TLanes.Store(TLanes.MultiplyAdd(factors, TLanes.Load(ref source[k]), TLanes.Load(ref target[k])), ref target[k]);
        for (; k < length; k++)
            target[k] = double.MultiplyAddEstimate(factor, source[k], target[k]);
    }
}
