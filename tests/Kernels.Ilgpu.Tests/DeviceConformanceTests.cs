using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Ilgpu.Tests;

/// <summary>The same cases on every device, within the bounds of the kernel sets.</summary>
public sealed class DeviceConformanceTests
{
    private const double Product = 1.5e-7; // random numbers; the documented bound is ten times that

    [Theory]
    [ClassData(typeof(AllDevices))]
    public void Small_products_are_right(string device)
    {
        int seed = 3;
        foreach ((int rows, int dimension, int count) in new[] { (1, 1, 1), (2, 15, 3), (3, 17, 65), (65, 16, 2), (5, 40, 7) })
            Assert.InRange(DeviceConformance.ProjectError(Devices.Get(device), rows, dimension, count, seed++), 0, Product);
    }

    [Theory]
    [ClassData(typeof(RealDevices))]
    public void Products_are_right(string device)
    {
        int seed = 31;
        foreach ((int rows, int dimension, int count) in new[] { (64, 64, 64), (63, 1000, 130), (130, 511, 63), (7, 4096, 33), (200, 67, 300) })
            Assert.InRange(DeviceConformance.ProjectError(Devices.Get(device), rows, dimension, count, seed++), 0, Product);
    }

    [Theory]
    [ClassData(typeof(AllDevices))]
    public void Small_moments_are_right(string device)
    {
        foreach ((int rows, int dimension) in new[] { (2, 1), (40, 3), (33, 18) })
            AssertMoments(device, rows, dimension);
    }

    [Theory]
    [ClassData(typeof(RealDevices))]
    public void Moments_are_right(string device)
    {
        foreach ((int rows, int dimension) in new[] { (3000, 64), (2500, 65), (1000, 130), (961, 7) })
            AssertMoments(device, rows, dimension);
    }

    [Theory]
    [ClassData(typeof(AllDevices))]
    public void Moments_of_nothing_are_not_numbers(string name)
    {
        using IMoments moments = Devices.Get(name).StartMoments(3), other = Devices.Get(name).StartMoments(3);
        moments.Add([]);
        moments.Merge(other);
        double[] mean = new double[3], covariance = new double[9];
        moments.CopyMean(mean);
        moments.CopyCovariance(covariance, VarianceKind.Population);
        Assert.All(mean.Concat(covariance), value => Assert.Equal(double.NaN, value));
        moments.Add([1, 2, 3]);
        moments.CopyMean(mean);
        moments.CopyCovariance(covariance, VarianceKind.Unbiased);
        Assert.Equal([1, 2, 3], mean);
        Assert.All(covariance, value => Assert.Equal(double.NaN, value));
        moments.CopyCovariance(covariance, VarianceKind.Population);
        Assert.All(covariance, value => Assert.Equal(0, value));
    }

    [Theory]
    [ClassData(typeof(AllDevices))]
    public void Small_encodings_are_right(string device)
    {
        int seed = 5;
        foreach (SparseActivation activation in Enum.GetValues<SparseActivation>())
            foreach ((int rows, int dimension, int latents) in new[] { (1, 1, 1), (3, 17, 65), (5, 33, 70) })
                Assert.InRange(DeviceConformance.EncodeError(Devices.Get(device), activation, rows, dimension, latents, seed++), 0, Product);
        Assert.Equal(0, DeviceConformance.WrongTops(Devices.Get(device), 2, 9, 70, 6, 7));
    }

    [Theory]
    [ClassData(typeof(RealDevices))]
    public void Encodings_are_right(string device)
    {
        int seed = 55;
        foreach (SparseActivation activation in Enum.GetValues<SparseActivation>())
            foreach ((int rows, int dimension, int latents) in new[] { (70, 64, 128), (31, 300, 1000) })
                Assert.InRange(DeviceConformance.EncodeError(Devices.Get(device), activation, rows, dimension, latents, seed++), 0, Product);
        Assert.Equal(0, DeviceConformance.WrongTops(Devices.Get(device), 20, 64, 1500, 40, 7));
        Assert.Equal(0, DeviceConformance.WrongTops(Devices.Get(device), 3, 8, 10, 10, 9));
    }

    [Theory]
    [ClassData(typeof(AllDevices))]
    public void NaN_and_infinity_reach_the_outputs_of_their_own_row_and_direction_only(string device)
    {
        const int rows = 5, count = 6, dimension = 19;
        float[] states = new float[rows * dimension], directions = new float[count * dimension];
        Array.Fill(states, 1);
        Array.Fill(directions, 1);
        states[1 * dimension + dimension - 1] = float.NaN;
        states[2 * dimension] = float.NegativeInfinity;
        directions[4 * dimension + dimension / 2] = float.PositiveInfinity;
        double[] projections = new double[rows * count];
        using IResidentDirections kept = Devices.Get(device).Keep(directions, dimension);
        kept.Project(states, projections);
        for (int i = 0; i < projections.Length; i++)
        {
            double expected = (i / count, i % count) switch
            {
                (1, _) => double.NaN,
                (2, 4) => double.NaN,
                (2, _) => double.NegativeInfinity,
                (_, 4) => double.PositiveInfinity,
                _ => dimension,
            };
            Assert.Equal(expected, projections[i]);
        }
    }

    [Theory]
    [ClassData(typeof(AllDevices))]
    public void Shapes_that_do_not_agree_are_refused(string name)
    {
        IKernelDevice device = Devices.Get(name);
        Assert.Throws<ArgumentException>("directions", () => device.Keep(new float[7], 3));
        Assert.Throws<ArgumentException>("states", () => device.KeepStates(new float[7], 3));
        using IResidentDirections directions = device.Keep(new float[6], 3);
        Assert.Equal((2, 3), (directions.Count, directions.Dimension));
        Assert.Throws<ArgumentException>("states", () => directions.Project(new float[4], new double[2]));
        Assert.Throws<ArgumentException>("projections", () => directions.Project(new float[3], new double[3]));
        directions.Project([], []);
        using IResidentStates states = device.KeepStates(new float[6], 3);
        Assert.Equal((2, 3), (states.Rows, states.Dimension));
        Assert.Throws<ArgumentException>("directions", () => states.Project(new float[4], new double[2]));
        Assert.Throws<ArgumentException>("projections", () => states.Project(new float[3], new double[3]));
        using IMoments moments = device.StartMoments(3), wide = device.StartMoments(4);
        Assert.Throws<ArgumentException>(() => moments.Add(new float[4]));
        Assert.Throws<ArgumentException>(() => moments.Merge(wide));
        Assert.Throws<ArgumentException>(() => moments.CopyMean(new double[2]));
        Assert.Throws<ArgumentException>(() => moments.CopyCovariance(new double[8], VarianceKind.Unbiased));
        Assert.Throws<ArgumentException>(() => device.StartMoments(0));
        using ISparseEncoder encoder = device.Keep(new SparseEncoderWeights(new float[6], new float[2], SparseActivation.Relu));
        Assert.Equal((3, 2), (encoder.Dimension, encoder.Latents));
        Assert.Throws<ArgumentException>(() => encoder.Encode(new float[3], new float[3]));
        Assert.Throws<ArgumentException>(() => encoder.EncodeTop(new float[3], new int[3], new float[3]));
        Assert.Throws<ArgumentException>(() => encoder.EncodeTop(new float[3], new int[2], new float[1]));
        encoder.EncodeTop([], [], []);
    }

    [Fact]
    public void Weights_that_do_not_fit_are_refused()
    {
        Assert.Throws<ArgumentException>("weights", () => new SparseEncoderWeights(new float[7], new float[2], SparseActivation.Relu));
        Assert.Throws<ArgumentException>("k", () => new SparseEncoderWeights(new float[6], new float[2], SparseActivation.TopK, 3));
        Assert.Throws<ArgumentException>("thresholds", () => new SparseEncoderWeights(new float[6], new float[2], SparseActivation.JumpRelu));
    }

    private static void AssertMoments(string device, int rows, int dimension)
    {
        (double mean, double covariance) = DeviceConformance.MomentsError(Devices.Get(device), rows, dimension, rows + dimension);

        // The documented bound of the covariance is 2e-6, for numbers of one sign; a mean is all float64, of numbers up to 300 deviations.
        Assert.InRange(mean, 0, 1e-12);
        Assert.InRange(covariance, 0, 4e-7);
    }
}
