using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace EmScan.Kernels.Ilgpu;

/// <summary>A CUDA or OpenCL device, through ILGPU.</summary>
/// <remarks>
/// <para>Products of 16 numbers are summed in float32 and move to float64: error below 9.6e-7 of the sum of the absolute products (1.02e-6
/// where the device multiplies and adds in two roundings).</para>
/// <para>Thread safe: all work is done by one thread of its own, in turn. Moments are not, as everywhere.</para>
/// </remarks>
public sealed unsafe class IlgpuDevice : IKernelDevice
{
    /// <summary>Numbers of a result that are computed at a time: 128 MB of float64.</summary>
    private const int ResultLength = 1 << 24;

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
    public IResidentDirections Keep(ReadOnlyMemory<float> directions, int dimension) => new Directions(this, directions, dimension);

    /// <inheritdoc/>
    public IResidentStates KeepStates(ReadOnlyMemory<float> states, int dimension) => new States(this, states, dimension);

    /// <inheritdoc/>
    public IMoments StartMoments(int dimension) => new DeviceMoments(this, dimension);

    /// <inheritdoc/>
    public ISparseEncoder Keep(SparseEncoderWeights encoder)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return new Encoder(this, encoder);
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

    private static MemoryBuffer1D<float, Stride1D.Dense> Upload(DeviceQueue queue, ReadOnlyMemory<float> numbers)
    {
        MemoryBuffer1D<float, Stride1D.Dense> buffer = queue.Allocate<float>(Math.Max(1, numbers.Length));
        fixed (float* start = numbers.Span)
            queue.Upload(start, numbers.Length, buffer.View.BaseView.SubView(0, numbers.Length));
        return buffer;
    }

    private static int Rows(int length, int dimension, string parameter)
    {
        if (dimension < 1)
            throw new ArgumentException($"The dimension is {dimension}; it must be at least 1.", nameof(dimension));
        return length % dimension == 0
            ? length / dimension
            : throw new ArgumentException($"{parameter} holds {length} numbers, not whole rows of D = {dimension}.", parameter);
    }

    private static void RequireLength(int length, long expected, string shape, string parameter)
    {
        if (length != expected)
            throw new ArgumentException($"{parameter} holds {length} numbers; its shape {shape} needs {expected}.", parameter);
    }

    private sealed class Directions : IResidentDirections
    {
        private readonly IlgpuDevice _device;
        private readonly MemoryBuffer1D<float, Stride1D.Dense> _directions;

        public Directions(IlgpuDevice device, ReadOnlyMemory<float> directions, int dimension)
        {
            _device = device;
            Count = Rows(directions.Length, dimension, nameof(directions));
            Dimension = dimension;
            _directions = device.Run(queue => Upload(queue, directions));
        }

        public int Count { get; }

        public int Dimension { get; }

        public void Project(ReadOnlySpan<float> states, Span<double> projections)
        {
            int rows = Rows(states.Length, Dimension, nameof(states));
            RequireLength(projections.Length, (long)rows * Count, "(T, K)", nameof(projections));
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
            int perBlock = Math.Clamp(ResultLength / Count, 1, rows);
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

    private sealed class States : IResidentStates
    {
        private readonly IlgpuDevice _device;
        private readonly MemoryBuffer1D<float, Stride1D.Dense> _states;

        public States(IlgpuDevice device, ReadOnlyMemory<float> states, int dimension)
        {
            _device = device;
            Rows = IlgpuDevice.Rows(states.Length, dimension, nameof(states));
            Dimension = dimension;
            _states = device.Run(queue => Upload(queue, states));
        }

        public int Rows { get; }

        public int Dimension { get; }

        public void Project(ReadOnlySpan<float> directions, Span<double> projections)
        {
            int count = IlgpuDevice.Rows(directions.Length, Dimension, nameof(directions));
            RequireLength(projections.Length, (long)Rows * count, "(T, K)", nameof(projections));
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

    private sealed class Encoder : ISparseEncoder
    {
        private readonly IlgpuDevice _device;
        private readonly SparseEncoderWeights _encoder;
        private readonly MemoryBuffer1D<float, Stride1D.Dense> _weights;
        private readonly MemoryBuffer1D<float, Stride1D.Dense> _bias;
        private readonly MemoryBuffer1D<float, Stride1D.Dense> _thresholds;

        public Encoder(IlgpuDevice device, SparseEncoderWeights encoder)
        {
            (_device, _encoder) = (device, encoder);
            (_weights, _bias, _thresholds) = device.Run(queue => (
                Upload(queue, encoder.Weights),
                Upload(queue, encoder.Bias),
                Upload(queue, encoder.Thresholds.IsEmpty ? new float[encoder.Latents] : encoder.Thresholds)));
        }

        public int Dimension => _encoder.Dimension;

        public int Latents => _encoder.Latents;

        public void Encode(ReadOnlySpan<float> states, Span<float> activations)
        {
            int rows = Rows(states.Length, Dimension, nameof(states));
            RequireLength(activations.Length, (long)rows * Latents, "(T, F)", nameof(activations));
            if (activations.IsEmpty)
                return;
            if (_encoder.Activation == SparseActivation.TopK)
            {
                EncodeKept(states, activations, rows);
                return;
            }

            fixed (float* activationsAt = activations)
            {
                nint to = (nint)activationsAt;
                EncodeBlocks(states, (queue, block, first, count) => queue.Download(block, ref ((float*)to)[(nint)first * Latents]));
            }
        }

        public void EncodeTop(ReadOnlySpan<float> states, Span<int> latents, Span<float> activations)
        {
            int rows = Rows(states.Length, Dimension, nameof(states));
            if (rows == 0 ? latents.Length != 0 : latents.Length % rows != 0 || latents.Length / rows > Latents)
            {
                throw new ArgumentException(
                    $"latents holds {latents.Length} numbers, not up to {Latents} for each of {rows} rows.", nameof(latents));
            }

            RequireLength(activations.Length, latents.Length, "(T, k)", nameof(activations));
            if (latents.IsEmpty)
                return;
            int k = latents.Length / rows;
            fixed (int* latentsAt = latents)
            fixed (float* activationsAt = activations)
            {
                (nint latentsTo, nint activationsTo) = ((nint)latentsAt, (nint)activationsAt);
                EncodeBlocks(states, (queue, block, first, count) =>
                {
                    using MemoryBuffer1D<int, Stride1D.Dense> chosen = queue.Allocate<int>((long)count * k);
                    using MemoryBuffer1D<float, Stride1D.Dense> values = queue.Allocate<float>((long)count * k);
                    queue.Kernels.Top(queue.Stream, block, chosen.View.BaseView, values.View.BaseView, count, Latents, k);
                    queue.Download(chosen.View.BaseView, ref ((int*)latentsTo)[(nint)first * k]);
                    queue.Download(values.View.BaseView, ref ((float*)activationsTo)[(nint)first * k]);
                });
            }

            // Of a top-k encoder no more than its own k are active.
            for (int t = 0; t < rows && _encoder.Activation == SparseActivation.TopK && k > _encoder.K; t++)
            {
                latents.Slice(t * k + _encoder.K, k - _encoder.K).Fill(-1);
                activations.Slice(t * k + _encoder.K, k - _encoder.K).Clear();
            }
        }

        public void Dispose() => _device.Release(_weights, _bias, _thresholds);

        private void EncodeKept(ReadOnlySpan<float> states, Span<float> activations, int rows)
        {
            int[] latents = new int[rows * _encoder.K];
            float[] values = new float[latents.Length];
            EncodeTop(states, latents, values);
            activations.Clear();
            for (int i = 0; i < latents.Length; i++)
                if (latents[i] >= 0)
                    activations[i / _encoder.K * Latents + latents[i]] = values[i];
        }

        private void EncodeBlocks(ReadOnlySpan<float> states, Action<DeviceQueue, ArrayView<float>, int, int> take)
        {
            int rows = states.Length / Dimension, perBlock = Math.Clamp(ResultLength / Latents, 1, rows);
            fixed (float* statesAt = states)
            {
                nint from = (nint)statesAt;
                _device.Run(queue =>
                {
                    using MemoryBuffer1D<float, Stride1D.Dense> result = queue.Allocate<float>((long)perBlock * Latents);
                    for (int first = 0; first < rows; first += perBlock)
                    {
                        int count = Math.Min(perBlock, rows - first);
                        ArrayView<float> block = queue.Upload((float*)from + (nint)first * Dimension, (long)count * Dimension);
                        ArrayView<float> activations = result.View.BaseView.SubView(0, (long)count * Latents);
                        queue.Kernels.Encode(
                            queue.Stream,
                            block,
                            _weights.View.BaseView,
                            _bias.View.BaseView,
                            _thresholds.View.BaseView,
                            activations,
                            count,
                            Latents,
                            Dimension);
                        take(queue, activations, first, count);
                    }

                    return 0;
                });
            }
        }
    }
}
