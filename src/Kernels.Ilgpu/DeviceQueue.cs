using ILGPU;
using ILGPU.Runtime;

namespace EmScan.Kernels.Ilgpu;

/// <summary>
/// A context, its accelerator and its one stream, with what all jobs share: page-locked staging, and buffers for what comes in and goes
/// out. Everything is used on the owner thread only.
/// </summary>
internal sealed class DeviceQueue : IDisposable
{
    /// <summary>Float32 numbers of a staging buffer, 16 MB.</summary>
    private const int StagingLength = 1 << 22;

    private readonly Context _context;
    private readonly Accelerator _accelerator;
    private readonly AcceleratorStream _stream;
    private readonly PageLockedArray1D<float>?[] _staging = new PageLockedArray1D<float>?[2];
    private readonly bool[] _busy = new bool[2]; // whether the stream may still read it
    private MemoryBuffer1D<float, Stride1D.Dense>? _input;
    private int _next;

    /// <summary>Takes the context over and makes the accelerator.</summary>
    public DeviceQueue(Context context, Device device)
    {
        _context = context;
        _accelerator = device.CreateAccelerator(context);
        _stream = _accelerator.DefaultStream;
        Kernels = new DeviceKernels(_accelerator);
    }

    /// <summary>The compiled kernels.</summary>
    public DeviceKernels Kernels { get; }

    /// <summary>The stream that all work goes to.</summary>
    public AcceleratorStream Stream => _stream;

    /// <summary>Makes a buffer of its own.</summary>
    public MemoryBuffer1D<T, Stride1D.Dense> Allocate<T>(long length)
        where T : unmanaged => _accelerator.Allocate1D<T>(length);

    /// <summary>Brings numbers to a buffer of their own, for as long as they are needed.</summary>
    public unsafe MemoryBuffer1D<float, Stride1D.Dense> Keep(ReadOnlyMemory<float> numbers)
    {
        MemoryBuffer1D<float, Stride1D.Dense> buffer = Allocate<float>(Math.Max(1, numbers.Length));
        fixed (float* start = numbers.Span)
            Upload(start, numbers.Length, buffer.View.BaseView.SubView(0, numbers.Length));
        return buffer;
    }

    /// <summary>Brings numbers to the shared input buffer, which keeps them until the next call.</summary>
    /// <param name="source">The first of them, in pinned memory; free again when this returns.</param>
    /// <param name="length">How many.</param>
    public unsafe ArrayView<float> Upload(float* source, long length)
    {
        if (_input == null || _input.Length < length)
        {
            _stream.Synchronize();
            _input?.Dispose();
            _input = null;
            _input = Allocate<float>(length);
        }

        ArrayView<float> view = _input.View.BaseView.SubView(0, length);
        Upload(source, length, view);
        return view;
    }

    /// <summary>
    /// Brings numbers to a buffer, by way of two page-locked ones in turn: while one is on its way, the other is filled.
    /// </summary>
    public unsafe void Upload(float* source, long length, ArrayView<float> target)
    {
        for (long first = 0; first < length; first += StagingLength)
        {
            int count = (int)Math.Min(StagingLength, length - first);
            if (_busy[_next])
            {
                _stream.Synchronize();
                Array.Clear(_busy);
            }

            PageLockedArray1D<float> staging = _staging[_next] ??= _accelerator.AllocatePageLocked1D<float>(StagingLength);
            new ReadOnlySpan<float>(source + first, count).CopyTo(staging.Span);
            target.SubView(first, count).CopyFromCPUUnsafeAsync(_stream, ref staging.Span[0], count);
            _busy[_next] = true;
            _next = 1 - _next;
        }
    }

    /// <summary>Brings numbers back, after all work before.</summary>
    public void Download<T>(ArrayView<T> source, ref T target)
        where T : unmanaged
    {
        if (source.Length > 0)
            source.CopyToCPUUnsafeAsync(_stream, ref target, source.Length);
        _stream.Synchronize();
        Array.Clear(_busy);
    }

    /// <summary>Gives everything back.</summary>
    public void Dispose()
    {
        _input?.Dispose();
        foreach (PageLockedArray1D<float>? staging in _staging)
            staging?.Dispose();
        _accelerator.Dispose();
        _context.Dispose();
    }
}
