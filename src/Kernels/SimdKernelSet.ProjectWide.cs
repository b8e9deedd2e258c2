using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace EmScan.Kernels;

/// <content>
/// Projection on many directions, with the block that the outer products are made of: the sum runs over the columns d instead of over rows,
/// the directions are the left factor and the states the right one. A strip of directions is laid out for some columns at a time (Goto
/// and van de Geijn, 2008, doi 10.1145/1356052.1356053) and stays in the second-level cache, beside one panel of states and the sums of
/// the strip. Lanes are states, so what a state's sums look like does not depend on its neighbours.
/// </content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    /// <summary>Columns that are laid out at a time, at most; a multiple of every <see cref="TurnRows"/>.</summary>
    private const int StripColumns = 696;

    /// <summary>Columns that a transposition asks for ahead.</summary>
    private const int TransposeAhead = 32;

    /// <summary>Panels of states that a strip meets before it is laid out again, for 480 states with 32 registers and 16.</summary>
    private static int StripPanels => InTurn ? 10 : 20;

    /// <summary>Directions in a strip, a multiple of every W: 180 KB of the second-level cache.</summary>
    private const int StripWidth = 64;

    internal override int StripDirections => StripWidth;

    internal override int PanelStates => PanelWidth;

    internal override long PackedStatesLength(int rows, int dimension) =>
        rows == 0 ? 0 : (long)CeilingDivide(rows, PanelWidth) * PanelWidth * PackedRows(dimension);

    /// <summary>Lays the states out as panels (D, 3 W), with zeros past row T - 1 and column D - 1.</summary>
    [MethodImpl(Hot)]
    internal override unsafe void PackStates(float* states, int rows, int dimension, float* packed)
    {
        int columns = PackedRows(dimension);
        for (int first = 0; first < rows; first += PanelWidth, packed += (nint)PanelWidth * columns)
        {
            int count = Math.Min(PanelWidth, rows - first);
            Transpose(states + (nint)first * dimension, dimension, count, dimension, packed, PanelWidth, columns);
        }
    }

    internal override int StripScratch(int rows, int dimension) =>
        StripWidth * (StripStride + 2 * PanelWidth * Math.Min(StripPanels, CeilingDivide(rows, PanelWidth)));

    /// <summary>Columns from vector to vector of directions: one more, or all of them would lie in the same sets of a cache.</summary>
    private static int StripStride => StripColumns + 1;

    [MethodImpl(Hot)]
    internal override unsafe void ProjectStrip(in WidePass pass, int strip, float* scratch)
    {
        int first = strip * StripDirections, count = Math.Min(StripDirections, pass.Count - first);
        int packedColumns = PackedRows(pass.Dimension), panels = CeilingDivide(pass.Rows, PanelWidth);
        int most = PackedRows(CeilingDivide(pass.Dimension, CeilingDivide(pass.Dimension, StripColumns)));
        float* directions = pass.Directions + (nint)first * pass.Dimension;
        double* sums = (double*)(scratch + StripDirections * StripStride); // (panel, group, columns of a block, 3 W)
        for (int panel = 0; panel < panels; panel += StripPanels)
        {
            int rows = Math.Min(StripPanels * PanelWidth, pass.Rows - panel * PanelWidth);
            new Span<double>(sums, CeilingDivide(rows, PanelWidth) * StripDirections * PanelWidth).Clear();
            for (int column = 0; column < pass.Dimension; column += most)
            {
                int columns = Math.Min(most, pass.Dimension - column);
                PackDirections(directions + column, count, columns, pass.Dimension, scratch);
                float* states = pass.States + (nint)panel * PanelWidth * packedColumns + (nint)column * PanelWidth;
                AddStrip(scratch, count, states, rows, PackedRows(columns), (nint)PanelWidth * packedColumns, sums);
            }

            StoreStrip(pass, first, count, panel * PanelWidth, rows, sums);
        }
    }

    /// <summary>
    /// Lays some columns of a strip's directions out as vectors (columns, W), with the directions of each group in the order in which the
    /// block's registers hold them, and zeros past the last direction and column.
    /// </summary>
    [MethodImpl(Hot)]
    private static unsafe void PackDirections(float* directions, int count, int columns, int dimension, float* packed)
    {
        int* lanes = stackalloc int[BlockColumns * TLanes.Width];
        ColumnOrders(lanes);
        int packedColumns = PackedRows(columns);
        for (int first = 0; first < count; first += TLanes.Width, packed += StripStride * TLanes.Width)
        {
            int wanted = Math.Min(TLanes.Width, count - first);
            Transpose(directions + (nint)first * dimension, dimension, wanted, columns, packed, TLanes.Width, packedColumns);
            if (!InTurn)
                continue; // their order is the same in each row
            float* row = packed;
            for (int due = 0, left = packedColumns; left > 0; left -= TurnRows, due = (due + 1) & (BlockColumns - 1))
            {
                for (int i = 0; i < TurnRows; i++, row += TLanes.Width)
                    TLanes.Store(TLanes.Shuffle(TLanes.Load(row), lanes + due * TLanes.Width), row);
            }
        }
    }

    /// <summary>Adds the products of a strip's directions with some panels of states, over the columns that are laid out.</summary>
    [MethodImpl(Hot)]
    private static unsafe void AddStrip(float* directions, int count, float* states, int rows, int columns, nint panelStep, double* sums)
    {
        for (; rows > 0; rows -= PanelWidth, states += panelStep, sums += StripWidth * PanelWidth)
        {
            double* block = sums;
            float* ahead = states + panelStep;
            for (int group = 0; group < count; group += BlockColumns, block += BlockColumns * PanelWidth)
            {
                float* left = directions + (nint)(group / TLanes.Width) * TLanes.Width * StripStride + group % TLanes.Width;

                // Each row of a block asks for one vector of the next panel, so it is there after the first blocks.
                nint next = (nint)(ahead - left);
                ahead += columns * TLanes.Width;
                switch (CeilingDivide(Math.Min(rows, PanelWidth), TLanes.Width))
                {
                    case 1:
                        AddProducts<One>(left, states, columns, block, block, PanelWidth, next);
                        break;
                    case 2:
                        AddProducts<Two>(left, states, columns, block, block, PanelWidth, next);
                        break;
                    default:
                        AddProducts<Three>(left, states, columns, block, block, PanelWidth, next);
                        break;
                }
            }
        }
    }

    /// <summary>Writes a strip's sums, which lie state by state, to the projections, which lie direction by direction.</summary>
    [MethodImpl(Hot)]
    private static unsafe void StoreStrip(in WidePass pass, int first, int count, int row, int rows, double* sums)
    {
        double* target = pass.Projections + (nint)row * pass.Count + first;
        for (int t = 0; t < rows; t++, target += pass.Count)
        {
            double* source = sums + (nint)(t / PanelWidth) * StripWidth * PanelWidth + t % PanelWidth;
            for (int k = 0; k < count; k++)
                target[k] = source[(nint)k * PanelWidth];
        }
    }

    /// <summary>Writes a matrix transposed, with zeros around it.</summary>
    /// <param name="source">(rows, columns), its rows a stride apart.</param>
    /// <param name="stride">Distance from row to row.</param>
    /// <param name="rows">Rows, at most the target's width.</param>
    /// <param name="columns">Columns, at most the target's length.</param>
    /// <param name="target">(length, width).</param>
    /// <param name="width">Columns of the target, a multiple of 4.</param>
    /// <param name="length">Rows of the target.</param>
    [MethodImpl(Hot)]
    private static unsafe void Transpose(float* source, nint stride, int rows, int columns, float* target, int width, int length)
    {
        const int line = CacheLine / sizeof(float);
        int wholeRows = Sse.IsSupported || AdvSimd.Arm64.IsSupported ? rows / 4 * 4 : 0;
        for (int first = 0; first < columns; first += line)
        {
            // A line of each row at a time, so that the part of the target that is written stays in the first-level cache.
            int end = Math.Min(first + line, columns), wholeEnd = first + (end - first) / 4 * 4;
            for (int t = 0; t < wholeRows; t += 4)
            {
                float* from = source + t * stride + first, to = target + (nint)first * width + t;
                if (Sse.IsSupported)
                    PrefetchRows(from + TransposeAhead, stride);
                int d = first;
                for (; d < wholeEnd; d += 4, from += 4, to += 4 * width)
                    TransposeBlock(from, stride, to, width);
                for (; d < end; d++, from++, to += width)
                    for (int i = 0; i < 4; i++)
                        to[i] = from[i * stride];
            }

            for (int d = first; d < end && wholeRows < width; d++)
            {
                float* to = target + (nint)d * width;
                for (int t = wholeRows; t < rows; t++)
                    to[t] = source[t * stride + d];
                new Span<float>(to + rows, width - rows).Clear();
            }
        }

        for (int d = columns; d < length; d++)
            new Span<float>(target + (nint)d * width, width).Clear();
    }

    /// <summary>
    /// The processor follows no jumps from row to row. Into the second level: rows of a power of two share few sets of the first. A hint:
    /// the addresses may lie past the end.
    /// </summary>
    [MethodImpl(Inline)]
    private static unsafe void PrefetchRows(float* start, nint stride)
    {
        Sse.Prefetch1(start);
        Sse.Prefetch1(start + stride);
        Sse.Prefetch1(start + 2 * stride);
        Sse.Prefetch1(start + 3 * stride);
    }

    /// <summary>Writes a block of 4 x 4 transposed.</summary>
    [MethodImpl(Inline)]
    private static unsafe void TransposeBlock(float* source, nint stride, float* target, nint targetStride)
    {
        Vector128<float> a = Vector128.Load(source), b = Vector128.Load(source + stride);
        Vector128<float> c = Vector128.Load(source + 2 * stride), d = Vector128.Load(source + 3 * stride);
        if (Sse.IsSupported)
        {
            Vector128<float> ab = Sse.UnpackLow(a, b), cd = Sse.UnpackLow(c, d); // a0 b0 a1 b1, c0 d0 c1 d1
            Vector128<float> abHigh = Sse.UnpackHigh(a, b), cdHigh = Sse.UnpackHigh(c, d); // a2 b2 a3 b3, c2 d2 c3 d3
            Sse.MoveLowToHigh(ab, cd).Store(target);
            Sse.MoveHighToLow(cd, ab).Store(target + targetStride);
            Sse.MoveLowToHigh(abHigh, cdHigh).Store(target + 2 * targetStride);
            Sse.MoveHighToLow(cdHigh, abHigh).Store(target + 3 * targetStride);
        }
        else
        {
            Vector128<float> ac = AdvSimd.Arm64.ZipLow(a, c), bd = AdvSimd.Arm64.ZipLow(b, d); // a0 c0 a1 c1, b0 d0 b1 d1
            Vector128<float> acHigh = AdvSimd.Arm64.ZipHigh(a, c), bdHigh = AdvSimd.Arm64.ZipHigh(b, d);
            AdvSimd.Arm64.ZipLow(ac, bd).Store(target);
            AdvSimd.Arm64.ZipHigh(ac, bd).Store(target + targetStride);
            AdvSimd.Arm64.ZipLow(acHigh, bdHigh).Store(target + 2 * targetStride);
            AdvSimd.Arm64.ZipHigh(acHigh, bdHigh).Store(target + 3 * targetStride);
        }
    }
}
