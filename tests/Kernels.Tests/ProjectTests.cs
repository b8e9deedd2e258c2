using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

public sealed class ProjectTests
{
    // The bound of the documentation is 1e-6 for every input. Random signs cancel, so random inputs stay far below, and a kernel that
    // summed a whole row in float32 would not. The reference rounds only in float64.
    private static double Tolerance(KernelSet set) => set == KernelSets.Reference ? 1e-14 : 1.5e-7;

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Projections_agree_with_float64_for_every_width(string kernel)
    {
        KernelSet set = AvailableKernels.Get(kernel);
        foreach (int dimension in Conformance.Dimensions)
            Assert.InRange(Conformance.ProjectError(set, 4, dimension, 3, seed: dimension), 0, Tolerance(set));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Projections_agree_with_float64_for_every_number_of_states_and_directions(string kernel)
    {
        KernelSet set = AvailableKernels.Get(kernel);
        foreach (int rows in new[] { 0, 1, 2, 3, 4, 5, 11, 12, 13, 24, 25 })
            foreach (int count in new[] { 0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33 })
                Assert.InRange(Conformance.ProjectError(set, rows, 37, count, seed: 1000 * rows + count), 0, Tolerance(set));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Numbers_of_one_sign_stay_within_the_documented_bound_at_the_largest_width(string kernel)
    {
        // All rounding errors of a growing sum of equal terms may point the same way: the worst case in practice.
        const int dimension = 16384;
        foreach (float value in new[] { 0.1f, 1f / 3, 1.0000001f, 0.7f })
        {
            float[] row = new float[dimension];
            Array.Fill(row, value);
            double[] projection = new double[1];
            AvailableKernels.Get(kernel).Project(row, row, dimension, projection);
            double exact = (double)value * value * dimension;
            Assert.InRange(Math.Abs(projection[0] - exact) / exact, 0, 1e-6);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Small_whole_numbers_are_projected_exactly(string kernel)
    {
        // Every partial sum is a whole number below 2^24, so no order of addition may round.
        Random random = new(5);
        foreach (int dimension in Conformance.Dimensions)
        {
            float[] states = [.. Enumerable.Range(0, 5 * dimension).Select(_ => (float)random.Next(-8, 9))];
            float[] directions = [.. Enumerable.Range(0, 6 * dimension).Select(_ => (float)random.Next(-8, 9))];
            double[] projections = new double[30];
            AvailableKernels.Get(kernel).Project(states, directions, dimension, projections);
            for (int i = 0; i < projections.Length; i++)
            {
                long exact = 0;
                for (int d = 0; d < dimension; d++)
                    exact += (long)states[i / 6 * dimension + d] * (long)directions[i % 6 * dimension + d];
                Assert.Equal(exact, projections[i]);
            }
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void A_batch_gives_the_same_bits_as_its_rows_and_directions_one_by_one(string kernel)
    {
        const int rows = 37, count = 35, dimension = 1000;
        KernelSet set = AvailableKernels.Get(kernel);
        Random random = new(7);
        Span<float> states = Conformance.Normal(random, rows * dimension).Span;
        Span<float> directions = Conformance.Normal(random, count * dimension).Span;
        double[] batch = new double[rows * count];
        set.Project(states, directions, dimension, batch);
        double[] single = new double[1];
        for (int i = 0; i < batch.Length; i++)
        {
            Span<float> state = states.Slice(i / count * dimension, dimension);
            Span<float> direction = directions.Slice(i % count * dimension, dimension);
            set.Project(state, direction, dimension, single);
            Assert.Equal(single[0], batch[i]);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void NaN_and_infinity_reach_the_outputs_of_their_own_row_and_direction_only(string kernel)
    {
        const int rows = 5, count = 6;
        foreach (int dimension in new[] { 3, 16, 67, 1027 })
        {
            float[] states = new float[rows * dimension];
            float[] directions = new float[count * dimension];
            Array.Fill(states, 1);
            Array.Fill(directions, 1);
            states[1 * dimension + dimension - 1] = float.NaN;
            states[2 * dimension] = float.NegativeInfinity;
            directions[4 * dimension + dimension / 2] = float.PositiveInfinity;
            double[] projections = new double[rows * count];
            AvailableKernels.Get(kernel).Project(states, directions, dimension, projections);
            for (int i = 0; i < projections.Length; i++)
            {
                (int t, int k) = Math.DivRem(i, count);
                double expected = (t, k) switch
                {
                    (1, _) => double.NaN,
                    (2, 4) => double.NaN, // -infinity from the state plus infinity from the direction
                    (2, _) => double.NegativeInfinity,
                    (_, 4) => double.PositiveInfinity,
                    _ => dimension,
                };
                Assert.Equal(expected, projections[i]);
            }
        }
    }
}
