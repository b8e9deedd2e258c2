using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace EmScan.Kernels;

/// <content>
/// Symmetric rank-T update, blocked like a matrix multiplication (Goto and van de Geijn, 2008, doi 10.1145/1356052.1356053). The rows are
/// repacked twice: as the right factor in panels of 3 vectors, and as the left factor in groups of 8 columns (4 where the processor has
/// only 16 registers). A block of the sum, one group times one panel, takes all rows of the pass at once. The panels of a tile stay in the
/// second-level cache while all its groups pass.
/// </content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    private const int PanelVectors = 3;

    /// <summary>Panels along each side of a tile: 360 KB of the second-level cache with the widest vectors.</summary>
    private const int TilePanels = 2;

    /// <summary>Rows that packing asks for ahead.</summary>
    private const int PackAhead = 8;

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
        ColumnOrders(lanes);
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
                    TLanes.Store(TLanes.Shuffle(TLanes.Load(right + d), order), left);
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
            TFloat value = TLanes.Load(source + d);
            if (pass.Centre != null)
            {
                TDouble lower = TLanes.Subtract(TLanes.WidenLower(value), TLanes.Load(centre + d));
                TDouble upper = TLanes.Subtract(TLanes.WidenUpper(value), TLanes.Load(centre + d + half));
                value = TLanes.Narrow(lower, upper);
            }

            TLanes.Store(value, target + d);
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
            TLanes.Store(TLanes.MultiplyAdd(factors, TLanes.Load(source + k), TLanes.Load(target + k)), target + k);
        for (; k < length; k++)
            target[k] = double.MultiplyAddEstimate(factor, source[k], target[k]);
    }
}
