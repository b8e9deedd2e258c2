using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class RateIntervalTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(12, 2)]
    [InlineData(30, 3)]
    [InlineData(39, 4)]
    [InlineData(79, 5)]
    [InlineData(156, 8)] // 39 neighbours: the first number of them that cuts two
    [InlineData(200, 6)]
    [InlineData(801, 7)]
    public void The_ends_are_the_conformal_quantiles_of_the_nearest_errors(int pairs, int seed)
    {
        var random = new Random(seed);
        (double, double)[] known = [.. Enumerable.Range(0, pairs).Select(_ => (Rate(random), Rate(random)))];
        var interval = new RateInterval(known);
        foreach (double predicted in (double[])[0, 0.0003, 0.05, 0.2, 0.31, 1, .. known.Take(20).Select(k => k.Item1)])
        {
            Interval expected = BruteForce(known, predicted), actual = interval.Around(predicted);
            Assert.Equal(expected.Low, actual.Low, 1e-14);
            Assert.Equal(expected.High, actual.High, 1e-14);
        }
    }

    [Fact]
    public void Many_equal_predictions_are_all_or_none_of_the_neighbours()
    {
        // Half of the predictions are 0 (clipped), with true rates up to 0.2; the others are exact.
        (double, double)[] pairs =
            [.. Enumerable.Range(0, 60).Select(i => (0.0, i / 300.0)), .. Enumerable.Range(0, 60).Select(i => (0.2 + (i / 1000.0), 0.2 + (i / 1000.0)))];
        var interval = new RateInterval(pairs);
        Interval far = interval.Around(0.23), zero = interval.Around(0);
        Assert.Equal((0.23, 0.23), (Math.Round(far.Low, 9), Math.Round(far.High, 9)));

        // The 3rd smallest and largest of 60.
        Assert.Equal(2 / 300.0, zero.Low, 1e-6);
        Assert.Equal(57 / 300.0, zero.High, 1e-6);
    }

    [Fact]
    public void Nine_of_ten_exchangeable_rates_are_held()
    {
        var random = new Random(11);
        double held = 0;
        const int Rounds = 60, Tests = 200;
        for (int round = 0; round < Rounds; round++)
        {
            var interval = new RateInterval(Enumerable.Range(0, 300).Select(_ => Draw()));
            for (int i = 0; i < Tests; i++)
            {
                (double predicted, double truth) = Draw();
                if (interval.Around(predicted).Contains(truth)) held += 1.0 / (Rounds * Tests);
            }
        }

        // 60 independent calibration sets of 75 neighbours each: the standard error is near 0.005.
        Assert.InRange(held, 0.88, 0.935);

        // The noise is larger where the prediction is larger, which is why intervals are local.
        (double, double) Draw()
        {
            double root = Math.Sqrt(0.4 * random.NextDouble());
            return (root * root, Math.Pow(Math.Clamp(root + ((0.02 + (0.1 * root)) * TinyModel.Gaussian(random)), 0, 1), 2));
        }
    }

    [Fact]
    public void Ends_stay_between_0_and_1_and_in_order()
    {
        var random = new Random(12);
        for (int round = 0; round < 200; round++)
        {
            var interval = new RateInterval(Enumerable.Range(0, random.Next(1, 80)).Select(_ => (random.NextDouble(), random.NextDouble())));
            Interval around = interval.Around(random.NextDouble());
            Assert.InRange(around.Low, 0, around.High);
            Assert.InRange(around.High, around.Low, 1);
        }
    }

    [Fact]
    public void The_order_of_the_pairs_does_not_matter_and_there_must_be_one()
    {
        var random = new Random(13);
        (double, double)[] pairs = [.. Enumerable.Range(0, 90).Select(_ => (Rate(random), Rate(random)))];
        Assert.Equal(new RateInterval(pairs).Around(0.1), new RateInterval(Synthetic.Shuffled(pairs, 4)).Around(0.1));
        Assert.Contains("no out-of-sample predictions", Assert.Throws<EmScanException>(() => new RateInterval([])).Message);
    }

    /// <summary>A rate with three digits, often 0: as measured, and as predicted after clipping.</summary>
    private static double Rate(Random random) => Math.Max(0, Math.Round((0.5 * random.NextDouble()) - 0.1, 3));

    private static Interval BruteForce((double Predicted, double True)[] pairs, double predicted)
    {
        int needed = Math.Min(pairs.Length, Math.Max(30, pairs.Length / 4));
        double[] errors =
        [
            .. pairs.Where(p => pairs.Count(o => Math.Abs(o.Predicted - predicted) < Math.Abs(p.Predicted - predicted)) < needed)
                .Select(p => Math.Sqrt(p.True) - Math.Sqrt(p.Predicted)).Order(),
        ];

        // The smallest set of orders that holds 90% of n + 1 exchangeable errors: k - 1 on either side, 20 k <= n + 1.
        int k = Math.Max(1, (errors.Length + 1) / 20);
        return new Interval(Rate(errors[k - 1]), Rate(errors[errors.Length - k]));

        double Rate(double error) => Math.Pow(Math.Clamp(Math.Sqrt(predicted) + error, 0, 1), 2);
    }
}
