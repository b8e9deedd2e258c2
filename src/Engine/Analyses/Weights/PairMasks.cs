using EmScan.Engine.Formats;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>Overlap of the masks of two adapters, against chance and against masks whose rows and columns were permuted.</summary>
/// <param name="Share">Share of the coordinates that each mask keeps, q.</param>
/// <param name="Kept">k = ceil(q N).</param>
/// <param name="Jaccard">Common coordinates over those of either.</param>
/// <param name="Chance">e / (2 k - e), e = k^2 / N.</param>
/// <param name="Null">The same overlap with rows and columns of the second adapter's weights permuted, one for each draw.</param>
/// <param name="PerModule">Mean over weights of the overlap of the masks within each.</param>
/// <param name="Signs">Share of the common coordinates whose signs agree; null when there is none.</param>
internal sealed record PairMasks(double Share, long Kept, double Jaccard, double Chance, double[] Null, double PerModule, double? Signs)
{
    // Of more masked coordinates than these, in one weight, every so many-th is looked up under a permutation.
    private const long MostLookups = 1 << 22;

    /// <summary>Compares the masks of two adapters over weights that both change.</summary>
    /// <param name="a">The first adapter, its weights and their census.</param>
    /// <param name="b">The second; weight i belongs to weight i of the first.</param>
    /// <param name="draws">Permutations.</param>
    /// <param name="seed">Of them.</param>
    /// <param name="cancellationToken">Checked between weights.</param>
    /// <remarks>Holds the masks of one weight at a time, a bit for each coordinate.</remarks>
    internal static PairMasks[] Of((LowRankFile File, WeightCensus Census) a, (LowRankFile File, WeightCensus Census) b, int draws, int seed, CancellationToken cancellationToken)
    {
        int shares = WeightCensus.MaskShares.Length;
        MaskCursor[] globalA = [.. a.Census.Borders.Select(border => new MaskCursor(border))], globalB = [.. b.Census.Borders.Select(border => new MaskCursor(border))];
        long[] common = new long[shares], agree = new long[shares];
        double[][] permuted = [.. Enumerable.Range(0, shares).Select(_ => new double[draws])];
        double[] perModule = new double[shares];
        for (int m = 0; m < a.Census.Modules.Count; m++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ModuleCensus first = a.Census.Modules[m], second = b.Census.Modules[m];
            ModuleRows rowsA = ModuleRows.Of(a.File, first.Module), rowsB = ModuleRows.Of(b.File, second.Module);
            MaskCursor[] ownA = [.. first.Borders.Select(border => new MaskCursor(border))], ownB = [.. second.Borders.Select(border => new MaskCursor(border))];
            Bitmap[] masksA = [.. Enumerable.Range(0, shares).Select(_ => new Bitmap(rowsA.Outputs, rowsA.Inputs))];
            Bitmap[] masksB = [.. Enumerable.Range(0, shares).Select(_ => new Bitmap(rowsA.Outputs, rowsA.Inputs))];
            long[] own = new long[shares];
            uint lowestA = a.Census.Borders.Concat(first.Borders).Min(border => border.Bits), lowestB = b.Census.Borders.Concat(second.Borders).Min(border => border.Bits);
            float[] rowA = new float[rowsA.Inputs], rowB = new float[rowsA.Inputs];
            for (int o = 0; o < rowsA.Outputs; o++)
            {
                rowsA.Row(o, rowA);
                rowsB.Row(o, rowB);
                for (int i = 0; i < rowA.Length; i++)
                {
                    uint bitsA = Magnitudes.Bits(rowA[i]), bitsB = Magnitudes.Bits(rowB[i]);
                    if (bitsA < lowestA && bitsB < lowestB) continue;
                    for (int q = 0; q < shares; q++)
                    {
                        bool inA = globalA[q].Takes(bitsA), inB = globalB[q].Takes(bitsB);
                        if (inA) masksA[q].Set(o, i);
                        if (inB) masksB[q].Set(o, i);
                        if (inA && inB)
                        {
                            common[q]++;
                            if (rowA[i] < 0 == rowB[i] < 0) agree[q]++;
                        }

                        // Both are asked whatever the other says: cursors count ties.
                        bool ofOwnA = ownA[q].Takes(bitsA), ofOwnB = ownB[q].Takes(bitsB);
                        if (ofOwnA && ofOwnB) own[q]++;
                    }
                }
            }

            for (int q = 0; q < shares; q++)
            {
                perModule[q] += own[q] / (double)(first.Borders[q].Kept + second.Borders[q].Kept - own[q]) / a.Census.Modules.Count;
                (Bitmap inA, Bitmap inB, int weight) = (masksA[q], masksB[q], m);
                IEnumerable<double> counts = ModuleParallel.Select(Enumerable.Range(0, draws), draw => Permuted(inA, inB, new Random(unchecked((((seed * 397) ^ draw) * 397) ^ weight))), cancellationToken);
                foreach ((int draw, double count) in counts.Index()) permuted[q][draw] += count;
            }
        }

        return [.. Enumerable.Range(0, shares).Select(q =>
        {
            long kept = a.Census.Borders[q].Kept;
            double expected = (double)kept * kept / a.Census.All.Count;
            return new PairMasks(
                WeightCensus.MaskShares[q], kept, Overlap(common[q], kept), Overlap(expected, kept), [.. permuted[q].Select(count => Overlap(count, kept))], perModule[q],
                common[q] > 0 ? (double)agree[q] / common[q] : null);
        })];
    }

    private static double Overlap(double common, long kept) => common / ((2 * kept) - common);

    // Coordinates of the first mask that lie in the second one under a permutation of its rows and columns; of many, every so many-th counts for all.
    private static double Permuted(Bitmap a, Bitmap b, Random random)
    {
        int[] rows = [.. Enumerable.Range(0, a.Rows)], columns = [.. Enumerable.Range(0, a.Columns)];
        random.Shuffle(rows);
        random.Shuffle(columns);
        long stride = Math.Max(1, a.Count / MostLookups), seen = 0, looked = 0, common = 0;
        foreach ((int row, int column) in a.Members())
        {
            if (seen++ % stride != 0) continue;
            looked++;
            if (b.Has(rows[row], columns[column])) common++;
        }

        return looked == 0 ? 0 : (double)common / looked * a.Count;
    }

    private sealed class Bitmap(int rows, int columns)
    {
        private readonly ulong[] _bits = new ulong[(((long)rows * columns) + 63) / 64];

        internal int Rows => rows;

        internal int Columns => columns;

        internal long Count { get; private set; }

        internal void Set(int row, int column)
        {
            long at = ((long)row * columns) + column;
            _bits[at >> 6] |= 1UL << (int)(at & 63);
            Count++;
        }

        internal bool Has(int row, int column)
        {
            long at = ((long)row * columns) + column;
            return (_bits[at >> 6] >> (int)(at & 63) & 1) != 0;
        }

        internal IEnumerable<(int Row, int Column)> Members()
        {
            for (long word = 0; word < _bits.Length; word++)
            {
                for (ulong bits = _bits[word]; bits != 0; bits &= bits - 1)
                {
                    long at = (word << 6) + System.Numerics.BitOperations.TrailingZeroCount(bits);
                    yield return ((int)(at / columns), (int)(at % columns));
                }
            }
        }
    }
}
