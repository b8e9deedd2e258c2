using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace EmScan.Kernels;

/// <content>
/// Projection. A panel of columns of the directions stays in the first-level cache while a group of states passes it, in tiles of 3 states
/// x 4 directions: 12 chains of multiply-adds keep two units of latency 4 busy, and 12 accumulators, 3 states and 1 direction fit the 16
/// registers of AVX2. While a panel is at work, the states' columns of the next one are asked for: the processor's own prefetcher does not
/// follow jumps from row to row.
/// </content>
internal sealed partial class SimdKernelSet<TLanes, TFloat, TDouble>
{
    private const int TileStates = 3;
    private const int TileDirections = 4;

    /// <summary>
    /// States in a group, a multiple of <see cref="TileStates"/>: a panel is read from the second-level cache once for all.
    /// </summary>
    private const int GroupStates = 12;

    /// <summary>
    /// Directions per pass over a group, a multiple of <see cref="TileDirections"/>: the sums of so many stay in the first-level cache
    /// beside the panel. With more directions a group is read again, from the second-level cache.
    /// </summary>
    private const int PassDirections = 16;

    /// <summary>From so many states on it pays to copy the directions, so that a panel is dense and aligned.</summary>
    private const int CopyFrom = 2 * GroupStates;

    /// <summary>Columns in a panel: what one float32 run takes.</summary>
    private static int PanelColumns => SimdLimits.Float32Run * TLanes.Width;

    internal override int ProjectionScratch => 2 * SumsLength + CacheLine / sizeof(float);

    private static int SumsLength => SumStart(GroupStates, 0);

    internal override long CopyLength(int rows, int count, int dimension) =>
        rows < CopyFrom ? 0 : (long)PanelCount(dimension) * PanelColumns * count;

    internal override unsafe void CopyDirections(in ProjectionPass pass)
    {
        Panels from = PanelsOf(pass.Directions, pass.Dimension), to = CopiedPanels(pass);
        for (int left = VectorEnd(pass.Dimension); left > 0; left -= PanelColumns)
        {
            int columns = Math.Min(PanelColumns, left);
            for (int k = 0; k < pass.Count; k++)
                new ReadOnlySpan<float>(from.From(k).Start, columns).CopyTo(new Span<float>(to.From(k).Start, columns));
            from = from.Next;
            to = to.Next;
        }
    }

    [MethodImpl(Hot)]
    internal override unsafe void ProjectRows(in ProjectionPass pass, int first, int rows, Span<float> scratch)
    {
        Panels panels = pass.Panels == null ? PanelsOf(pass.Directions, pass.Dimension) : CopiedPanels(pass);
        fixed (float* scratchAt = scratch)
        {
            float* runs = (float*)Align(scratchAt); // (states, directions, W): finished float32 runs
            double* sums = (double*)(runs + SumsLength); // (states, directions, W / 2)
            for (int t = first; t < first + rows; t += GroupStates)
            {
                int group = Math.Min(GroupStates, first + rows - t);
                for (int k = 0; k < pass.Count; k += PassDirections)
                {
                    int count = Math.Min(PassDirections, pass.Count - k);
                    if (pass.Dimension >= TLanes.Width)
                        ProjectGroup(pass.States + (nint)t * pass.Dimension, group, panels.From(k), count, pass.Dimension, runs, sums);
                    Finish(pass, t, group, k, count, sums);
                }
            }
        }
    }

    /// <summary>Adds up the lanes of a group's sums and the columns that no whole vector covers.</summary>
    [MethodImpl(Hot)]
    private static unsafe void Finish(in ProjectionPass pass, int firstRow, int rows, int firstDirection, int count, double* sums)
    {
        int vectorEnd = VectorEnd(pass.Dimension);
        for (int t = 0; t < rows; t++)
        {
            float* state = pass.States + (nint)(firstRow + t) * pass.Dimension;
            double* target = pass.Projections + (nint)(firstRow + t) * pass.Count + firstDirection;
            for (int k = 0; k < count; k++)
            {
                double sum = vectorEnd == 0 ? 0 : TLanes.Sum(TLanes.Load(sums + SumStart(t, k) / 2));
                if (vectorEnd < pass.Dimension)
                    sum += TailDot(state, pass.Directions + (nint)(firstDirection + k) * pass.Dimension, vectorEnd, pass.Dimension);
                target[k] = sum;
            }
        }
    }

    private static int PanelCount(int dimension) => (VectorEnd(dimension) + PanelColumns - 1) / PanelColumns;

    private static unsafe Panels PanelsOf(float* directions, int dimension) => new(directions, PanelColumns, dimension);

    private static unsafe Panels CopiedPanels(in ProjectionPass pass) =>
        new(pass.Panels, (nint)pass.Count * PanelColumns, PanelColumns);

    /// <summary>
    /// Index among the runs of those of a state of the group and a direction of the pass; among the sums it is half of that.
    /// </summary>
    [MethodImpl(Inline)]
    private static int SumStart(int state, int direction) => (state * PassDirections + direction) * TLanes.Width;

    /// <summary>
    /// Sums the products of at most <see cref="GroupStates"/> states with at most <see cref="PassDirections"/> directions over whole
    /// vectors of columns.
    /// </summary>
    [MethodImpl(Hot)]
    private static unsafe void ProjectGroup(
        float* states, int rows, Panels panels, int count, int dimension, float* runs, double* sums)
    {
        int vectorEnd = VectorEnd(dimension);
        for (int column = 0, run = 0; column < vectorEnd; column += PanelColumns, panels = panels.Next)
        {
            int columns = Math.Min(PanelColumns, vectorEnd - column);

            // What comes after this panel: the next columns of the same states, or the first columns of the next group.
            nint ahead = column + columns < vectorEnd ? columns : (nint)rows * dimension - column;
            for (int t = 0; t < rows; t += TileStates)
            {
                // A tile that sticks out repeats the last state, into sums that nobody reads.
                float* a = states + (nint)t * dimension + column;
                float* b = t + 1 < rows ? a + dimension : a;
                float* c = t + 2 < rows ? b + dimension : b;
                ProjectTiles(a, b, c, columns, panels, count, run == 0, runs + SumStart(t, 0), ahead);
            }

            if (++run == SimdLimits.Float32Runs || column + columns == vectorEnd)
            {
                WidenRuns(runs, rows, count, column + columns <= SimdLimits.Float32Runs * PanelColumns, sums);
                run = 0;
            }
        }
    }

    /// <summary>
    /// Sums the products of states a, b and c with all directions of the pass over one float32 run of columns, and stores them in the runs
    /// or adds them there. Meanwhile asks for what the same tiles of the panel ahead will read.
    /// </summary>
    [MethodImpl(Hot)]
    private static unsafe void ProjectTiles(
        float* a, float* b, float* c, nint columns, Panels panels, int count, bool first, float* runs, nint ahead)
    {
        const int line = CacheLine / sizeof(float);
        int share = PanelColumns / ((count + TileDirections - 1) / TileDirections);
        nint asked = ahead, wanted = ahead;
        for (int left = count - 1; left >= 0; left -= TileDirections)
        {
            // A hint: nothing is read, so the address may lie past the end of the states.
            wanted += share;
            for (; Sse.IsSupported && asked < wanted; asked += line)
            {
                Sse.Prefetch0(a + asked);
                Sse.Prefetch0(b + asked);
                Sse.Prefetch0(c + asked);
            }

            // A tile that sticks out repeats a direction, into sums that nobody reads.
            float* v = panels.Start;
            float* w = left >= 1 ? v + panels.DirectionStep : v;
            float* x = left >= 2 ? w + panels.DirectionStep : w;
            float* y = left >= 3 ? x + panels.DirectionStep : x;
            panels = panels.From(TileDirections);
            TFloat av = default, aw = default, ax = default, ay = default;
            TFloat bv = default, bw = default, bx = default, by = default;
            TFloat cv = default, cw = default, cx = default, cy = default;
            for (nint d = 0; d < columns; d += TLanes.Width)
            {
                TFloat stateA = TLanes.Load(a + d);
                TFloat stateB = TLanes.Load(b + d);
                TFloat stateC = TLanes.Load(c + d);
                TFloat direction = TLanes.Load(v + d);
                av = TLanes.MultiplyAdd(stateA, direction, av);
                bv = TLanes.MultiplyAdd(stateB, direction, bv);
                cv = TLanes.MultiplyAdd(stateC, direction, cv);
                direction = TLanes.Load(w + d);
                aw = TLanes.MultiplyAdd(stateA, direction, aw);
                bw = TLanes.MultiplyAdd(stateB, direction, bw);
                cw = TLanes.MultiplyAdd(stateC, direction, cw);
                direction = TLanes.Load(x + d);
                ax = TLanes.MultiplyAdd(stateA, direction, ax);
                bx = TLanes.MultiplyAdd(stateB, direction, bx);
                cx = TLanes.MultiplyAdd(stateC, direction, cx);
                direction = TLanes.Load(y + d);
                ay = TLanes.MultiplyAdd(stateA, direction, ay);
                by = TLanes.MultiplyAdd(stateB, direction, by);
                cy = TLanes.MultiplyAdd(stateC, direction, cy);
            }

            if (!first)
            {
                AddRuns(ref av, ref aw, ref ax, ref ay, runs);
                AddRuns(ref bv, ref bw, ref bx, ref by, runs + SumStart(1, 0));
                AddRuns(ref cv, ref cw, ref cx, ref cy, runs + SumStart(2, 0));
            }

            StoreRuns(av, aw, ax, ay, runs);
            StoreRuns(bv, bw, bx, by, runs + SumStart(1, 0));
            StoreRuns(cv, cw, cx, cy, runs + SumStart(2, 0));
            runs += TileDirections * TLanes.Width;
        }
    }

    [MethodImpl(Inline)]
    private static unsafe void AddRuns(ref TFloat v, ref TFloat w, ref TFloat x, ref TFloat y, float* runs)
    {
        v = TLanes.Add(TLanes.Load(runs), v);
        w = TLanes.Add(TLanes.Load(runs + TLanes.Width), w);
        x = TLanes.Add(TLanes.Load(runs + 2 * TLanes.Width), x);
        y = TLanes.Add(TLanes.Load(runs + 3 * TLanes.Width), y);
    }

    [MethodImpl(Inline)]
    private static unsafe void StoreRuns(TFloat v, TFloat w, TFloat x, TFloat y, float* runs)
    {
        TLanes.Store(v, runs);
        TLanes.Store(w, runs + TLanes.Width);
        TLanes.Store(x, runs + 2 * TLanes.Width);
        TLanes.Store(y, runs + 3 * TLanes.Width);
    }

    /// <summary>Moves the runs of a group to float64: lanes i and i + W/2 meet in sum i.</summary>
    [MethodImpl(Hot)]
    private static unsafe void WidenRuns(float* runs, int rows, int count, bool first, double* sums)
    {
        for (int t = 0; t < rows; t++)
        {
            for (int k = 0; k < count; k++)
            {
                TFloat run = TLanes.Load(runs + SumStart(t, k));
                double* sum = sums + SumStart(t, k) / 2;
                TDouble added = TLanes.Add(TLanes.WidenLower(run), TLanes.WidenUpper(run));
                TLanes.Store(first ? added : TLanes.Add(TLanes.Load(sum), added), sum);
            }
        }
    }

    /// <summary>Scalar rest of a dot product, fewer than W columns.</summary>
    private static unsafe double TailDot(float* left, float* right, int start, int end)
    {
        double sum = 0;
        for (int d = start; d < end; d++)
            sum += (double)left[d] * right[d];
        return sum;
    }

    /// <summary>Where the columns of a panel of each direction lie.</summary>
    private readonly unsafe struct Panels(float* start, nint panelStep, nint directionStep)
    {
        /// <summary>The first column of the panel, first direction.</summary>
        public float* Start => start;

        /// <summary>Distance from direction to direction.</summary>
        public nint DirectionStep => directionStep;

        /// <summary>The next panel.</summary>
        public Panels Next => new(start + panelStep, panelStep, directionStep);

        /// <summary>The panel without its first so many directions.</summary>
        public Panels From(int direction) => new(start + direction * directionStep, panelStep, directionStep);
    }
}
