using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

public sealed class AllocationTests
{
    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void The_hot_loop_allocates_nothing(string kernel)
    {
        HotLoop loop = new(AvailableKernels.Get(kernel));
        for (int i = 0; i < 3; i++)
            loop.Once();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++)
            loop.Once();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
