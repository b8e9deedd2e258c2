using BenchmarkDotNet.Attributes;

namespace EmScan.Bench.Kernels;

public class ProjectBenchmarks : KernelBenchmarks
{
    /// <summary>128 MB of states: several times what a third-level cache keeps.</summary>
    internal const int StateNumbers = 1 << 25;

    private float[] _directions = [];
    private double[] _projections = [];

    [Params(896, 2048, 4096)]
    public int D { get; set; }

    [Params(1, 4, 7, 16)]
    public int K { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        SetUp(StateNumbers / D * D);
        using Numbers directions = new(K * D, seed: 2);
        _directions = directions.Span.ToArray();
        _projections = new double[StateNumbers / D * K];
    }

    [Benchmark(Baseline = true)]
    public float ReadOnly() => Top.Read(States.Span);

    [Benchmark]
    public void Project() => Kernels.Project(States.Span, _directions, D, _projections);
}
