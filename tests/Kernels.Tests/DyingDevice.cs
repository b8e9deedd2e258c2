namespace EmScan.Kernels.Tests;

/// <summary>Makes and works on the processor, so many times; after that everything fails. Thread safe.</summary>
/// <param name="good">How many times.</param>
internal sealed class DyingDevice(int good) : IKernelDevice
{
    private readonly CpuKernelDevice _cpu = new();
    private int _good = good;

    public string Name => "dying";

    public bool IsCpu => false;

    public IResidentDirections Keep(ReadOnlyMemory<float> directions, int dimension)
    {
        Work();
        return new Directions(this, _cpu.Keep(directions, dimension));
    }

    public IResidentStates KeepStates(ReadOnlyMemory<float> states, int dimension)
    {
        Work();
        return new States(this, _cpu.KeepStates(states, dimension));
    }

    public IMoments StartMoments(int dimension)
    {
        Work();
        return new Moments(this, _cpu.StartMoments(dimension));
    }

    public ISparseEncoder Keep(SparseEncoderWeights encoder)
    {
        Work();
        return new Encoder(this, _cpu.Keep(encoder));
    }

    public void Dispose() => _cpu.Dispose();

    private void Work()
    {
        if (Interlocked.Decrement(ref _good) < 0)
            throw new KernelDeviceException("The device dying failed: it is dead.");
    }

    private sealed class Directions(DyingDevice device, IResidentDirections inner) : IResidentDirections
    {
        public int Count => inner.Count;

        public int Dimension => inner.Dimension;

        public void Project(ReadOnlySpan<float> states, Span<double> projections)
        {
            device.Work();
            inner.Project(states, projections);
        }

        public void Dispose() => inner.Dispose();
    }

    private sealed class States(DyingDevice device, IResidentStates inner) : IResidentStates
    {
        public int Rows => inner.Rows;

        public int Dimension => inner.Dimension;

        public void Project(ReadOnlySpan<float> directions, Span<double> projections)
        {
            device.Work();
            inner.Project(directions, projections);
        }

        public void Dispose() => inner.Dispose();
    }

    private sealed class Encoder(DyingDevice device, ISparseEncoder inner) : ISparseEncoder
    {
        public int Dimension => inner.Dimension;

        public int Latents => inner.Latents;

        public void Encode(ReadOnlySpan<float> states, Span<float> activations)
        {
            device.Work();
            inner.Encode(states, activations);
        }

        public void EncodeTop(ReadOnlySpan<float> states, Span<int> latents, Span<float> activations)
        {
            device.Work();
            inner.EncodeTop(states, latents, activations);
        }

        public void Dispose() => inner.Dispose();
    }

    private sealed class Moments(DyingDevice device, IMoments inner) : IMoments
    {
        public int Dimension => inner.Dimension;

        public long Count => inner.Count;

        public void Add(ReadOnlySpan<float> states)
        {
            device.Work();
            inner.Add(states);
        }

        public void Merge(IMoments other)
        {
            device.Work();
            inner.Merge(((Moments)other).Inner);
        }

        public void CopyMean(Span<double> mean) => inner.CopyMean(mean);

        public void CopyCovariance(Span<double> covariance, VarianceKind kind) => inner.CopyCovariance(covariance, kind);

        public void Dispose() => inner.Dispose();

        private IMoments Inner => inner;
    }
}
