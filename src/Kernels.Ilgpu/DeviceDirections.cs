using ILGPU;
using ILGPU.Runtime;

namespace EmScan.Kernels.Ilgpu;

/// <summary>Directions on a device; states come to them in blocks, and projections go back.</summary>
internal sealed unsafe class DeviceDirections : IResidentDirections
{
    private readonly IlgpuDevice _device;
    private readonly MemoryBuffer1D<float, Stride1D.Dense> _directions;

    public DeviceDirections(IlgpuDevice device, ReadOnlyMemory<float> directions, int dimension)
    {
        _device = device;
        Count = Shape.Rows(directions.Length, dimension, nameof(directions));
        Dimension = dimension;
        _directions = device.Run(queue => queue.Keep(directions));
    }

    public int Count { get; }

    public int Dimension { get; }

    public void Project(ReadOnlySpan<float> states, Span<double> projections)
    {
        int rows = Shape.Rows(states.Length, Dimension, nameof(states));
        Shape.RequireLength(projections.Length, (long)rows * Count, "(T, K)", nameof(projections));
        if (projections.IsEmpty)
            return;
        fixed (float* statesAt = states)
        fixed (double* projectionsAt = projections)
        {
            (nint from, nint to) = ((nint)statesAt, (nint)projectionsAt);
            _device.Run(queue => Project(queue, (float*)from, rows, (double*)to));
        }
    }

    public void Dispose() => _device.Release(_directions);

    private int Project(DeviceQueue queue, float* states, int rows, double* projections)
    {
        int perBlock = Math.Clamp(IlgpuDevice.ResultLength / Count, 1, rows);
        using MemoryBuffer1D<double, Stride1D.Dense> result = queue.Allocate<double>((long)perBlock * Count);
        for (int first = 0; first < rows; first += perBlock)
        {
            int count = Math.Min(perBlock, rows - first);
            ArrayView<float> block = queue.Upload(states + (nint)first * Dimension, (long)count * Dimension);
            ArrayView<double> products = result.View.BaseView.SubView(0, (long)count * Count);
            queue.Kernels.Project(queue.Stream, block, _directions.View.BaseView, products, count, Count, Dimension);
            queue.Download(products, ref projections[(nint)first * Count]);
        }

        return 0;
    }
}
