using EmScan.Engine.Analyses.Steering;

namespace EmScan.Engine.Tests.Analyses;

public sealed class SteeringTests
{
    private static readonly double[] Doses = [-1, -0.25, -0.1, 0, 0.1, 0.25, 1];

    [Fact]
    public void A_slope_goes_through_the_origin_and_looks_at_small_doses_only()
    {
        DoseResponse line = DoseResponse.Of(Doses, [.. Doses.Select(c => Math.Abs(c) > 0.5 ? 9 : 3 * c)]);
        Assert.Equal(3, line.Slope, 1e-12);
        Assert.Equal(1, line.R2!.Value, 1e-12);

        // Even in the dose: no slope, and the line explains less than the mean would.
        DoseResponse even = DoseResponse.Of(Doses, [.. Doses.Select(c => c * c)]);
        Assert.Equal(0, even.Slope, 1e-12);
        Assert.True(even.R2 < 0);
        Assert.Null(DoseResponse.Of(Doses, new double[Doses.Length]).R2);
    }

    [Fact]
    public void Text_breaks_where_its_log_likelihood_has_fallen_so_far()
    {
        double[] values = [-5, -2.1, -2, -2, -2.2, -2.6, -2.1];
        Assert.Equal(0.1 + (0.15 * 0.75), DoseResponse.FallsAt(Doses, values, 1)!.Value, 1e-12); // -2.5 between -2.2 and -2.6
        Assert.Equal(0.25 + (0.75 * 0.4 / 2.9), DoseResponse.FallsAt(Doses, values, -1)!.Value, 1e-12);
        Assert.Null(DoseResponse.FallsAt(Doses, values, 1, fall: 5));
    }

    [Fact]
    public void Random_directions_have_length_1_a_seed_and_no_preferred_side()
    {
        var random = new Random(3);
        double[][] drawn = [.. Enumerable.Range(0, 400).Select(_ => SteeredDirection.Random(12, random))];
        Assert.All(drawn, v => Assert.Equal(1, v.Sum(x => x * x), 1e-12));
        Assert.Equal(drawn[0], SteeredDirection.Random(12, new Random(3)));

        // Mean of a coordinate: standard error sqrt(1 / 12 / 400) = 0.0144; of its square: mean 1/12, s.e. below 0.006.
        for (int i = 0; i < 12; i++)
        {
            Assert.InRange(drawn.Average(v => v[i]), -0.07, 0.07);
            Assert.InRange(drawn.Average(v => v[i] * v[i]), (1 / 12.0) - 0.03, (1 / 12.0) + 0.03);
        }

        double[] always = SteeredDirection.Fixed(3);
        double norm = Math.Sqrt(Math.Pow(Math.Sin(1), 2) + Math.Pow(Math.Sin(4), 2) + Math.Pow(Math.Sin(9), 2));
        Assert.Equal([Math.Sin(1) / norm, Math.Sin(4) / norm, Math.Sin(9) / norm], always);
        Assert.Null(SteeredDirection.Unit(new double[3]));
    }
}
