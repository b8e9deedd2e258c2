using ILGPU;
using ILGPU.Runtime;

namespace EmScan.Kernels.Ilgpu;

/// <summary>States on a device; blocks of directions come to them, and projections go back.</summary>
internal sealed unsafe class DeviceStates : IResidentStates
{
    private readonly IlgpuDevice _device;
    private readonly MemoryBuffer1D<float, Stride1D.Dense> _states;

    public DeviceStates(IlgpuDevice device, ReadOnlyMemory<float> states, int dimension)
    {
        _device = device;
        Rows = Shape.Rows(states.Length, dimension, nameof(states));
        Dimension = dimension;
        _states = device.Run(queue => queue.Keep(states));
    }

    public int Rows { get; }

    public int Dimension { get; }

    public void Project(ReadOnlySpan<float> directions, Span<double> projections)
    {
        int count = Shape.Rows(directions.Length, Dimension, nameof(directions));
        Shape.RequireLength(projections.Length, (long)Rows * count, "(T, K)", nameof(projections));
        if (projections.IsEmpty)
            return;
        fixed (float* directionsAt = directions)
        fixed (double* projectionsAt = projections)
        {
            (nint from, nint to, int length) = ((nint)directionsAt, (nint)projectionsAt, projections.Length);
            _device.Run(queue =>
            {
                ArrayView<float> block = queue.Upload((float*)from, (long)count * Dimension);
                using MemoryBuffer1D<double, Stride1D.Dense> result = queue.Allocate<double>(length);
                queue.Kernels.Project(queue.Stream, _states.View.BaseView, block, result.View.BaseView, Rows, count, Dimension);
                queue.Download(result.View.BaseView, ref *(double*)to);
                return 0;
            });
        }
    }

    public void Dispose() => _device.Release(_states);
}
