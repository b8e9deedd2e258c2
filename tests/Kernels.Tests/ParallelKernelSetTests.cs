using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

public sealed class ParallelKernelSetTests
{
    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Every_number_of_threads_gives_the_bits_of_one(string kernel)
    {
        foreach (int threads in new[] { 1, 2, 5 })
            Assert.Equal(0, Conformance.DifferentNumbers(AvailableKernels.Get(kernel), threads));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Streaming_moments_have_the_same_bits_on_several_threads(string kernel)
    {
        const int rows = 2500, dimension = 210;
        KernelSet set = AvailableKernels.Get(kernel);
        using ParallelKernelSet parallel = new(3, set);
        float[] states = Conformance.Normal(new Random(79), rows * dimension).Span.ToArray();
        Assert.Equal(Covariance(set), Covariance(parallel));

        double[] Covariance(KernelSet kernels)
        {
            RunningMoments moments = new(dimension, kernels);
            moments.Add(states);
            double[] covariance = new double[dimension * dimension];
            moments.CopyCovariance(covariance);
            return covariance;
        }
    }

    [Fact]
    public async Task Calls_from_several_threads_wait_for_each_other()
    {
        const int rows = 2000, dimension = 100;
        using ParallelKernelSet parallel = new(2);
        float[][] states =
            [.. Enumerable.Range(0, 4).Select(seed => Conformance.Normal(new Random(seed), rows * dimension).Span.ToArray())];
        double[][] norms = await Task.WhenAll(states.Select(own => Task.Run(() =>
        {
            double[] got = new double[rows];
            for (int i = 0; i < 20; i++)
                parallel.RowNorms(own, dimension, got);
            return got;
        })));
        for (int i = 0; i < states.Length; i++)
        {
            double[] expected = new double[rows];
            KernelSets.Default.RowNorms(states[i], dimension, expected);
            Assert.Equal(expected, norms[i]);
        }
    }

    [Fact]
    public void It_may_be_disposed_of_twice()
    {
        var parallel = new ParallelKernelSet(3);
        parallel.Dispose();
        parallel.Dispose();
        var device = new CpuKernelDevice(2);
        device.StartMoments(3).Dispose();
        device.Dispose();
        device.Dispose();
        float[] states = new float[1 << 17];
        Assert.Throws<ObjectDisposedException>(() => parallel.RowNorms(states, 1, new double[states.Length]));
    }

    [Fact]
    public void It_tells_what_it_runs()
    {
        using ParallelKernelSet parallel = new(3, KernelSets.Reference);
        Assert.Equal((3, "reference", true), (parallel.Threads, parallel.Name, parallel.IsSupported));
    }

    [Fact]
    public void No_thread_and_threads_of_threads_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>("threads", () => new ParallelKernelSet(0));
        using ParallelKernelSet parallel = new(2);
        Assert.Throws<ArgumentException>("kernels", () => new ParallelKernelSet(2, parallel));
    }

    [Fact]
    public void After_its_end_it_refuses_to_work()
    {
        ParallelKernelSet parallel = new(2);
        parallel.Dispose();
        Assert.Throws<ObjectDisposedException>(() => parallel.RowNorms(new float[1 << 20], 1 << 10, new double[1 << 10]));
    }
}
