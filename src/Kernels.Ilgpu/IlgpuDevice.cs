using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace EmScan.Kernels.Ilgpu;

/// <summary>A CUDA or OpenCL device, through ILGPU.</summary>
/// <remarks>
/// <para>Products of 16 numbers are summed in float32 and move to float64: error below 9.6e-7 of the sum of the absolute products, also
/// where the device multiplies and adds in two roundings, since the first of the 16 is added to zero.</para>
/// <para>Thread safe: all work is done by one thread of its own, in turn. Moments are not, as everywhere.</para>
/// </remarks>
public sealed class IlgpuDevice : IKernelDevice
{
    /// <summary>Numbers of a result that are computed at a time: 128 MB of float64.</summary>
    internal const int ResultLength = 1 << 24;

    private readonly OwnerThread _owner;
    private DeviceQueue? _queue;

    /// <summary>Opens a device.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="open">Makes the context and finds the device in it; runs on the device's thread.</param>
    internal IlgpuDevice(string name, Func<(Context Context, Device Device)> open)
    {
        Name = name;
        _owner = new OwnerThread($"emscan {name}");
        try
        {
            Run(_ =>
            {
                (Context context, Device device) = open();
                try
                {
                    _queue = new DeviceQueue(context, device);
                }
                catch
                {
                    context.Dispose();
                    throw;
                }

                return 0;
            });
        }
        catch
        {
            _owner.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool IsCpu => false;

    /// <inheritdoc/>
    public IResidentDirections Keep(ReadOnlyMemory<float> directions, int dimension) => new DeviceDirections(this, directions, dimension);

    /// <inheritdoc/>
    public IResidentStates KeepStates(ReadOnlyMemory<float> states, int dimension) => new DeviceStates(this, states, dimension);

    /// <inheritdoc/>
    public IMoments StartMoments(int dimension) => new DeviceMoments(this, dimension);

    /// <inheritdoc/>
    public ISparseEncoder Keep(SparseEncoderWeights encoder)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return new DeviceEncoder(this, encoder);
    }

    /// <summary>Gives the device back. What it made can be disposed of before or after, but not used any more.</summary>
    public void Dispose()
    {
        try
        {
            _owner.Run(() =>
            {
                _queue?.Dispose();
                _queue = null;
            });
        }
        catch (Exception failure) when (failure is ObjectDisposedException or AcceleratorException)
        {
            // For the second time; or the device is gone, and its memory with it: what went on without it must not fail for that.
        }

        _owner.Dispose();
    }

    /// <summary>Does something with the queue on the device's thread, and turns failures of the device into sentences.</summary>
    internal T Run<T>(Func<DeviceQueue, T> work)
    {
        T result = default!;
        try
        {
            _owner.Run(() => result = work(_queue!));
        }
        catch (Exception failure) when (failure is AcceleratorException or OutOfMemoryException or DllNotFoundException
            or EntryPointNotFoundException or InternalCompilerException or NotSupportedException)
        {
            throw new KernelDeviceException($"The device {Name} failed: {OneLine(failure)}.", failure);
        }

        return result;
    }

    /// <summary>Gives buffers back; does nothing after the device itself is gone.</summary>
    internal void Release(params IDisposable?[] buffers)
    {
        try
        {
            _owner.Run(() =>
            {
                if (_queue == null)
                    return;
                _queue.Stream.Synchronize();
                foreach (IDisposable? buffer in buffers)
                    buffer?.Dispose();
            });
        }
        catch (Exception failure) when (failure is ObjectDisposedException or AcceleratorException)
        {
            // The device is gone, and its memory with it.
        }
    }

    private static string OneLine(Exception failure)
    {
        Exception inner = failure;
        while (inner.InnerException != null)
            inner = inner.InnerException;
        string message = inner switch
        {
            CLException failed => $"OpenCL says {failed.Error}",
            CudaException failed => $"CUDA says {failed.Error}",
            _ => inner.Message,
        };
        return string.Join(' ', message.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).TrimEnd('.');
    }
}
