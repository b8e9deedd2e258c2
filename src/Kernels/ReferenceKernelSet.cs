using System.Diagnostics;

namespace EmScan.Kernels;

/// <summary>
/// Plain scalar loops in float64, in the order of the formulas: what every other set is compared with, and what runs everywhere.
/// </summary>
internal sealed class ReferenceKernelSet : KernelSet
{
    public override string Name => "reference";

    public override bool IsSupported => true;

    internal override int ProjectionScratch => 0;

    internal override long CopyLength(int rows, int count, int dimension) => 0;

    internal override void CopyDirections(in ProjectionPass pass) => throw new UnreachableException("There is nothing to copy.");

    internal override unsafe void ProjectRows(in ProjectionPass pass, int first, int rows, Span<float> scratch)
    {
        for (int t = first; t < first + rows; t++)
        {
            float* state = pass.States + (nint)t * pass.Dimension;
            for (int k = 0; k < pass.Count; k++)
            {
                float* direction = pass.Directions + (nint)k * pass.Dimension;
                double sum = 0;
                for (int d = 0; d < pass.Dimension; d++)
                    sum += (double)state[d] * direction[d];
                pass.Projections[(nint)t * pass.Count + k] = sum;
            }
        }
    }

    internal override int StripDirections => 1;

    internal override int PanelStates => 1;

    internal override long PackedStatesLength(int rows, int dimension) => (long)rows * dimension;

    internal override unsafe void PackStates(float* states, int rows, int dimension, float* packed) =>
        Buffer.MemoryCopy(states, packed, sizeof(float) * (long)rows * dimension, sizeof(float) * (long)rows * dimension);

    internal override int StripScratch(int rows, int dimension) => 0;

    internal override unsafe void ProjectStrip(in WidePass pass, int strip, float* scratch)
    {
        float* direction = pass.Directions + (nint)strip * pass.Dimension;
        for (int t = 0; t < pass.Rows; t++)
        {
            float* state = pass.States + (nint)t * pass.Dimension;
            double sum = 0;
            for (int d = 0; d < pass.Dimension; d++)
                sum += (double)state[d] * direction[d];
            pass.Projections[(nint)t * pass.Count + strip] = sum;
        }
    }

    internal override void RowNormsCore(ReadOnlySpan<float> states, int dimension, Span<double> norms)
    {
        for (int t = 0; t < norms.Length; t++)
        {
            double sum = 0;
            foreach (float value in states.Slice(t * dimension, dimension))
                sum += (double)value * value;
            norms[t] = Math.Sqrt(sum);
        }
    }

    internal override void AddRowsCore(ReadOnlySpan<float> states, int rows, int stride, Span<double> sum)
    {
        for (int t = 0; t < rows; t++)
        {
            ReadOnlySpan<float> row = states.Slice(t * stride, sum.Length);
            for (int d = 0; d < sum.Length; d++)
                sum[d] += row[d];
        }
    }

    internal override int PackParts(int dimension) => 0;

    internal override long PackedLength(int count, int dimension) => 0;

    internal override void Pack(in OuterProductPass pass, int part) => throw new UnreachableException("There are no parts to pack.");

    /// <summary>A tile is a row of the sum.</summary>
    internal override int Tiles(int dimension) => dimension;

    internal override int TileScratch => 0;

    internal override unsafe void AddTile(in OuterProductPass pass, int tile, Span<double> scratch)
    {
        double* sums = pass.Upper + PackedUpper.RowStart(tile, pass.Dimension) - tile;
        for (int t = 0; t < pass.Count; t++)
        {
            float* row = pass.Rows + (nint)t * pass.Dimension;
            double left = Deviation(pass, row, tile);
            for (int j = tile; j < pass.Dimension; j++)
                sums[j] += left * Deviation(pass, row, j);
        }

        for (int j = tile; pass.Shift != null && j < pass.Dimension; j++)
            sums[j] += pass.Weight * pass.Shift[tile] * pass.Shift[j];
    }

    private static unsafe double Deviation(in OuterProductPass pass, float* row, int column) =>
        pass.Centre == null ? row[column] : row[column] - pass.Centre[column];
}
