using BenchmarkDotNet.Attributes;
using EmScan.Kernels;

namespace EmScan.Bench.Kernels;

public class CoMomentBenchmarks : KernelBenchmarks
{
    internal const int Rows = 960;

    private readonly OpenBlas? _peer = OpenBlas.TryLoad();
    private double[] _upper = [];
    private RunningMoments _moments = null!;
    private float[] _square = [];

    [Params(1024, 2048, 4096)]
    public int D { get; set; }

    /// <summary>It would take minutes.</summary>
    private protected override bool WithReference => false;

    [GlobalSetup]
    public void SetUp()
    {
        SetUp(Rows * D);
        _upper = new double[PackedUpper.Length(D)];
        _moments = new RunningMoments(D, Kernels);
        _square = new float[D * D];
        _peer?.UseThreads(Threads);
    }

    [Benchmark(Baseline = true)]
    public float MultiplyAddOnly() => Top.MultiplyAdd(Rows * PackedUpper.Length(D));

    [Benchmark]
    public void OuterProducts() => Kernels.AddOuterProducts(States.Span, D, _upper);

    [Benchmark]
    public void Moments() => _moments.Add(States.Span);

    /// <summary>The peer; float32 throughout. Does nothing where it is not installed.</summary>
    [Benchmark]
    public unsafe void OpenBlasSsyrk()
    {
        fixed (float* square = _square)
            _peer?.AddOuterProducts(States.Start, D, Rows, square);
    }
}
