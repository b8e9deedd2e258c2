using EmScan.Engine.Numerics;

namespace EmScan.Engine.Tests.Numerics;

/// <summary>Small statistics against values worked out by hand.</summary>
public sealed class StatisticsTests
{
    [Fact]
    public void Spearman_is_the_correlation_of_mean_ranks()
    {
        // Ranks 1 2.5 2.5 4 5 and 3 1 2 4.5 4.5, about their mean 3: products 6, squares 9.5 each.
        Assert.Equal(6 / 9.5, RankCorrelation.Spearman([1, 2, 2, 4, 7], [3, 1, 2, 9, 9]), 1e-14);
        Assert.Equal(1, RankCorrelation.Spearman([1, 2, 3], [1, 10, 100]), 1e-15);
        Assert.Equal(-1, RankCorrelation.Spearman([1, 2, 3], [0, -1, -1e300]), 1e-15);
        Assert.Equal(double.NaN, RankCorrelation.Spearman([1, 2, 3], [4, 4, 4]));
        Assert.Equal(double.NaN, RankCorrelation.Spearman([1], [4]));
        Assert.Throws<ArgumentException>(() => RankCorrelation.Spearman([1, 2], [1, 2, 3]));
    }

    [Fact]
    public void A_line_is_the_one_of_least_squares_with_intercept()
    {
        // Sums about the means by hand: x 1 2 3 4, y 2 3 5 4: Sxx 5, Sxy 4, Syy 5; b 0.8, a 1.5, residual sum of squares 1.8.
        LineFit fit = LineFit.Of([1, 2, 3, 4], [2, 3, 5, 4]);
        Assert.Equal(0.8, fit.Slope, 1e-15);
        Assert.Equal(1.5, fit.Intercept, 1e-14);
        Assert.Equal(1 - (1.8 / 5), fit.RSquared, 1e-14);
        Assert.Equal(Math.Sqrt(1.8 / 2 / 5), fit.SlopeStandardError, 1e-14);

        LineFit far = LineFit.Of([1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4], [2, 3, 5, 4]);
        Assert.Equal(0.8, far.Slope, 1e-12);
        Assert.Equal(double.NaN, LineFit.Of([1, 1], [2, 3]).Slope);
        Assert.Equal(double.NaN, LineFit.Of([1, 2], [3, 3]).RSquared);
        Assert.Equal(double.NaN, LineFit.Of([1, 2], [3, 4]).SlopeStandardError);
        Assert.Throws<ArgumentException>(() => LineFit.Of([1], [1]));
        Assert.Throws<ArgumentException>(() => LineFit.Of([1, 2], [1, 2, 3]));
    }

    [Fact]
    public void A_quantile_takes_values_in_any_order_and_leaves_them()
    {
        double[] values = [4, 1, 3, 2];
        Assert.Equal(1.75, Quantile.Of(values, 0.25));
        Assert.Equal([4, 1, 3, 2], values);
    }
}
