using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

/// <summary>Row norms and sums of rows.</summary>
public sealed class RowTests
{
    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Norms_agree_with_float64(string kernel)
    {
        // A sum of D positive terms errs by at most D * 2^-53, relatively, and its root by half of that and one rounding.
        foreach (int dimension in Conformance.Dimensions)
        {
            double error = Conformance.RowNormsError(AvailableKernels.Get(kernel), 3, dimension, seed: dimension);
            Assert.InRange(error, 0, (dimension / 2 + 2) * Math.Pow(2, -53));
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Norms_neither_overflow_nor_underflow(string kernel)
    {
        const int dimension = 1027;
        foreach (float value in new[] { 1e15f, float.MaxValue, 1e-30f, float.Epsilon })
        {
            float[] row = new float[dimension];
            Array.Fill(row, value);
            double[] norm = new double[1];
            AvailableKernels.Get(kernel).RowNorms(row, dimension, norm);
            Assert.Equal(1, norm[0] / (value * Math.Sqrt(dimension)), 1e-13);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void NaN_and_infinity_reach_the_norm_of_their_own_row_only(string kernel)
    {
        foreach (int dimension in new[] { 2, 16, 67, 1027 })
        {
            float[] states = new float[4 * dimension];
            Array.Fill(states, 1);
            states[dimension - 1] = float.NegativeInfinity;
            states[1 * dimension + dimension / 2] = float.NaN;
            states[2 * dimension] = float.NaN;
            states[3 * dimension - 1] = float.PositiveInfinity;
            double[] norms = new double[4];
            AvailableKernels.Get(kernel).RowNorms(states, dimension, norms);
            Assert.Equal([double.PositiveInfinity, double.NaN, double.NaN], norms[..3]);
            Assert.Equal(Math.Sqrt(dimension), norms[3], 1e-12);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Sums_of_rows_agree_with_float64(string kernel)
    {
        foreach (int dimension in Conformance.Dimensions)
            foreach (int rows in new[] { 0, 1, 3, 4, 5, 11 })
                Assert.InRange(Conformance.AddRowsError(AvailableKernels.Get(kernel), rows, dimension, seed: dimension + rows), 0, 2e-15);
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Sums_of_rows_have_the_bits_of_the_reference_however_the_rows_are_cut(string kernel)
    {
        const int dimension = 67, rows = 23;
        KernelSet set = AvailableKernels.Get(kernel);
        Span<float> states = Conformance.Normal(new Random(11), rows * dimension).Span;
        double[] expected = new double[dimension], whole = new double[dimension], cut = new double[dimension];
        KernelSets.Reference.AddRows(states, expected);
        set.AddRows(states, whole);
        set.AddRows(states[..(5 * dimension)], cut);
        set.AddRow(states.Slice(5 * dimension, dimension), cut);
        set.AddRows(states[(6 * dimension)..], cut);
        Assert.Equal(expected, whole);
        Assert.Equal(expected, cut);
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void NaN_stays_in_its_own_column_of_a_sum(string kernel)
    {
        float[] states = new float[5 * 67];
        states[4 * 67 + 66] = float.NaN;
        states[67] = float.PositiveInfinity;
        double[] sum = new double[67];
        AvailableKernels.Get(kernel).AddRows(states, sum);
        Assert.Equal(double.PositiveInfinity, sum[0]);
        Assert.Equal(double.NaN, sum[66]);
        Assert.All(sum[1..66], value => Assert.Equal(0, value));
    }
}
