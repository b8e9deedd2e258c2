using BenchmarkDotNet.Attributes;

namespace EmScan.Bench.Kernels;

public class RowBenchmarks : KernelBenchmarks
{
    private double[] _norms = [];
    private double[] _sum = [];

    [Params(896, 2048, 4096)]
    public int D { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        SetUp(ProjectBenchmarks.StateNumbers / D * D);
        _norms = new double[ProjectBenchmarks.StateNumbers / D];
        _sum = new double[D];
    }

    [Benchmark(Baseline = true)]
    public float ReadOnly() => Top.Read(States.Span);

    [Benchmark]
    public void RowNorms() => Kernels.RowNorms(States.Span, D, _norms);

    [Benchmark]
    public void AddRows() => Kernels.AddRows(States.Span, _sum);
}
