using System.Buffers;

namespace EmScan.Kernels;

/// <content>
/// How an outer product update is cut: passes of at most <see cref="OuterProductRows"/> rows; in a pass, parts that lay the rows out, then
/// tiles of the sum. The cut depends on the shapes alone, and each element of the sum belongs to one tile, so the order in which parts and
/// tiles run, or how many run at a time, changes no bit.
/// </content>
public abstract partial class KernelSet
{
    /// <summary>How many parts <see cref="Pack"/> has for rows of this width; they may run at the same time.</summary>
    internal abstract int PackParts(int dimension);

    /// <summary>Float32 numbers that <see cref="Pack"/> writes for so many rows.</summary>
    internal abstract long PackedLength(int count, int dimension);

    /// <summary>Lays one part of the rows out in the order in which <see cref="AddTile"/> reads them.</summary>
    internal abstract void Pack(in OuterProductPass pass, int part);

    /// <summary>How many tiles the sum has; they may run at the same time, after all parts are packed.</summary>
    internal abstract int Tiles(int dimension);

    /// <summary>Float64 numbers that <see cref="AddTile"/> needs to itself.</summary>
    internal abstract int TileScratch { get; }

    /// <summary>Adds the outer products of the packed rows, and of the shift, to the elements of one tile.</summary>
    internal abstract void AddTile(in OuterProductPass pass, int tile, Span<double> scratch);

    /// <summary>Runs all parts, then all tiles.</summary>
    private protected virtual void RunPass(in OuterProductPass pass)
    {
        int parts = PackParts(pass.Dimension), tiles = Tiles(pass.Dimension);
        for (int part = 0; part < parts; part++)
            Pack(pass, part);
        double[] scratch = ArrayPool<double>.Shared.Rent(TileScratch);
        for (int tile = 0; tile < tiles; tile++)
            AddTile(pass, tile, scratch);
        ArrayPool<double>.Shared.Return(scratch);
    }

    private unsafe void AddOuterProductsCore(
        ReadOnlySpan<float> states,
        int dimension,
        ReadOnlySpan<double> centre,
        ReadOnlySpan<double> shift,
        double weight,
        Span<double> upper)
    {
        int rows = states.Length / dimension;
        int perPass = Math.Min(OuterProductRows, rows);
        float[] packed = ArrayPool<float>.Shared.Rent(checked((int)PackedLength(perPass, dimension) + CacheLine / sizeof(float)));
        fixed (float* rowsAt = states, packedAt = packed)
        fixed (double* centreAt = centre, shiftAt = shift, upperAt = upper)
        {
            for (int first = 0; first < rows; first += perPass)
            {
                RunPass(new OuterProductPass
                {
                    Rows = rowsAt + (nint)first * dimension,
                    Count = Math.Min(perPass, rows - first),
                    Dimension = dimension,
                    Centre = centreAt,
                    Packed = (float*)Align(packedAt),
                    Shift = first == 0 ? shiftAt : null,
                    Weight = weight,
                    Upper = upperAt,
                });
            }
        }

        ArrayPool<float>.Shared.Return(packed);
    }
}
