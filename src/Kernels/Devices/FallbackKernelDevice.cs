namespace EmScan.Kernels;

/// <summary>
/// A device whose work goes on on the CPU when it fails: products and encodings are repeated there at once, moments that were on the device
/// are lost (<see cref="KernelDeviceException"/>), and from then on everything is made on the CPU, so a second try succeeds.
/// </summary>
/// <remarks>Thread safe. Owns both devices.</remarks>
public sealed class FallbackKernelDevice : IKernelDevice
{
    private readonly IKernelDevice _device;
    private readonly IKernelDevice _cpu;
    private volatile KernelDeviceException? _failure;

    /// <summary>Makes the device.</summary>
    /// <param name="device">What may fail.</param>
    /// <param name="cpu">What takes over.</param>
    public FallbackKernelDevice(IKernelDevice device, IKernelDevice cpu)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(cpu);
        (_device, _cpu) = (device, cpu);
    }

    /// <inheritdoc/>
    public string Name => _device.Name;

    /// <inheritdoc/>
    public bool IsCpu => _failure != null || _device.IsCpu;

    /// <summary>Why the CPU has taken over, or null while it has not.</summary>
    public KernelDeviceException? Failure => _failure;

    /// <inheritdoc/>
    public IResidentDirections Keep(ReadOnlyMemory<float> directions, int dimension) => new Directions(this, directions, dimension);

    /// <inheritdoc/>
    public IResidentStates KeepStates(ReadOnlyMemory<float> states, int dimension) => new States(this, states, dimension);

    /// <inheritdoc/>
    public IMoments StartMoments(int dimension) => Make(device => device.StartMoments(dimension)) is var made && made.IsCpu
        ? made.Value
        : new Moments(this, made.Value);

    /// <inheritdoc/>
    public ISparseEncoder Keep(SparseEncoderWeights encoder) => new Encoder(this, encoder);

    /// <inheritdoc/>
    public void Dispose()
    {
        _device.Dispose();
        _cpu.Dispose();
    }

    private (T Value, bool IsCpu) Make<T>(Func<IKernelDevice, T> make)
    {
        if (_failure == null)
        {
            try
            {
                return (make(_device), false);
            }
            catch (KernelDeviceException failure)
            {
                _failure ??= failure;
            }
        }

        return (make(_cpu), true);
    }

    /// <summary>What was made on a device, and is made once more on the CPU when that fails.</summary>
    private abstract class Resident<T>(FallbackKernelDevice device, Func<IKernelDevice, T> make) : IDisposable
        where T : IDisposable
    {
        private readonly Lock _gate = new();
        private (T Value, bool IsCpu) _made = device.Make(make);

        public void Dispose() => _made.Value.Dispose();

        protected T Value => _made.Value;

        /// <summary>The value to work with after one has failed.</summary>
        protected T After(T failed, KernelDeviceException failure)
        {
            device._failure ??= failure;
            lock (_gate)
            {
                if (ReferenceEquals(_made.Value, failed))
                {
                    _made = (make(device._cpu), true);
                    failed.Dispose();
                }

                return _made.Value;
            }
        }
    }

    private sealed class Directions(FallbackKernelDevice device, ReadOnlyMemory<float> directions, int dimension)
        : Resident<IResidentDirections>(device, on => on.Keep(directions, dimension)), IResidentDirections
    {
        public int Count => Value.Count;

        public int Dimension => Value.Dimension;

        public void Project(ReadOnlySpan<float> states, Span<double> projections)
        {
            IResidentDirections value = Value;
            try
            {
                value.Project(states, projections);
            }
            catch (KernelDeviceException failure)
            {
                After(value, failure).Project(states, projections);
            }
        }
    }

    private sealed class States(FallbackKernelDevice device, ReadOnlyMemory<float> states, int dimension)
        : Resident<IResidentStates>(device, on => on.KeepStates(states, dimension)), IResidentStates
    {
        public int Rows => Value.Rows;

        public int Dimension => Value.Dimension;

        public void Project(ReadOnlySpan<float> directions, Span<double> projections)
        {
            IResidentStates value = Value;
            try
            {
                value.Project(directions, projections);
            }
            catch (KernelDeviceException failure)
            {
                After(value, failure).Project(directions, projections);
            }
        }
    }

    private sealed class Encoder(FallbackKernelDevice device, SparseEncoderWeights encoder)
        : Resident<ISparseEncoder>(device, on => on.Keep(encoder)), ISparseEncoder
    {
        public int Dimension => Value.Dimension;

        public int Latents => Value.Latents;

        public void Encode(ReadOnlySpan<float> states, Span<float> activations)
        {
            ISparseEncoder value = Value;
            try
            {
                value.Encode(states, activations);
            }
            catch (KernelDeviceException failure)
            {
                After(value, failure).Encode(states, activations);
            }
        }

        public void EncodeTop(ReadOnlySpan<float> states, Span<int> latents, Span<float> activations)
        {
            ISparseEncoder value = Value;
            try
            {
                value.EncodeTop(states, latents, activations);
            }
            catch (KernelDeviceException failure)
            {
                After(value, failure).EncodeTop(states, latents, activations);
            }
        }
    }

    /// <summary>Moments on the device. What was added cannot be had back when it fails, so the failure is passed on.</summary>
    private sealed class Moments(FallbackKernelDevice device, IMoments moments) : IMoments
    {
        public int Dimension => moments.Dimension;

        public long Count => moments.Count;

        public void Add(ReadOnlySpan<float> states)
        {
            try
            {
                moments.Add(states);
            }
            catch (KernelDeviceException failure)
            {
                device._failure ??= failure;
                throw;
            }
        }

        public void Merge(IMoments other)
        {
            try
            {
                moments.Merge(other is Moments own ? own.Inner : other);
            }
            catch (KernelDeviceException failure)
            {
                device._failure ??= failure;
                throw;
            }
        }

        public void CopyMean(Span<double> mean)
        {
            try
            {
                moments.CopyMean(mean);
            }
            catch (KernelDeviceException failure)
            {
                device._failure ??= failure;
                throw;
            }
        }

        public void CopyCovariance(Span<double> covariance, VarianceKind kind)
        {
            try
            {
                moments.CopyCovariance(covariance, kind);
            }
            catch (KernelDeviceException failure)
            {
                device._failure ??= failure;
                throw;
            }
        }

        public void Dispose() => moments.Dispose();

        private IMoments Inner => moments;
    }
}
