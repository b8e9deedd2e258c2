using BenchmarkDotNet.Running;

namespace EmScan.Bench.Kernels;

/// <summary>What every benchmark of a group does, its ceiling too.</summary>
/// <param name="Bytes">Bytes of states that are read.</param>
/// <param name="Flops">Multiplications and additions.</param>
internal readonly record struct Work(double Bytes, double Flops)
{
    public static Work Of(BenchmarkCase benchmark)
    {
        int dimension = (int)benchmark.Parameters[nameof(ProjectBenchmarks.D)];
        if (benchmark.Descriptor.Type == typeof(CoMomentBenchmarks))
            return new Work(4.0 * CoMomentBenchmarks.Rows * dimension, (double)CoMomentBenchmarks.Rows * dimension * (dimension + 1));
        double numbers = ProjectBenchmarks.StateNumbers / dimension * dimension;
        int count = benchmark.Descriptor.Type == typeof(ProjectBenchmarks) ? (int)benchmark.Parameters[nameof(ProjectBenchmarks.K)] : 1;
        return new Work(4 * numbers, 2 * numbers * count);
    }
}
