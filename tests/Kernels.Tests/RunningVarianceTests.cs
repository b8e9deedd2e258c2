using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

public sealed class RunningVarianceTests
{
    private const int K = 7;

    [Fact]
    public void Mean_variance_and_standard_error_agree_with_float64_two_pass_far_from_zero()
    {
        const int n = 10_000;
        (double[] observations, double[] mean, double[] variance) = Observations(n, offset: 1e8, seed: 61);
        RunningVariance running = new(K);
        running.Add(observations);
        AssertClose(mean, variance, running);
        double[] standardError = new double[K];
        running.CopyStandardError(standardError);
        for (int k = 0; k < K; k++)
            Assert.Equal(Math.Sqrt(variance[k] / n), standardError[k], 1e-10);
    }

    [Fact]
    public void Merging_in_any_grouping_agrees_with_float64()
    {
        (double[] observations, double[] mean, double[] variance) = Observations(1000, offset: 1e6, seed: 67);
        RunningVariance Part(int from, int to)
        {
            RunningVariance part = new(K);
            part.Add(observations.AsSpan(from * K, (to - from) * K));
            return part;
        }

        RunningVariance left = Part(0, 0);
        left.Merge(Part(0, 10));
        left.Merge(Part(10, 11));
        left.Merge(Part(11, 1000));
        RunningVariance tail = Part(10, 11);
        tail.Merge(Part(11, 1000));
        RunningVariance right = Part(0, 10);
        right.Merge(tail);
        right.Merge(new RunningVariance(K));
        AssertClose(mean, variance, left);
        AssertClose(mean, variance, right);
    }

    [Fact]
    public void Nothing_merged_with_nothing_still_takes_observations()
    {
        RunningVariance running = new(1);
        running.Merge(new RunningVariance(1));
        running.Add([1, 3]);
        Assert.Equal((2, 1), (Mean(running)[0], Variance(running, VarianceKind.Population)[0]));
    }

    [Fact]
    public void Merging_with_itself_counts_every_observation_twice()
    {
        RunningVariance running = new(1);
        running.Add([1, 3]);
        running.Merge(running);
        Assert.Equal(4, running.Count);
        Assert.Equal((2, 1), (Mean(running)[0], Variance(running, VarianceKind.Population)[0]));
    }

    [Fact]
    public void Too_few_observations_give_NaN()
    {
        RunningVariance running = new(1);
        Assert.Equal([double.NaN], Mean(running));
        Assert.Equal([double.NaN], Variance(running, VarianceKind.Population));
        running.Add([3]);
        double[] standardError = new double[1];
        running.CopyStandardError(standardError);
        Assert.Equal([double.NaN], standardError);
        Assert.Equal([double.NaN], Variance(running));
        Assert.Equal([0], Variance(running, VarianceKind.Population));
    }

    [Fact]
    public void NaN_stays_in_its_own_number_and_Clear_forgets_it()
    {
        RunningVariance running = new(2);
        running.Add([1, double.NaN, 3, 4]);
        Assert.Equal([2, double.NaN], Mean(running));
        Assert.Equal([2, double.NaN], Variance(running));
        running.Clear();
        running.Add([5, 6]);
        Assert.Equal([5, 6], Mean(running));
    }

    private static (double[] Observations, double[] Mean, double[] Variance) Observations(int n, double offset, int seed)
    {
        Random random = new(seed);
        double[] observations = [.. Enumerable.Range(0, n * K).Select(i => offset + (1 + i % K) * random.NextDouble())];
        double[] mean = new double[K], variance = new double[K];
        for (int k = 0; k < K; k++)
        {
            double[] column = [.. Enumerable.Range(0, n).Select(i => observations[i * K + k])];
            double centre = Compensated.Sum(column) / n;
            mean[k] = centre;
            variance[k] = Compensated.Sum(column.Select(value => (value - centre) * (value - centre))) / (n - 1);
        }

        return (observations, mean, variance);
    }

    // The mean is stored to 1e-16 of its size, so an offset of 1e8 deviations leaves 1e-8 of a deviation, squared in the variance.
    private static void AssertClose(double[] mean, double[] variance, RunningVariance running)
    {
        double[] gotMean = Mean(running), got = Variance(running);
        for (int k = 0; k < K; k++)
        {
            Assert.Equal(1, gotMean[k] / mean[k], 1e-14);
            Assert.Equal(1, got[k] / variance[k], 1e-7);
        }
    }

    private static double[] Mean(RunningVariance running)
    {
        double[] mean = new double[running.Dimension];
        running.CopyMean(mean);
        return mean;
    }

    private static double[] Variance(RunningVariance running, VarianceKind kind = VarianceKind.Unbiased)
    {
        double[] variance = new double[running.Dimension];
        running.CopyVariance(variance, kind);
        return variance;
    }
}
