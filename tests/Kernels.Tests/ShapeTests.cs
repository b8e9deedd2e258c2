namespace EmScan.Kernels.Tests;

public sealed class ShapeTests
{
    private static readonly KernelSet Set = KernelSets.Best;

    [Theory]
    [InlineData(7, 6, 4, "states holds 7 numbers, which is not a whole number of rows of D = 3.")]
    [InlineData(6, 7, 4, "directions holds 7 numbers, which is not a whole number of rows of D = 3.")]
    [InlineData(6, 6, 3, "projections holds 3 numbers; its shape (T, K) needs 4.")]
    [InlineData(6, 6, 5, "projections holds 5 numbers; its shape (T, K) needs 4.")]
    public void Projection_names_the_shape_that_does_not_fit(int states, int directions, int projections, string message)
    {
        ArgumentException e = Assert.Throws<ArgumentException>(
            () => Set.Project(new float[states], new float[directions], 3, new double[projections]));
        Assert.StartsWith(message, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    [InlineData(int.MinValue)]
    public void A_dimension_below_one_is_refused(int dimension)
    {
        Assert.Throws<ArgumentException>(() => Set.Project([], [], dimension, []));
        Assert.Throws<ArgumentException>(() => Set.RowNorms([], dimension, []));
        Assert.Throws<ArgumentException>(() => Set.AddOuterProducts([], dimension, []));
        Assert.Throws<ArgumentException>(() => new RunningMean(dimension));
        Assert.Throws<ArgumentException>(() => new RunningMoments(dimension));
        Assert.Throws<ArgumentException>(() => new RunningVariance(dimension));
    }

    [Fact]
    public void As_many_largest_activations_as_there_are_latents_may_be_asked_for_and_no_more()
    {
        using CpuKernelDevice device = new();
        using ISparseEncoder encoder = device.Keep(new SparseEncoderWeights(new float[] { 1, 1, 1, 2, 2, 2 }, new float[2], SparseActivation.Relu));
        int[] latents = new int[2];
        float[] activations = new float[2];
        encoder.EncodeTop([1, 1, 1], latents, activations);
        Assert.Equal([1, 0], latents);
        Assert.Equal([6, 3], activations);
        Assert.Throws<ArgumentException>("latents", () => encoder.EncodeTop([1, 1, 1], new int[3], new float[3]));
    }

    [Fact]
    public void The_other_operations_refuse_what_does_not_fit()
    {
        Assert.Throws<ArgumentException>("norms", () => Set.RowNorms(new float[6], 3, new double[3]));
        Assert.Throws<ArgumentException>("states", () => Set.RowNorms(new float[7], 3, new double[2]));
        Assert.Throws<ArgumentException>("states", () => Set.AddRows(new float[7], new double[3]));
        Assert.Throws<ArgumentException>(() => Set.AddRows([], []));
        Assert.Throws<ArgumentException>("row", () => Set.AddRow(new float[6], new double[3]));
        Assert.Throws<ArgumentException>("upper", () => Set.AddOuterProducts(new float[6], 3, new double[9]));
        double[] three = new double[3];
        Assert.Throws<ArgumentException>("upper", () => Set.AddOuterProducts(new float[6], three, three, 1, new double[9]));
        Assert.Throws<ArgumentException>("states", () => Set.AddOuterProducts([], three, three, 1, new double[6]));
        Assert.Throws<ArgumentException>("shift", () => Set.AddOuterProducts(new float[6], three, new double[4], 1, new double[6]));
    }

    [Fact]
    public void A_product_of_shapes_beyond_32_bits_does_not_wrap_around()
    {
        // T K = 2^16 * 2^16 is 0 in 32-bit arithmetic, the length of the output given here.
        Assert.Throws<ArgumentException>("projections", () => Set.Project(new float[1 << 16], new float[1 << 16], 1, []));

        // D (D + 1) / 2 for D = 2^31 - 1, and the largest dimension that a co-moment matrix can have.
        Assert.Throws<ArgumentException>("upper", () => Set.AddOuterProducts([], int.MaxValue, []));
        Assert.Throws<ArgumentException>("dimension", () => new RunningMoments(65536));
    }

    [Fact]
    public void No_rows_and_no_directions_are_shapes_like_any_other()
    {
        Set.Project([], new float[6], 3, []);
        Set.Project(new float[6], [], 3, []);
        Set.RowNorms([], 3, []);
        Set.AddOuterProducts([], 3, new double[6]);
        double[] sum = [1, 2, 3];
        Set.AddRows([], sum);
        Assert.Equal([1, 2, 3], sum);
    }

    [Fact]
    public void Running_statistics_refuse_another_dimension()
    {
        Assert.Throws<ArgumentException>("states", () => new RunningMean(3).Add(new float[4]));
        Assert.Throws<ArgumentException>("other", () => new RunningMean(3).Merge(new RunningMean(4)));
        Assert.Throws<ArgumentException>("mean", () => new RunningMean(3).CopyMean(new double[4]));
        Assert.Throws<ArgumentException>("states", () => new RunningMoments(3).Add(new float[4]));
        Assert.Throws<ArgumentException>("other", () => new RunningMoments(3).Merge(new RunningMoments(4)));
        Assert.Throws<ArgumentException>("mean", () => new RunningMoments(3).CopyMean(new double[4]));
        Assert.Throws<ArgumentException>("covariance", () => new RunningMoments(3).CopyCovariance(new double[6]));
        Assert.Throws<ArgumentException>("observations", () => new RunningVariance(3).Add(new double[4]));
        Assert.Throws<ArgumentException>("other", () => new RunningVariance(3).Merge(new RunningVariance(4)));
        Assert.Throws<ArgumentException>("variance", () => new RunningVariance(3).CopyVariance(new double[4]));
    }
}
