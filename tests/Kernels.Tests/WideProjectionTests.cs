using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

public sealed class WideProjectionTests
{
    /// <summary>
    /// The bound of the documentation is 1.5e-6; random numbers stay far below. Shapes end inside, at and after panels of states, strips of
    /// directions and laid-out columns.
    /// </summary>
    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Random_states_and_directions_give_their_dot_products(string kernel)
    {
        KernelSet set = AvailableKernels.Get(kernel);
        double tolerance = kernel == "reference" ? 1e-14 : 1.5e-7;
        int seed = 17;
        (int Rows, int Dimension, int Count)[] shapes =
        [
            (1, 1, 1), (1, 64, 300), (3, 23, 97), (15, 24, 96), (48, 25, 95), (49, 100, 193), (97, 333, 40), (500, 30, 100),
            (5, 959, 8), (5, 960, 7), (5, 961, 9), (17, 1941, 33),
        ];
        foreach ((int rows, int dimension, int count) in shapes)
            Assert.InRange(Conformance.WideProjectionError(set, rows, dimension, count, seed++), 0, tolerance);
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Numbers_of_one_sign_stay_within_the_documented_bound(string kernel)
    {
        // Every product has the same sign, so roundings add up as far as they can.
        const int rows = 9, count = 20, dimension = 2999;
        Random random = new(3);
        float[] states = [.. Enumerable.Range(0, rows * dimension).Select(_ => 1 + random.NextSingle())];
        float[] directions = [.. Enumerable.Range(0, count * dimension).Select(_ => 1 + random.NextSingle())];
        double[] got = new double[rows * count];
        using WideProjection projection = new(states, dimension, AvailableKernels.Get(kernel));
        projection.Project(directions, got);
        for (int i = 0; i < got.Length; i++)
        {
            float[] state = Compensated.Row(states, dimension, i / count), direction = Compensated.Row(directions, dimension, i % count);
            double error = (got[i] - Compensated.Dot(state, direction)) / (Compensated.Norm(state) * Compensated.Norm(direction));
            Assert.InRange(Math.Abs(error), 0, 1.5e-6);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Small_integers_are_exact(string kernel)
    {
        const int rows = 50, count = 101, dimension = 1000;
        Random random = new(11);
        float[] states = [.. Enumerable.Range(0, rows * dimension).Select(_ => (float)random.Next(-8, 9))];
        float[] directions = [.. Enumerable.Range(0, count * dimension).Select(_ => (float)random.Next(-8, 9))];
        double[] got = new double[rows * count];
        using WideProjection projection = new(states, dimension, AvailableKernels.Get(kernel));
        projection.Project(directions, got);
        for (int i = 0; i < got.Length; i++)
        {
            long exact = 0;
            for (int d = 0; d < dimension; d++)
                exact += (long)states[i / count * dimension + d] * (long)directions[i % count * dimension + d];
            Assert.Equal(exact, got[i]);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void A_row_has_the_same_bits_alone_in_any_batch_and_on_any_number_of_threads(string kernel)
    {
        const int rows = 101, count = 400, dimension = 211;
        KernelSet set = AvailableKernels.Get(kernel);
        Random random = new(7);
        float[] states = Conformance.Normal(random, rows * dimension).Span.ToArray();
        float[] directions = Conformance.Normal(random, count * dimension).Span.ToArray();
        double[] batch = new double[rows * count], threaded = new double[rows * count];
        double[] single = new double[count], part = new double[rows * 160];
        using WideProjection projection = new(states, dimension, set);
        projection.Project(directions, batch);
        projection.Project(directions, threaded, threads: 3);
        Assert.Equal(batch, threaded);
        for (int t = 0; t < rows; t += 7)
        {
            using WideProjection alone = new(states.AsSpan(t * dimension, dimension), dimension, set);
            alone.Project(directions, single);
            Assert.Equal(batch[(t * count)..((t + 1) * count)], single);
        }

        // Directions in blocks that start at multiples of 16.
        projection.Project(directions.AsSpan(80 * dimension, 160 * dimension), part);
        for (int t = 0; t < rows; t++)
            Assert.Equal(batch[(t * count + 80)..(t * count + 240)], part[(t * 160)..((t + 1) * 160)]);
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void States_that_several_threads_lay_out_are_the_same_states(string kernel)
    {
        // Enough numbers for three threads; 8 panels of 48 rows and a rest, or more panels of fewer.
        const int rows = 401, count = 5, dimension = 1003;
        KernelSet set = AvailableKernels.Get(kernel);
        Random random = new(8);
        float[] states = Conformance.Normal(random, rows * dimension).Span.ToArray();
        float[] directions = Conformance.Normal(random, count * dimension).Span.ToArray();
        double[] expected = new double[rows * count], got = new double[rows * count];
        using WideProjection one = new(states, dimension, set), three = new(states, dimension, set, threads: 3);
        one.Project(directions, expected);
        three.Project(directions, got);
        Assert.Equal(expected, got);
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public async Task Many_threads_may_project_at_a_time(string kernel)
    {
        const int rows = 30, count = 130, dimension = 100;
        using WideProjection projection = new(Conformance.Normal(new Random(1), rows * dimension).Span, dimension, AvailableKernels.Get(kernel));
        await Task.WhenAll(Enumerable.Range(0, 4).Select(seed => Task.Run(() =>
        {
            float[] directions = Conformance.Normal(new Random(seed), count * dimension).Span.ToArray();
            double[] first = new double[rows * count], again = new double[rows * count];
            projection.Project(directions, first);
            for (int i = 0; i < 10; i++)
                projection.Project(directions, again);
            Assert.Equal(first, again);
        })));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void NaN_and_infinity_reach_the_outputs_of_their_own_row_and_direction_only(string kernel)
    {
        const int rows = 5, count = 6;
        foreach (int dimension in new[] { 3, 16, 67, 1027 })
        {
            float[] states = new float[rows * dimension], directions = new float[count * dimension];
            Array.Fill(states, 1);
            Array.Fill(directions, 1);
            states[1 * dimension + dimension - 1] = float.NaN;
            states[2 * dimension] = float.NegativeInfinity;
            directions[4 * dimension + dimension / 2] = float.PositiveInfinity;
            double[] projections = new double[rows * count];
            using WideProjection projection = new(states, dimension, AvailableKernels.Get(kernel));
            projection.Project(directions, projections);
            for (int i = 0; i < projections.Length; i++)
            {
                double expected = (i / count, i % count) switch
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

    [Fact]
    public void Shapes_that_do_not_agree_are_refused()
    {
        Assert.Throws<ArgumentException>("states", () => new WideProjection(new float[7], 3));
        Assert.Throws<ArgumentOutOfRangeException>("threads", () => new WideProjection(new float[6], 3, threads: 0));
        using WideProjection projection = new(new float[6], 3);
        Assert.Equal((2, 3), (projection.Rows, projection.Dimension));
        Assert.Throws<ArgumentException>("directions", () => projection.Project(new float[4], new double[2]));
        Assert.Throws<ArgumentException>("projections", () => projection.Project(new float[6], new double[3]));
        Assert.Throws<ArgumentOutOfRangeException>("threads", () => projection.Project(new float[6], new double[4], threads: 0));
        projection.Project([], []);
        using WideProjection empty = new([], 3);
        empty.Project(new float[6], []);
        projection.Dispose();
        Assert.Throws<ObjectDisposedException>(() => projection.Project(new float[6], new double[4]));
    }
}
