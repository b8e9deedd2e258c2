using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

/// <summary>A device that dies: nothing is lost but moments, and they only once.</summary>
public sealed class FallbackKernelDeviceTests
{
    private const int Rows = 20, Dimension = 30, Count = 40;

    private readonly float[] _states = Conformance.Normal(new Random(1), Rows * Dimension).Span.ToArray();
    private readonly float[] _directions = Conformance.Normal(new Random(2), Count * Dimension).Span.ToArray();

    [Theory]
    [InlineData(0)] // has no room from the start
    [InlineData(1)] // dies at its first work
    [InlineData(2)]
    [InlineData(3)]
    public void Products_and_encodings_are_repeated_on_the_processor(int good)
    {
        using CpuKernelDevice cpu = new();
        using FallbackKernelDevice device = new(new DyingDevice(good), new CpuKernelDevice());
        using IResidentDirections kept = device.Keep(_directions, Dimension), keptOnCpu = cpu.Keep(_directions, Dimension);
        double[] expected = new double[Rows * Count], got = new double[Rows * Count];
        keptOnCpu.Project(_states, expected);
        for (int i = 0; i < 3; i++)
        {
            Array.Clear(got);
            kept.Project(_states, got);
            Assert.Equal(expected, got);
        }

        using IResidentStates states = device.KeepStates(_states, Dimension);
        Array.Clear(got);
        states.Project(_directions, got);
        Assert.Equal(expected, got);
        SparseEncoderWeights weights = new(_directions, new float[Count], SparseActivation.Relu);
        using ISparseEncoder encoder = device.Keep(weights);
        float[] activations = new float[Rows * Count];
        encoder.Encode(_states, activations);
        Assert.Equal([.. expected.Select(z => z > 0 ? (float)z : 0)], activations);
        int[] latents = new int[Rows];
        encoder.EncodeTop(_states, latents, new float[Rows]);
        Assert.Equal(Enumerable.Range(0, Rows).Select(t => Array.IndexOf(activations, activations[(t * Count)..((t + 1) * Count)].Max()) - t * Count), latents);
        Assert.True(device.IsCpu);
        Assert.Equal("The device dying failed: it is dead.", device.Failure!.Message);
        Assert.Equal("dying", device.Name);
    }

    [Fact]
    public void Moments_on_a_device_that_dies_are_lost_with_a_sentence_and_found_again_on_the_processor()
    {
        using FallbackKernelDevice device = new(new DyingDevice(2), new CpuKernelDevice());
        using IMoments lost = device.StartMoments(Dimension);
        lost.Add(_states);
        Assert.Null(device.Failure);
        Assert.Throws<KernelDeviceException>(() => lost.Add(_states));
        using IMoments moments = device.StartMoments(Dimension), other = device.StartMoments(Dimension);
        moments.Add(_states);
        other.Add(_states);
        moments.Merge(other);
        double[] mean = new double[Dimension];
        moments.CopyMean(mean);
        Assert.Equal(Enumerable.Range(0, Rows).Average(t => (double)_states[t * Dimension]), mean[0], 1e-12);
    }

    [Fact]
    public async Task What_fails_for_one_thread_is_kept_for_those_at_work_on_it()
    {
        var kept = new CrowdedDirections();
        using (FallbackKernelDevice device = new(new CrowdedDevice(kept), new CpuKernelDevice()))
        using (IResidentDirections directions = device.Keep(_directions, Dimension))
        {
            double[] first = new double[Rows * Count], second = new double[Rows * Count];
            var inside = Task.Run(() => directions.Project(_states, first));
            kept.Entered.Wait();
            directions.Project(_states, second); // no room for two: on the processor
            Assert.NotNull(device.Failure);
            kept.Leave.Set();
            await inside;
            Assert.False(kept.GoneAtWork);
            Assert.Equal(second, first);
        }

        Assert.True(kept.Gone);
    }

    [Fact]
    public void A_device_that_lives_does_the_work()
    {
        using FallbackKernelDevice device = new(new DyingDevice(int.MaxValue), new CpuKernelDevice());
        using IMoments moments = device.StartMoments(Dimension), other = device.StartMoments(Dimension);
        moments.Add(_states);
        other.Add(_states);
        moments.Merge(other);
        Assert.Equal(2 * Rows, moments.Count);
        Assert.False(device.IsCpu);
        Assert.Null(device.Failure);
    }

    /// <summary>Has room for one call at a time, as a card whose memory is nearly full.</summary>
    private sealed class CrowdedDevice(CrowdedDirections kept) : IKernelDevice
    {
        private readonly CpuKernelDevice _cpu = new();

        public string Name => "crowded";

        public bool IsCpu => false;

        public IResidentDirections Keep(ReadOnlyMemory<float> directions, int dimension)
        {
            kept.Inner = _cpu.Keep(directions, dimension);
            return kept;
        }

        public IResidentStates KeepStates(ReadOnlyMemory<float> states, int dimension) => throw new NotSupportedException();

        public IMoments StartMoments(int dimension) => throw new NotSupportedException();

        public ISparseEncoder Keep(SparseEncoderWeights encoder) => throw new NotSupportedException();

        public void Dispose() => _cpu.Dispose();
    }

    private sealed class CrowdedDirections : IResidentDirections
    {
        private int _calls;
        private volatile bool _gone;

        internal IResidentDirections Inner { get; set; } = null!;

        internal ManualResetEventSlim Entered { get; } = new();

        internal ManualResetEventSlim Leave { get; } = new();

        internal bool Gone => _gone;

        internal bool GoneAtWork { get; private set; }

        public int Count => Inner.Count;

        public int Dimension => Inner.Dimension;

        public void Project(ReadOnlySpan<float> states, Span<double> projections)
        {
            if (Interlocked.Increment(ref _calls) > 1)
                throw new KernelDeviceException("The device crowded failed: it has no room.");
            Entered.Set();
            Leave.Wait();
            GoneAtWork = _gone;
            Inner.Project(states, projections);
        }

        public void Dispose() => _gone = true;
    }
}
