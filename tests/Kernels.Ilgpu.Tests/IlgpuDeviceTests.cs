using System.Diagnostics;
using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Ilgpu.Tests;

public sealed class IlgpuDeviceTests
{
    [Fact]
    public void A_device_that_is_not_there_is_named_with_those_that_are()
    {
        string message = Assert.Throws<KernelDeviceException>(() => IlgpuDevices.Open("cuda:99")).Message;
        Assert.StartsWith("There is no device cuda:99", message, StringComparison.Ordinal);
        foreach (string name in IlgpuDevices.List())
            Assert.Contains(name, message, StringComparison.Ordinal);
        Assert.Throws<KernelDeviceException>(() => IlgpuDevices.Open("opencl"));
        Assert.Throws<KernelDeviceException>(() => IlgpuDevices.Open("vulkan:0"));
    }

    [OpenClFact]
    public void The_loader_of_Debian_is_found_and_the_device_has_its_name() =>
        Assert.StartsWith("opencl:0 ", Devices.Get("opencl").Name, StringComparison.Ordinal);

    [OpenClFact]
    public async Task Four_threads_on_one_device_get_the_right_bits()
    {
        const int rows = 70, dimension = 100, count = 200;
        IKernelDevice device = Devices.Get("opencl");
        float[] directions = Conformance.Normal(new Random(1), count * dimension).Span.ToArray();
        using IResidentDirections kept = device.Keep(directions, dimension);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(() =>
        {
            float[] states = Conformance.Normal(new Random(thread + 2), rows * dimension).Span.ToArray();
            double[] first = new double[rows * count], again = new double[rows * count];
            kept.Project(states, first);
            for (int i = 0; i < rows * count; i += 997)
            {
                float[] state = Compensated.Row(states, dimension, i / count), direction = Compensated.Row(directions, dimension, i % count);
                Assert.Equal(Compensated.Dot(state, direction), first[i], 1e-4);
            }

            for (int i = 0; i < 25; i++)
            {
                kept.Project(states, again);
                Assert.Equal(first, again);
                using IMoments moments = device.StartMoments(dimension);
                moments.Add(states);
                double[] mean = new double[dimension];
                moments.CopyMean(mean);
                Assert.Equal(states.Where((_, at) => at % dimension == 3).Average(), mean[3], 1e-6);
            }
        })));
    }

    /// <summary>Contexts of ILGPU's simulation: the same code of emscan as on a card, and no driver whose own start takes longer than the test.</summary>
    [Fact]
    public void Contexts_leave_neither_memory_nor_threads_behind()
    {
        const int contexts = 150;

        // Devices open at their first work. Those that other tests share, 256 threads of a simulation among them, must not do so while these are counted.
        foreach (object[] shared in (IEnumerable<object[]>)new AllDevices()) DeviceConformance.ProjectError(Devices.Get((string)shared[0]), 2, 3, 2, seed: 1);
        float[] directions = new float[1024 * 1024];
        long before = 0;
        int threads = 0;
        for (int i = 0; i < contexts; i++)
        {
            using IlgpuDevice device = IlgpuDevices.OpenSimulation();
            using IResidentDirections kept = device.Keep(directions, 1024); // 4 MB, so a leak would be 560 MB
            if (i != 10)
                continue;
            before = WorkingSet();
            threads = Threads();
        }

        Assert.InRange(WorkingSet() - before, long.MinValue, 200L << 20);
        Assert.InRange(Threads() - threads, int.MinValue, contexts / 2);
    }

    [OpenClFact]
    public void A_thousand_buffers_and_many_contexts_leave_no_memory_behind()
    {
        float[] directions = new float[256 * 1024];
        IKernelDevice device = Devices.Get("opencl");
        long before = 0;
        for (int i = 0; i < 1000; i++)
        {
            using IResidentDirections kept = device.Keep(directions, 1024); // 1 MB there, so a leak would be 950 MB
            if (i == 50)
                before = WorkingSet();
        }

        for (int i = 0; i < 6; i++)
        {
            using IlgpuDevice own = Devices.OpenOpenCl();
            using IResidentDirections kept = own.Keep(directions, 1024);
        }

        Assert.InRange(WorkingSet() - before, long.MinValue, 200L << 20);
    }

    [OpenClFact]
    public void What_a_device_made_outlives_it_without_harm()
    {
        IlgpuDevice device = Devices.OpenOpenCl();
        IResidentDirections kept = device.Keep(new float[6], 3);
        IMoments moments = device.StartMoments(3);
        device.Dispose();
        device.Dispose();
        kept.Dispose();
        moments.Dispose();
        Assert.Throws<ObjectDisposedException>(() => kept.Project(new float[3], new double[2]));
    }

    [OpenClFact]
    public void Too_large_a_job_is_a_sentence_and_the_device_goes_on()
    {
        IKernelDevice device = Devices.Get("opencl");

        // 2^33 bytes of co-moments and more: beyond what one buffer of the device may have.
        string message = Assert.Throws<KernelDeviceException>(() => device.StartMoments(60_000)).Message;
        Assert.StartsWith($"The device {device.Name} failed: ", message, StringComparison.Ordinal);
        Assert.InRange(DeviceConformance.ProjectError(device, 3, 20, 4, 1), 0, 1.5e-7);
    }

    private static int Threads()
    {
        using Process self = Process.GetCurrentProcess();
        return self.Threads.Count;
    }

    private static long WorkingSet()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using Process self = Process.GetCurrentProcess();
        return self.WorkingSet64;
    }
}
