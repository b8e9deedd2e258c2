namespace EmScan.Kernels;

/// <summary>
/// A device whose work goes on on the CPU when it fails: products and encodings are repeated there at once, moments that were on the device
/// are lost (<see cref="KernelDeviceException"/>), and from then on everything is made on the CPU, so a second try succeeds.
/// </summary>
/// <remarks>Thread safe. Owns both devices. What had been made on the device keeps its memory there until it is disposed of.</remarks>
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
                Failed(failure);
            }
        }

        return (make(_cpu), true);
    }

    private void Failed(KernelDeviceException failure) => _failure ??= failure;

    /// <summary>What a call works on; of each call, some.</summary>
    private ref struct Arguments
    {
        internal ReadOnlySpan<float> Rows { get; init; }
        internal Span<double> Numbers { get; init; }
        internal Span<float> Activations { get; init; }
        internal Span<int> Latents { get; init; }
        internal IMoments? Other { get; init; }
        internal VarianceKind Kind { get; init; }
    }

    private delegate void Work<in T>(T value, Arguments arguments);

    /// <summary>What was made on a device, and is made once more on the CPU when that fails.</summary>
    private abstract class Resident<T>(FallbackKernelDevice device, Func<IKernelDevice, T> make) : IDisposable
        where T : class, IDisposable
    {
        private readonly Lock _gate = new();
        private T _made = device.Make(make).Value;
        private T? _failed; // other threads may still be at work on it

        public void Dispose()
        {
            _failed?.Dispose();
            _made.Dispose();
        }

        protected T Value => Volatile.Read(ref _made);

        /// <summary>Works on the device, or on the CPU from the first failure on.</summary>
        protected void Run(Work<T> work, Arguments arguments)
        {
            T value = Value;
            try
            {
                work(value, arguments);
            }
            catch (KernelDeviceException failure)
            {
                device.Failed(failure);
                work(After(value), arguments);
            }
        }

        private T After(T failed)
        {
            lock (_gate)
            {
                if (ReferenceEquals(_made, failed))
                {
                    _failed = failed;
                    Volatile.Write(ref _made, make(device._cpu));
                }

                return _made;
            }
        }
    }

    private sealed class Directions(FallbackKernelDevice device, ReadOnlyMemory<float> directions, int dimension)
        : Resident<IResidentDirections>(device, on => on.Keep(directions, dimension)), IResidentDirections
    {
        public int Count => Value.Count;

        public int Dimension => Value.Dimension;

        public void Project(ReadOnlySpan<float> states, Span<double> projections) =>
            Run(static (value, on) => value.Project(on.Rows, on.Numbers), new Arguments { Rows = states, Numbers = projections });
    }

    private sealed class States(FallbackKernelDevice device, ReadOnlyMemory<float> states, int dimension)
        : Resident<IResidentStates>(device, on => on.KeepStates(states, dimension)), IResidentStates
    {
        public int Rows => Value.Rows;

        public int Dimension => Value.Dimension;

        public void Project(ReadOnlySpan<float> directions, Span<double> projections) =>
            Run(static (value, on) => value.Project(on.Rows, on.Numbers), new Arguments { Rows = directions, Numbers = projections });
    }

    private sealed class Encoder(FallbackKernelDevice device, SparseEncoderWeights encoder)
        : Resident<ISparseEncoder>(device, on => on.Keep(encoder)), ISparseEncoder
    {
        public int Dimension => Value.Dimension;

        public int Latents => Value.Latents;

        public void Encode(ReadOnlySpan<float> states, Span<float> activations) =>
            Run(static (value, on) => value.Encode(on.Rows, on.Activations), new Arguments { Rows = states, Activations = activations });

        public void EncodeTop(ReadOnlySpan<float> states, Span<int> latents, Span<float> activations) => Run(
            static (value, on) => value.EncodeTop(on.Rows, on.Latents, on.Activations),
            new Arguments { Rows = states, Latents = latents, Activations = activations });
    }

    /// <summary>Moments on the device. What was added cannot be had back when it fails, so the failure is passed on.</summary>
    private sealed class Moments(FallbackKernelDevice device, IMoments moments) : IMoments
    {
        private readonly IMoments _moments = moments;

        public int Dimension => _moments.Dimension;

        public long Count => _moments.Count;

        public void Add(ReadOnlySpan<float> states) => Run(static (value, on) => value.Add(on.Rows), new Arguments { Rows = states });

        public void Merge(IMoments other) =>
            Run(static (value, on) => value.Merge(on.Other!), new Arguments { Other = other is Moments own ? own._moments : other });

        public void CopyMean(Span<double> mean) => Run(static (value, on) => value.CopyMean(on.Numbers), new Arguments { Numbers = mean });

        public void CopyCovariance(Span<double> covariance, VarianceKind kind) =>
            Run(static (value, on) => value.CopyCovariance(on.Numbers, on.Kind), new Arguments { Numbers = covariance, Kind = kind });

        public void Dispose() => _moments.Dispose();

        private void Run(Work<IMoments> work, Arguments arguments)
        {
            try
            {
                work(_moments, arguments);
            }
            catch (KernelDeviceException failure)
            {
                device.Failed(failure);
                throw;
            }
        }
    }
}
