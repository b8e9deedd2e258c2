using EmScan.Engine.Numerics;

namespace EmScan.Engine.Tests.Numerics;

public sealed class AurocTests
{
    [Fact]
    public void It_is_the_share_of_pairs_in_the_right_order()
    {
        var random = new Random(5);
        for (int trial = 0; trial < 20; trial++)
        {
            // Few values, so that many are equal.
            double[] above = [.. Enumerable.Range(0, random.Next(1, 30)).Select(_ => (double)random.Next(1, 9))], below = [.. Enumerable.Range(0, random.Next(1, 30)).Select(_ => (double)random.Next(0, 8))];
            double expected = above.Average(a => below.Average(b => a > b ? 1 : a == b ? 0.5 : 0));
            Assert.Equal(expected, Auroc.Of(above, below), 1e-12);
            Assert.Equal(1 - expected, Auroc.Of(below, above), 1e-12);
        }

        Assert.True(double.IsNaN(Auroc.Of([], [1.0])));
    }
}
