using EmScan.Engine.Drift;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Tests.Drift;

public sealed class DisplacementTests
{
    [Fact]
    public void Drift_is_the_difference_of_mean_projections_over_the_mean_of_base_norms()
    {
        // P = 2, K = 2, D = 2; n0 = (4 + 6) / 2 = 5.
        var baseline = new Measurement([1, 2, 3, 4], [4, 6], [0, 0]);
        var measured = new Measurement([2, 2, 6, 4], [9, 9], [3, 4]);
        var point = Displacement.From(measured, baseline, 2);
        Assert.Equal([4, 3], point.RawProjections.AsEnumerable());
        Assert.Equal([4 / 5.0, 3 / 5.0], point.NormalizedProjections.AsEnumerable());
        Assert.Equal([2 / 5.0, 0], point.PerTrait.AsEnumerable());

        // Per-prompt differences 1 and 3: s = sqrt(2), standard error sqrt(2) / sqrt(2) = 1, over n0.
        Assert.Equal(1 / 5.0, point.StandardErrors[0], 12);
        Assert.Equal(0, point.StandardErrors[1]);
        Assert.Equal(2 / 5.0, point.Magnitude, 12);
        Assert.Equal(1, point.MeanActivationChange, 12);
        Assert.False(point.ChangesNothing);
        Assert.True(Displacement.From(baseline, baseline, 2).ChangesNothing);
    }

    /// <summary>What an effect size divides by: how far single prompts stray from the mean drift, along it.</summary>
    [Fact]
    public void Prompt_deviation_is_the_sample_deviation_along_the_drift_in_units_of_the_base_norm()
    {
        // P = 3, K = 2; n0 = 5. Differences (6, 8), (12, 16), (0, 0): drift (1.2, 1.6) of magnitude 2, and 2, 4, 0 along it.
        var baseline = new Measurement([0, 0, 0, 0, 0, 0], [4, 5, 6], [0]);
        var point = Displacement.From(new Measurement([6, 8, 12, 16, 0, 0], [5, 5, 5], [0]), baseline, 2);
        Assert.Equal(2, point.Magnitude, 12);
        Assert.Equal(2, point.PromptDeviation, 12);
        Assert.True(double.IsNaN(Displacement.From(baseline, baseline, 2).PromptDeviation)); // along nothing
    }

    [Fact]
    public void A_share_of_a_drift_is_the_projection_on_it()
    {
        var whole = Displacement.Stored([3, 4], 1);
        Assert.Equal(1, whole.ShareOf(whole)!.Value, 12);
        Assert.Equal(6 / 25.0, Displacement.Stored([2, 0], 1).ShareOf(whole)!.Value, 12);
        Assert.Equal(-2, Displacement.Stored([-6, -8], 1).ShareOf(whole)!.Value, 12);
        Assert.Null(whole.ShareOf(Displacement.Stored([0, 0], 0)));
    }

    [Fact]
    public void Measurements_of_other_shapes_are_refused()
    {
        var two = new Measurement([1, 2], [4, 6], [0]);
        var one = new Measurement([1], [4], [0]);
        Assert.Throws<ArgumentException>(() => Displacement.From(one, two, 1));
        Assert.Throws<ArgumentException>(() => Displacement.From(two, two, 2));
    }
}
