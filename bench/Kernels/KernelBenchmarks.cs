using BenchmarkDotNet.Attributes;
using EmScan.Kernels;

namespace EmScan.Bench.Kernels;

/// <summary>The kernel sets of this machine, on one thread and on all.</summary>
public abstract class KernelBenchmarks
{
    [ParamsSource(nameof(SetNames))]
    public string Set { get; set; } = "";

    [ParamsSource(nameof(ThreadCounts))]
    public int Threads { get; set; }

    public IEnumerable<string> SetNames =>
        KernelSets.Available.Where(set => WithReference || set != KernelSets.Reference).Select(set => set.Name);

    public static IEnumerable<int> ThreadCounts => Machine.Threads;

    /// <summary>Whether the plain set is measured, too.</summary>
    private protected virtual bool WithReference => true;

    private protected ParallelKernelSet Kernels { get; private set; } = null!;

    private protected Ceiling Top { get; private set; } = null!;

    private protected Numbers States { get; private set; } = null!;

    private protected void SetUp(int stateNumbers)
    {
        KernelSet set = KernelSets.Available.Single(set => set.Name == Set);
        Kernels = new ParallelKernelSet(Threads, set);
        Top = Ceiling.For(set, Threads);
        States = new Numbers(stateNumbers, seed: 1);
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        Kernels.Dispose();
        Top.Dispose();
        States.Dispose();
    }
}
