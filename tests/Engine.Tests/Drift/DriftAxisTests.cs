using EmScan.Engine.Drift;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Tests.Traits;

namespace EmScan.Engine.Tests.Drift;

public sealed class DriftAxisTests
{
    private static readonly string[] Two = ["honesty", "harmlessness"];

    [Fact]
    public void Drifts_on_a_line_have_one_component_that_points_to_harmlessness()
    {
        // x = (0, 1) + s (3, -4) for s = -1, 0, 1, 2.
        DriftAxis axis = Fit(Two, [-3, 5], [0, 1], [3, -3], [6, -7]);
        Assert.Equal([1, 0], axis.Shares, Tolerance.Of(1e-12));
        Assert.Equal([-0.6, 0.8], axis.Loadings.ToArray(), Tolerance.Of(1e-7));
        Assert.Equal([1.5, -1], axis.Mean, Tolerance.Of(1e-12));
        Assert.Equal(1, axis.ParticipationRatio, 1e-12);
        Assert.Equal(25 * 5 / 3.0, axis.Variances[0], 1e-9); // variance of s is 5/3 with divisor N - 1
        Assert.Equal(4, axis.Runs);
    }

    [Fact]
    public void The_projection_is_of_the_drift_itself_so_that_the_base_is_at_zero()
    {
        DriftAxis axis = Fit(Two, [-3, 5], [0, 1], [3, -3]);
        Assert.Equal(0, axis.Project([0, 0]));
        Assert.Equal(-5, axis.Project([3, -4]), 1e-6);
        Assert.Equal(5, axis.Magnitude([3, -4]), 1e-6);
        Assert.Throws<ArgumentException>(() => axis.Project([1]));
    }

    [Fact]
    public void Without_the_orienting_trait_the_largest_loading_is_positive()
    {
        DriftAxis axis = Fit(["a", "b"], [3, 1], [0, 0], [-6, -2]);
        Assert.Equal([0.9486833, 0.3162278], axis.Loadings.ToArray(), Tolerance.Of(1e-6));

        // Two loadings of the same size: the first decides, whatever the solver's sign.
        double half = Math.Sqrt(0.5);
        Assert.Equal([half, -half], Fit(["a", "b"], [-1, 1], [0, 0], [1, -1]).Loadings.ToArray(), Tolerance.Of(1e-7));
        Assert.Equal([half, -half], Fit(["a", "b"], [1, -1], [0.5, -0.5], [3, -3]).Loadings.ToArray(), Tolerance.Of(1e-7));

        // The drifts do not move harmlessness at all: its loading is zero, and decides nothing.
        DriftAxis flat = Fit(Two, [3, 0], [0, 0], [-6, 0]);
        Assert.Equal([1, 0], flat.Loadings.ToArray(), Tolerance.Of(1e-12));
    }

    [Fact]
    public void Isotropic_drifts_use_all_dimensions_equally()
    {
        DriftAxis axis = Fit(["a", "b", "c"], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]);
        Assert.Equal([1 / 3.0, 1 / 3.0, 1 / 3.0], axis.Shares, Tolerance.Of(1e-12));
        Assert.Equal(3, axis.ParticipationRatio, 1e-9);
    }

    [Fact]
    public void Components_are_orthonormal_and_rebuild_the_covariance()
    {
        var random = new Random(11);
        for (int trial = 0; trial < 40; trial++)
        {
            int k = random.Next(1, 24);
            string[] traits = [.. Enumerable.Range(0, k).Select(i => $"t{i}")];
            DriftAxis axis = Fit(traits, [.. Enumerable.Range(0, random.Next(3, 60)).Select(_ => Drift())]);
            for (int i = 0; i < k; i++)
            {
                for (int j = 0; j < k; j++)
                {
                    Assert.Equal(i == j ? 1 : 0, LinearReference.Dot(axis.Component(i).ToArray(), axis.Component(j).ToArray()), 1e-13);
                    double rebuilt = Enumerable.Range(0, k).Sum(c => axis.Variances[c] * axis.Component(c)[i] * axis.Component(c)[j]);
                    Assert.Equal(axis.Covariance[i * k + j], rebuilt, 1e-13);
                }
            }

            Assert.Equal(axis.Shares.OrderDescending(), axis.Shares);
            Assert.Equal(1, axis.Shares.Sum(), 1e-12);

            double[] Drift() => [.. Enumerable.Range(0, k).Select(i => LinearReference.Gauss(random) / (1 + i))];
        }
    }

    [Fact]
    public void Merged_builders_give_the_axis_of_all_drifts()
    {
        var random = new Random(7);
        string[] traits = ["a", "b", "c", "d"];
        var whole = new DriftAxisBuilder(traits);
        var merged = new DriftAxisBuilder(traits);
        for (int part = 0; part < 5; part++)
        {
            var builder = new DriftAxisBuilder(traits);
            for (int i = 0; i < part * 3; i++)
            {
                double[] drift = [.. Enumerable.Range(0, 4).Select(k => LinearReference.Gauss(random) * (k + 1))];
                whole.Add(drift);
                builder.Add(drift);
            }

            merged.Merge(builder);
        }

        DriftAxis one = whole.Fit(), other = merged.Fit();
        Assert.Equal(30, other.Runs);
        Assert.Equal(one.Shares, other.Shares, Tolerance.Of(1e-7));
        Assert.Equal(1, one.Cosine(other), 1e-12);
    }

    [Fact]
    public void Stored_moments_give_the_same_axis_to_the_bit()
    {
        DriftAxis axis = Fit(Two, [-3, 5.1], [0.2, 1], [3, -3]);
        DriftAxis again = DriftAxis.FromMoments(axis.Traits, axis.Runs, axis.Mean, axis.Covariance);
        Assert.Equal(axis.Shares, again.Shares);
        Assert.Equal(axis.Loadings.ToArray(), again.Loadings.ToArray());
    }

    [Fact]
    public void Too_few_runs_are_refused()
    {
        Assert.Contains("at least 3 runs, there are 0", Assert.Throws<EmScanException>(() => new DriftAxisBuilder(Two).Fit()).Message);
        Assert.Contains("there is 1", Assert.Throws<EmScanException>(() => Fit(Two, [1, 2])).Message);
        Assert.Contains("there are 2", Assert.Throws<EmScanException>(() => Fit(Two, [1, 2], [3, 4])).Message);
    }

    [Fact]
    public void Drifts_without_any_difference_are_refused()
    {
        Assert.Contains("are zero", Assert.Throws<EmScanException>(() => Fit(Two, [0, 0], [0, 0], [0, 0])).Message);
        Assert.Contains("same drift", Assert.Throws<EmScanException>(() => Fit(Two, [.1, .3], [.1, .3], [.1, .3], [.1, .3])).Message);
        Assert.Contains("same drift", Assert.Throws<EmScanException>(() => Fit(Two, [.1, .3], [.1, .3 + 3e-8], [.1, .3])).Message);
    }

    [Theory]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.PositiveInfinity, "Infinity")]
    [InlineData(1e300, "1E+300")]
    public void Impossible_drifts_are_refused_by_name_and_leave_no_trace(double value, string shown)
    {
        var builder = new DriftAxisBuilder(Two);
        string message = Assert.Throws<EmScanException>(() => builder.Add([0, value], "bad_medical/seed_42")).Message;
        Assert.Contains("bad_medical/seed_42", message);
        Assert.Contains(shown, message);
        Assert.Contains("'harmlessness'", message);
        Assert.Equal(0, builder.Count);
        Assert.Throws<ArgumentException>(() => builder.Add([1]));
    }

    [Fact]
    public void Moments_that_no_drifts_can_have_are_refused()
    {
        const double Infinite = double.PositiveInfinity;
        var unusable = Assert.Throws<EmScanException>(() => DriftAxis.FromMoments(Two, 5, [0, double.NaN], [1, 0, 0, 1]));
        Assert.Contains("not finite", unusable.Message);
        Assert.Throws<EmScanException>(() => DriftAxis.FromMoments(Two, 5, [0, 0], [1, Infinite, Infinite, 1]));
        Assert.Throws<ArgumentException>(() => DriftAxis.FromMoments(Two, 5, [0, 0], [1, 0.5, 0, 1]));
        Assert.Throws<ArgumentException>(() => DriftAxis.FromMoments(Two, 5, [0], [1, 0, 0, 1]));
        Assert.Throws<ArgumentException>(() => DriftAxis.FromMoments(["a", "a"], 5, [0, 0], [1, 0, 0, 1]));
        Assert.Throws<ArgumentException>(() => new DriftAxisBuilder([]));
    }

    [Fact]
    public void Axes_and_builders_of_other_traits_do_not_mix()
    {
        DriftAxis axis = Fit(Two, [-3, 5], [0, 1], [3, -3]), other = Fit(["a", "b"], [-3, 5], [0, 1], [3, -3]);
        Assert.Throws<EmScanException>(() => axis.Cosine(other));
        Assert.Throws<EmScanException>(() => new DriftAxisBuilder(Two).Merge(new DriftAxisBuilder(["a", "b"])));
    }

    private static DriftAxis Fit(string[] traits, params double[][] drifts)
    {
        var builder = new DriftAxisBuilder(traits);
        foreach (double[] drift in drifts) builder.Add(drift);
        return builder.Fit();
    }
}
