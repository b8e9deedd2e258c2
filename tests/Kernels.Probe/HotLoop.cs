namespace EmScan.Kernels.Probe;

/// <summary>Every operation of a kernel set and of what streams through it, on buffers that are there already.</summary>
public sealed class HotLoop : IDisposable
{
    private const int Rows = 1100, Dimension = 333, Count = 7;
    private readonly KernelSet _set;
    private readonly float[] _states = Conformance.Normal(new Random(71), Rows * Dimension).Span.ToArray();
    private readonly float[] _directions = Conformance.Normal(new Random(73), Count * Dimension).Span.ToArray();
    private readonly double[] _projections = new double[Rows * Count];
    private readonly WideProjection _wideProjection;
    private readonly double[] _norms = new double[Rows];
    private readonly double[] _wide = new double[Dimension];
    private readonly double[] _square = new double[Dimension * Dimension];
    private readonly RunningMean _mean;
    private readonly RunningMoments _moments;
    private readonly RunningMoments _other;
    private readonly RunningVariance _variance = new(Count);

    public HotLoop(KernelSet set)
    {
        _set = set;
        _wideProjection = new WideProjection(_states, Dimension, set);
        _mean = new RunningMean(Dimension, set);
        _moments = new RunningMoments(Dimension, set);
        _other = new RunningMoments(Dimension, set);
    }

    /// <summary>Managed memory that all threads of the process allocate while a warm loop runs.</summary>
    public static long AllocatedBytes(KernelSet set)
    {
        using HotLoop loop = new(set);
        for (int i = 0; i < 10; i++)
            loop.Once();
        long before = GC.GetTotalAllocatedBytes(precise: true);
        for (int i = 0; i < 10; i++)
            loop.Once();
        return GC.GetTotalAllocatedBytes(precise: true) - before;
    }

    public void Dispose() => _wideProjection.Dispose();

    public void Once()
    {
        _set.Project(_states, _directions, Dimension, _projections);
        _set.Project(_states.AsSpan(0, Dimension), _directions, Dimension, _projections.AsSpan(0, Count));
        _wideProjection.Project(_directions, _projections);
        _set.RowNorms(_states, Dimension, _norms);
        _mean.Add(_states);
        _mean.CopyMean(_wide);
        _moments.Add(_states);
        _other.Add(_states);
        _moments.Merge(_other);
        _moments.CopyMean(_wide);
        _moments.CopyCovariance(_square);
        _variance.Add(_projections);
        _variance.CopyStandardError(_wide.AsSpan(0, Count));
    }
}
