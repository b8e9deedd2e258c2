using EmScan.Kernels.Probe;

namespace EmScan.Kernels.Tests;

public sealed class AddOuterProductsTests
{
    // Documented bound 1.5e-6; random rows stay far below it.
    private static double Tolerance(KernelSet set) => set == KernelSets.Reference ? 1e-14 : 3e-7;

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Outer_products_agree_with_float64_for_every_width(string kernel)
    {
        KernelSet set = AvailableKernels.Get(kernel);
        foreach (int dimension in Conformance.Dimensions.Where(dimension => dimension <= 128))
            Assert.InRange(Conformance.OuterProductsError(set, 19, dimension, seed: dimension), 0, Tolerance(set));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Outer_products_agree_with_float64_for_every_number_of_rows(string kernel)
    {
        KernelSet set = AvailableKernels.Get(kernel);
        foreach (int rows in new[] { 0, 1, 2, 3, 4, 15, 16, 17, 23, 24, 25, 47, 48, 49, 143, 144, 145, 191, 192, 193, 959, 960, 961 })
            Assert.InRange(Conformance.OuterProductsError(set, rows, 37, seed: rows), 0, Tolerance(set));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void The_largest_magnitudes_overflow_no_float32_sum(string kernel)
    {
        const int rows = 960, dimension = 5;
        float[] states = [.. Enumerable.Repeat(1e18f, rows * dimension)];
        double[] upper = new double[PackedUpper.Length(dimension)];
        AvailableKernels.Get(kernel).AddOuterProducts(states, dimension, upper);
        Assert.All(upper, sum => Assert.Equal(1, sum / (rows * (double)1e18f * 1e18f), 1.5e-6));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Centred_outer_products_of_rows_far_from_zero_agree_with_float64(string kernel)
    {
        KernelSet set = AvailableKernels.Get(kernel);
        foreach (int dimension in Conformance.Dimensions.Where(dimension => dimension <= 128))
            Assert.InRange(Conformance.CentredOuterProductsError(set, 19, dimension, seed: dimension), 0, Tolerance(set));
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Tiles_of_the_sum_meet_without_gap_or_overlap(string kernel)
    {
        // Widths around those of a tile of each set, 24, 48 and 96: whole numbers, so every element must be exact.
        foreach (int dimension in new[] { 23, 24, 25, 47, 48, 49, 95, 96, 97, 191, 193, 198, 385 })
        {
            Random random = new(dimension);
            float[] states = [.. Enumerable.Range(0, 7 * dimension).Select(_ => (float)random.Next(-8, 9))];
            double[] expected = new double[PackedUpper.Length(dimension)], upper = new double[PackedUpper.Length(dimension)];
            KernelSets.Reference.AddOuterProducts(states, dimension, expected);
            AvailableKernels.Get(kernel).AddOuterProducts(states, dimension, upper);
            Assert.Equal(expected, upper);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Numbers_of_one_sign_stay_within_the_documented_bound(string kernel)
    {
        // All rounding errors of a growing sum of equal terms may point the same way: the worst case in practice.
        foreach (float value in new[] { 0.1f, 1f / 3, 1.0000001f, 0.7f })
        {
            float[] states = new float[1000 * 2];
            Array.Fill(states, value);
            double[] upper = new double[3];
            AvailableKernels.Get(kernel).AddOuterProducts(states, 2, upper);
            Assert.All(upper, sum => Assert.Equal(1, sum / (1000 * ((double)value * value)), 1.5e-6));
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void Small_whole_numbers_give_the_exact_sum_on_top_of_what_is_there(string kernel)
    {
        const int rows = 300, dimension = 131;
        Random random = new(13);
        float[] states = [.. Enumerable.Range(0, rows * dimension).Select(_ => (float)random.Next(-8, 9))];
        double[] expected = new double[PackedUpper.Length(dimension)], upper = new double[PackedUpper.Length(dimension)];
        KernelSets.Reference.AddOuterProducts(states, dimension, expected);
        Array.Fill(upper, 0.5);
        AvailableKernels.Get(kernel).AddOuterProducts(states, dimension, upper);
        Assert.Equal(expected.Select(value => value + 0.5), upper);
        long corner = 0;
        for (int t = 0; t < rows; t++)
            corner += (long)states[t * dimension] * (long)states[t * dimension + dimension - 1];
        Assert.Equal(corner, expected[dimension - 1]);
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void A_shift_adds_its_outer_product_once_in_float64(string kernel)
    {
        // 1 / 3 is no float32; a shift that passed through one would be off by 1e-8. More rows than one pass takes.
        foreach (int dimension in new[] { 1, 7, 64, 67 })
        {
            double[] shift = [.. Enumerable.Range(1, dimension).Select(d => d / 3.0)];
            double[] upper = new double[PackedUpper.Length(dimension)];
            AvailableKernels.Get(kernel).AddOuterProducts(new float[1000 * dimension], new double[dimension], shift, 0.7, upper);
            for (int i = 0; i < dimension; i++)
                for (int j = i; j < dimension; j++)
                    Assert.Equal(1, upper[PackedUpper.RowStart(i, dimension) + j - i] / (0.7 * shift[i] * shift[j]), 1e-15);
        }
    }

    [Theory]
    [ClassData(typeof(AvailableKernels))]
    public void NaN_reaches_only_the_row_and_the_column_of_its_own_number(string kernel)
    {
        const int dimension = 67, bad = 33;
        float[] states = new float[3 * dimension];
        Array.Fill(states, 1);
        states[dimension + bad] = float.NaN;
        double[] upper = new double[PackedUpper.Length(dimension)];
        AvailableKernels.Get(kernel).AddOuterProducts(states, dimension, upper);
        for (int i = 0; i < dimension; i++)
            for (int j = i; j < dimension; j++)
                Assert.Equal(i == bad || j == bad ? double.NaN : 3, upper[PackedUpper.RowStart(i, dimension) + j - i]);
    }

    [Fact]
    public void The_packed_layout_is_dense_and_row_by_row()
    {
        const int dimension = 7;
        long next = 0;
        for (int i = 0; i < dimension; i++)
        {
            Assert.Equal(next, PackedUpper.RowStart(i, dimension));
            next += dimension - i;
        }

        Assert.Equal(next, PackedUpper.Length(dimension));
        Assert.Equal(2305843008139952128L, PackedUpper.Length(int.MaxValue));
    }
}
