using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class ConformalIntervalTests
{
    private const double Flag = 0.06;

    [Fact]
    public void Intervals_hold_nine_in_ten_checkpoints_of_groups_that_were_not_seen()
    {
        // Groups err each in their own way, much more than their checkpoints differ: the hard case, in which counting checkpoints would be wrong.
        var random = new Random(5);
        double held = 0, checkpoints = 0;
        const int Worlds = 300, Groups = 20;
        for (int world = 0; world < Worlds; world++)
        {
            UnseenPrediction[][] groups = [.. Enumerable.Range(0, Groups + 1).Select(g => Group(random, $"{g}", random.Next(2, 40)))];
            var interval = ConformalInterval.Fit(groups[1..].SelectMany(g => g), Flag);
            held += groups[0].Average(u => interval.Around(u.Predicted, u.Deviations).Contains(u.True) ? 1 : 0);
            checkpoints++;
        }

        // At least 90% is what the method promises, and not much more with 20 groups; four standard errors over 300 worlds are 7 points.
        Assert.InRange(held / checkpoints, 0.83, 0.98);
    }

    [Fact]
    public void Fewer_than_nine_groups_reach_as_far_as_their_largest_error()
    {
        var random = new Random(6);
        UnseenPrediction[] all = [.. Enumerable.Range(0, 5).SelectMany(g => Group(random, $"{g}", 10))];
        var interval = ConformalInterval.Fit(all, Flag);
        Assert.All(all, u => Assert.True(interval.Around(u.Predicted, u.Deviations).Contains(u.True)));
        Assert.Equal(5, interval.Groups);
    }

    /// <summary>A harmless checkpoint that is flagged by mistake is wrong, not doubtful: it says nothing of the doubt that is usual.</summary>
    [Fact]
    public void The_limit_of_doubt_is_of_harmless_checkpoints_that_were_not_flagged()
    {
        UnseenPrediction[] quiet = [.. Enumerable.Range(0, 12).Select(g => new UnseenPrediction($"{g}", 0.001 * g, 0.01, 0.1 * g))];
        UnseenPrediction[] flagged = [.. Enumerable.Range(0, 12).Select(g => new UnseenPrediction($"{g}", 0.2, 0.01, 0.1))], dangerous = [.. flagged.Select(u => u with { True = 0.3 })];
        double? limit = ConformalInterval.Fit(quiet, Flag).DoubtLimit;
        Assert.InRange(limit!.Value, 1, 100);
        Assert.Equal(limit, ConformalInterval.Fit([.. quiet, .. flagged, .. dangerous], Flag).DoubtLimit);
        Assert.Null(ConformalInterval.Fit([.. flagged, .. dangerous], Flag).DoubtLimit);
    }

    [Fact]
    public void An_interval_widens_with_the_distance_and_holds_the_prediction()
    {
        var random = new Random(7);
        var interval = ConformalInterval.Fit(Enumerable.Range(0, 12).SelectMany(g => Group(random, $"{g}", 10)), Flag);
        foreach (double predicted in (double[])[0, 0.01, 0.05, 0.3, 1])
        {
            double width = -1;
            foreach (double deviations in (double[])[0, 0.5, 1, 3, 10, 1e6])
            {
                Interval around = interval.Around(predicted, deviations);
                Assert.InRange(predicted, around.Low, around.High + 1e-15);
                Assert.InRange(around.Width, width, 1);
                width = around.Width;
            }

            Assert.Equal(1, interval.Around(predicted, 1e6).High);
        }
    }

    [Fact]
    public void At_most_the_stated_share_of_harmless_checkpoints_is_unknown_and_the_far_ones_are()
    {
        var random = new Random(8);
        double unknown = 0;
        const int Worlds = 300;
        for (int world = 0; world < Worlds; world++)
        {
            UnseenPrediction[][] groups = [.. Enumerable.Range(0, 21).Select(g => Harmless(random, $"{g}"))];
            var interval = ConformalInterval.Fit(groups[1..].SelectMany(g => g), Flag);
            unknown += groups[0].Where(u => u.Predicted <= Flag).Average(u => interval.RelativeDoubt(u.Predicted, u.Deviations) > 1 ? 1 : 0);
            Assert.True(interval.RelativeDoubt(0.01, 1e4) > 1);
        }

        Assert.InRange(unknown / Worlds, 0, ConformalInterval.FalseUnknownRate + 0.05);

        static UnseenPrediction[] Harmless(Random random, string name)
        {
            double level = 0.01 + (0.02 * random.NextDouble()), distance = random.NextDouble();
            return [.. Enumerable.Range(0, 12).Select(_ => new UnseenPrediction(name, level * (0.8 + (0.4 * random.NextDouble())), 0.01, distance * random.NextDouble()))];
        }
    }

    [Fact]
    public void The_quantile_over_groups_is_the_one_of_its_definition()
    {
        var random = new Random(9);
        for (int round = 0; round < 200; round++)
        {
            (string Group, double Value)[] values =
                [.. Enumerable.Range(0, random.Next(1, 9)).SelectMany(g => Enumerable.Range(0, random.Next(1, 6)).Select(_ => ($"{g}", Math.Round(random.NextDouble(), 1))))];
            double level = random.NextDouble();
            int groups = values.Select(v => v.Group).Distinct().Count();
            double Below(double x) => values.GroupBy(v => v.Group).Sum(g => g.Count(v => v.Value <= x) / ((groups + 1.0) * g.Count()));
            double[] enough = [.. values.Select(v => v.Value).Where(x => Below(x) >= level - 1e-12)];
            Assert.Equal(enough.Length > 0 ? enough.Min() : values.Max(v => v.Value), GroupQuantile.Of(values, level));
        }
    }

    [Fact]
    public void Nothing_gives_no_interval() =>
        Assert.Contains("no out-of-sample predictions", Assert.Throws<EmScanException>(() => ConformalInterval.Fit([], Flag)).Message);

    private static UnseenPrediction[] Group(Random random, string name, int checkpoints)
    {
        double bias = 0.05 * TinyModel.Gaussian(random);
        return
        [
            .. Enumerable.Range(0, checkpoints).Select(_ =>
            {
                double predicted = 0.2 * random.NextDouble(), deviations = random.NextDouble();
                double root = Math.Sqrt(predicted) + ((bias + (0.01 * TinyModel.Gaussian(random))) * (1 + deviations));
                return new UnseenPrediction(name, predicted, Math.Pow(Math.Clamp(root, 0, 1), 2), deviations);
            }),
        ];
    }
}
