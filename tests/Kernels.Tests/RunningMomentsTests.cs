using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

public sealed class RunningMomentsTests
{
    // Relative to sqrt(cov[i, i] cov[j, j]). SIMD sets sum 24 float32 products at a time (documented bound 2e-6); random rows stay far
    // below. The reference loses only what the mean of a block loses to its rounding.
    private static double Tolerance(KernelSet set) => set == KernelSets.Reference ? 1e-12 : 1e-7;

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Mean_and_covariance_agree_with_float64_two_pass(string kernel)
    {
        KernelSet set = AvailableKernels.Get(kernel);
        foreach ((int rows, int dimension) in new[] { (2, 3), (959, 5), (960, 17), (961, 33), (1921, 1), (3000, 40) })
            AssertAgrees(Mixed(rows, dimension, offset: 0, seed: rows), dimension, set);
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void A_mean_ten_thousand_deviations_away_costs_no_digits(string kernel) =>
        AssertAgrees(Mixed(5000, 24, offset: 1e4, seed: 23), 24, AvailableKernels.Get(kernel));

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void A_mean_that_moves_costs_no_digits(string kernel)
    {
        float[] states = Mixed(6000, 8, offset: 0, seed: 29);
        for (int i = 0; i < states.Length; i++)
            states[i] += 1000f * (i / (8 * 1000));
        AssertAgrees(states, 8, AvailableKernels.Get(kernel));
    }

    [Fact]
    public void Ten_million_rows_far_from_zero_cost_no_digits()
    {
        // Single-pass float32 sums of squares would lose everything here: mean^2 is 10^8 times the variance, n mean^2 10^15 times. The rows
        // are made twice from the same numbers, once for the means and once for the deviations from them.
        const int dimension = 3, blocks = 1250, blockRows = 8000;
        RunningMoments[] all = [.. KernelSets.Available.Select(set => new RunningMoments(dimension, set))];
        double[] mean = new double[dimension], lost = new double[dimension], covariance = new double[dimension * dimension];
        float[] states = new float[blockRows * dimension];
        for (int block = 0; block < blocks; block++)
        {
            FarFromZero(states, dimension, block);
            foreach (RunningMoments moments in all)
                moments.Add(states);
            for (int i = 0; i < states.Length; i++)
            {
                // Kahan: the terms are of one sign.
                int d = i % dimension;
                double term = states[i] - lost[d], next = mean[d] + term;
                lost[d] = next - mean[d] - term;
                mean[d] = next;
            }
        }

        const double rows = (double)blocks * blockRows;
        for (int d = 0; d < dimension; d++)
            mean[d] /= rows;
        for (int block = 0; block < blocks; block++)
        {
            // A sum per block, so that the sum of sums has few roundings.
            FarFromZero(states, dimension, block);
            double[] sum = new double[dimension * dimension];
            for (int start = 0; start < states.Length; start += dimension)
                for (int i = 0; i < dimension; i++)
                    for (int j = 0; j < dimension; j++)
                        sum[i * dimension + j] += (states[start + i] - mean[i]) * (states[start + j] - mean[j]);
            for (int i = 0; i < sum.Length; i++)
                covariance[i] += sum[i] / (rows - 1);
        }

        foreach ((RunningMoments moments, KernelSet set) in all.Zip(KernelSets.Available))
        {
            Assert.Equal(rows, moments.Count);
            AssertClose(mean, covariance, moments, set == KernelSets.Reference ? 1e-10 : 1e-9);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void How_rows_are_cut_into_calls_changes_no_bit(string kernel)
    {
        const int rows = 1200, dimension = 21;
        float[] states = Mixed(rows, dimension, offset: 5, seed: 37);
        RunningMoments whole = new(dimension, AvailableKernels.Get(kernel)), cut = new(dimension, AvailableKernels.Get(kernel));
        whole.Add(states);
        Random random = new(41);
        for (int t = 0, taken; t < rows; t += taken)
        {
            taken = Math.Min(random.Next(0, 300), rows - t);
            cut.Add(states.AsSpan(t * dimension, taken * dimension));
            Assert.Equal(t + taken, cut.Count);
        }

        Assert.Equal(Covariance(whole), Covariance(cut));
        Assert.Equal(Mean(whole), Mean(cut));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Merging_in_any_grouping_agrees_with_float64(string kernel)
    {
        const int dimension = 19;
        KernelSet set = AvailableKernels.Get(kernel);
        float[] states = Mixed(2100, dimension, offset: 100, seed: 43);
        RunningMoments Part(int from, int to)
        {
            RunningMoments part = new(dimension, set);
            part.Add(states.AsSpan(from * dimension, (to - from) * dimension));
            return part;
        }

        RunningMoments left = Part(0, 700);
        left.Merge(Part(700, 705));
        left.Merge(Part(705, 2100));
        RunningMoments tail = Part(700, 705);
        tail.Merge(Part(705, 2100));
        RunningMoments right = Part(0, 700);
        right.Merge(tail);
        (double[] mean, double[] covariance) = Compensated.Moments(states, dimension);
        foreach (RunningMoments merged in new[] { left, right })
        {
            Assert.Equal(2100, merged.Count);
            AssertClose(mean, covariance, merged, Tolerance(set));
        }
    }

    [Fact]
    public void Merging_with_nothing_changes_nothing()
    {
        float[] states = Mixed(300, 6, offset: 1, seed: 47);
        RunningMoments moments = new(6), empty = new(6), expected = new(6);
        moments.Add(states);
        expected.Add(states);
        moments.Merge(empty);
        empty.Merge(moments);
        Assert.Equal(300, empty.Count);
        foreach (RunningMoments same in new[] { moments, empty })
        {
            Assert.Equal(Mean(expected), Mean(same));
            Assert.Equal(Covariance(expected), Covariance(same));
        }
    }

    [Fact]
    public void Nothing_merged_with_nothing_still_takes_rows()
    {
        RunningMoments moments = new(2);
        moments.Merge(new RunningMoments(2));
        Assert.Equal([double.NaN, double.NaN], Mean(moments));
        moments.Add([1, 2, 3, 6]);
        Assert.Equal([2, 4], Mean(moments));
        Assert.Equal([2, 4, 4, 8], Covariance(moments));
    }

    [Fact]
    public void Merging_with_itself_counts_every_row_twice()
    {
        RunningMoments moments = new(2);
        moments.Add([1, 2, 3, 6]);
        moments.Merge(moments);
        Assert.Equal(4, moments.Count);
        Assert.Equal([2, 4], Mean(moments));
        Assert.Equal([1, 2, 2, 4], Covariance(moments, VarianceKind.Population));
    }

    [Fact]
    public void The_divisor_is_n_or_n_minus_1_and_too_few_rows_give_NaN()
    {
        RunningMoments moments = new(1);
        Assert.Equal([double.NaN], Covariance(moments, VarianceKind.Population));
        Assert.Equal([double.NaN], Mean(moments));
        moments.Add([4]);
        Assert.Equal([4], Mean(moments));
        Assert.Equal([double.NaN], Covariance(moments));
        Assert.Equal([0], Covariance(moments, VarianceKind.Population));
        moments.Add([8]);
        Assert.Equal([8], Covariance(moments));
        Assert.Equal([4], Covariance(moments, VarianceKind.Population));
        Assert.Throws<ArgumentOutOfRangeException>(() => Covariance(moments, (VarianceKind)7));
    }

    [Fact]
    public void Clear_forgets_closed_and_open_blocks()
    {
        RunningMoments moments = new(2);
        moments.Add(Mixed(RunningMoments.BlockRows + 400, 2, offset: 3, seed: 53));
        moments.Clear();
        Assert.Equal(0, moments.Count);
        moments.Add([1, 2, 3, 6]);
        Assert.Equal([2, 4], Mean(moments));
        Assert.Equal([2, 4, 4, 8], Covariance(moments));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void A_number_that_is_not_finite_spoils_its_own_column_only(string kernel)
    {
        const int dimension = 21, bad = 4;
        foreach (float value in new[] { float.NaN, float.PositiveInfinity })
        {
            float[] states = Mixed(600, dimension, offset: 0, seed: 59);
            states[300 * dimension + bad] = value;
            RunningMoments moments = new(dimension, AvailableKernels.Get(kernel));
            moments.Add(states);
            double[] covariance = Covariance(moments), mean = Mean(moments);
            for (int i = 0; i < dimension; i++)
            {
                Assert.Equal(i != bad, double.IsFinite(mean[i]));
                for (int j = 0; j < dimension; j++)
                    Assert.Equal(i != bad && j != bad, double.IsFinite(covariance[i * dimension + j]));
            }
        }
    }

    /// <summary>Correlated columns around 3000, 3100, 3200 with deviations below 1, from a counter (Steele, Lea and Flood 2014).</summary>
    private static void FarFromZero(float[] states, int dimension, int block)
    {
        ulong counter = (ulong)block << 40;
        double Next()
        {
            ulong z = counter += 0x9E3779B97F4A7C15;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return (z >> 11) * (1.0 / (1UL << 53));
        }

        for (int start = 0; start < states.Length; start += dimension)
        {
            double shared = Next();
            for (int d = 0; d < dimension; d++)
                states[start + d] = (float)(3000 + 100 * d + d * shared + Next());
        }
    }

    /// <summary>Correlated columns of different scale around a common offset.</summary>
    private static float[] Mixed(int rows, int dimension, double offset, int seed)
    {
        Span<float> noise = Conformance.Normal(new Random(seed), rows * dimension).Span;
        float[] states = new float[rows * dimension];
        for (int t = 0; t < rows; t++)
            for (int d = 0; d < dimension; d++)
                states[t * dimension + d] = (float)(offset + (1 + d % 3) * (noise[t * dimension + d] + 0.5 * noise[t * dimension]));
        return states;
    }

    private static void AssertAgrees(float[] states, int dimension, KernelSet set)
    {
        RunningMoments moments = new(dimension, set);
        moments.Add(states);
        (double[] mean, double[] covariance) = Compensated.Moments(states, dimension);
        AssertClose(mean, covariance, moments, Tolerance(set) * Math.Max(1, 30 / Math.Sqrt(moments.Count)));
    }

    private static void AssertClose(double[] mean, double[] covariance, RunningMoments moments, double tolerance)
    {
        int dimension = mean.Length;
        double[] gotMean = Mean(moments), got = Covariance(moments);
        for (int i = 0; i < dimension; i++)
        {
            Assert.InRange(Math.Abs(gotMean[i] - mean[i]), 0, 1e-13 * (Math.Abs(mean[i]) + Math.Sqrt(covariance[i * dimension + i])));
            for (int j = 0; j < dimension; j++)
            {
                double scale = Math.Sqrt(covariance[i * dimension + i] * covariance[j * dimension + j]);
                Assert.InRange(Math.Abs(got[i * dimension + j] - covariance[i * dimension + j]) / scale, 0, tolerance);
                Assert.Equal(got[j * dimension + i], got[i * dimension + j]);
            }
        }
    }

    private static double[] Mean(RunningMoments moments)
    {
        double[] mean = new double[moments.Dimension];
        moments.CopyMean(mean);
        return mean;
    }

    private static double[] Covariance(RunningMoments moments, VarianceKind kind = VarianceKind.Unbiased)
    {
        double[] covariance = new double[moments.Dimension * moments.Dimension];
        moments.CopyCovariance(covariance, kind);
        return covariance;
    }
}
