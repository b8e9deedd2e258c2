using EmScan.Engine.Runtime;

namespace EmScan.Bench.Scan;

/// <summary>What a second core gives: two threads in one context, or two contexts on different checkpoints.</summary>
internal sealed class CoresPart(Workload workload)
{
    internal async Task RunAsync()
    {
        var one = new Samples($"(f) {workload.Checkpoints.Length} checkpoints, 1 context, 1 thread");
        var twoThreads = new Samples($"    {workload.Checkpoints.Length} checkpoints, 1 context, 2 threads");
        var twoContexts = new Samples($"    {workload.Checkpoints.Length} checkpoints, 2 contexts, 1 thread each");
        var wall = new Clock(cpuTime: false);
        using LlamaActivationSource a = Source(1), b = Source(1), both = Source(2);
        for (int round = -1; round < workload.Options.Rounds; round++)
        {
            double start = wall.Now;
            await Time(one, [a]);
            await Time(twoThreads, [both]);
            await Time(twoContexts, [a, b]);
            Report.Round("cores", round, workload.Options.Rounds, wall.Now - start);

            async Task Time(Samples samples, IActivationSource[] sources)
            {
                (_, double time) = await workload.ScanAsync(wall, sources, round < 0 ? 1 : workload.Checkpoints.Length);
                if (round >= 0) samples.Add(time);
            }
        }

        Report.Times([one, twoThreads, twoContexts]);
        Report.Claims([
            ("one core over two, as two contexts", ">= 1.9", one.Over(twoContexts)),
            ("one core over two, as two threads in one context", "(1.85)", one.Over(twoThreads)),
        ]);
    }

    private LlamaActivationSource Source(int threads) => new(workload.Model, workload.Default with { Threads = threads });
}
