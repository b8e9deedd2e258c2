using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts.Regression;

public sealed class FeatureMatrixTests
{
    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    [InlineData(2e38)]
    public void A_value_that_cannot_be_computed_with_is_named_by_row_and_feature(double bad)
    {
        var failure = Assert.Throws<EmScanException>(() => new FeatureMatrix(3, 2, (double[])[1, 2, 3, 4, 5, bad]));
        Assert.Equal($"Feature 1 of row 2 (counted from 0) is {bad}; features must be finite numbers within 1e38.", failure.Message);
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new FeatureMatrix(0, 2, []));
        Assert.Throws<ArgumentException>(() => new FeatureMatrix(2, 0, []));
        Assert.Throws<ArgumentException>(() => new FeatureMatrix(2, 2, new double[5]));
        Assert.Throws<ArgumentException>(() => new FeatureMatrix(int.MaxValue, int.MaxValue, new double[1]));
        Assert.Throws<ArgumentException>(() => FeatureMatrix.FromRows([]));
        Assert.Throws<ArgumentException>(() => FeatureMatrix.FromRows([[1, 2], [3]]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new FeatureMatrix(1, 1, new double[1]).Row(1).Length);
    }

    [Fact]
    public void Later_changes_of_the_array_change_nothing()
    {
        double[] values = [1, 2, 3, 4];
        var x = new FeatureMatrix(2, 2, values);
        values[3] = double.NaN;
        Assert.Equal([3, 4], x.Row(1));
    }

    [Fact]
    public void Rows_are_selected_in_the_given_order_and_repeatedly()
    {
        FeatureMatrix x = FeatureMatrix.FromRows([[1, 2], [3, 4], [5, 6]]).SelectRows([2, 0, 2]);
        Assert.Equal([5, 6, 1, 2, 5, 6], x.Values);
        Assert.Throws<ArgumentOutOfRangeException>(() => x.SelectRows([3]));
    }
}
