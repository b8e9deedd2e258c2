using System.Buffers;

namespace EmScan.Kernels;

/// <content>
/// How a projection is cut: the directions are laid out once if there are enough rows to pay for it, then rows are projected in any order.
/// </content>
public abstract partial class KernelSet
{
    /// <summary>Float32 numbers that <see cref="CopyDirections"/> writes; 0 if it is not worth it for so many rows.</summary>
    internal abstract long CopyLength(int rows, int count, int dimension);

    /// <summary>
    /// Lays the directions out in the order in which <see cref="ProjectRows"/> reads them; in which layout changes no bit.
    /// </summary>
    internal abstract void CopyDirections(in ProjectionPass pass);

    /// <summary>Float32 numbers that <see cref="ProjectRows"/> needs to itself.</summary>
    internal abstract int ProjectionScratch { get; }

    /// <summary>Projects some rows on all directions.</summary>
    internal abstract void ProjectRows(in ProjectionPass pass, int first, int rows, Span<float> scratch);

    /// <summary>Projects all rows.</summary>
    private protected virtual void RunProjection(in ProjectionPass pass)
    {
        float[] scratch = ArrayPool<float>.Shared.Rent(ProjectionScratch);
        ProjectRows(pass, 0, pass.Rows, scratch);
        ArrayPool<float>.Shared.Return(scratch);
    }

    private unsafe void ProjectCore(ReadOnlySpan<float> states, ReadOnlySpan<float> directions, int dimension, Span<double> projections)
    {
        int rows = states.Length / dimension, count = directions.Length / dimension;
        long length = CopyLength(rows, count, dimension);
        float[] copy = length == 0 ? [] : ArrayPool<float>.Shared.Rent(checked((int)length + CacheLine / sizeof(float)));
        fixed (float* statesAt = states, directionsAt = directions, copyAt = copy)
        fixed (double* projectionsAt = projections)
        {
            ProjectionPass pass = new()
            {
                States = statesAt,
                Rows = rows,
                Directions = directionsAt,
                Count = count,
                Dimension = dimension,
                Panels = copyAt == null ? null : (float*)Align(copyAt),
                Projections = projectionsAt,
            };
            if (length > 0)
                CopyDirections(pass);
            RunProjection(pass);
        }

        if (length > 0)
            ArrayPool<float>.Shared.Return(copy);
    }
}
