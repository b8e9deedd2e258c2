using EmScan.Engine.Drift;
using EmScan.Engine.Tests.Traits;

namespace EmScan.Engine.Tests.Drift;

/// <summary>What each control says where the answer is known from the construction, and what it refuses.</summary>
public sealed class DriftAxisControlTests
{
    private static readonly string[] Traits = ["a", "b", "c"];

    [Fact]
    public void An_axis_that_hangs_on_one_group_is_found_out()
    {
        // Group "loud" moves along a and is by far the largest; the others move along b.
        DriftAxisBuilder loud = Group([5, 0, 0], [-5, 0, 0]);
        DriftAxisBuilder one = Group([0, 1, 0], [0, -1, 0]), two = Group([0, 2, 0], [0, -2, 0]);
        LeaveOneGroupOut control = LeaveOneGroupOut.Compute([new("loud", loud), new("one", one), new("two", two)]);
        Assert.Equal(0, control.Groups[0].Cosine!.Value, 1e-9);
        Assert.Equal(1, control.Groups[1].Cosine!.Value, 1e-9);
        Assert.Equal(0, control.LowestCosine!.Value, 1e-9);
        Assert.Equal(2 / 3.0, control.MeanCosine!.Value, 1e-9);
    }

    [Fact]
    public void A_group_whose_absence_leaves_too_little_says_so_and_the_others_still_count()
    {
        DriftAxisBuilder many = Group([1, 0, 0], [2, 0, 0], [3, 1, 0]), few = Group([0, 1, 0]);
        LeaveOneGroupOut control = LeaveOneGroupOut.Compute([new("many", many), new("few", few)]);
        Assert.Null(control.Groups[0].Cosine);
        Assert.Contains("at least 3 runs, there is 1", control.Groups[0].WhyUndefined);
        Assert.NotNull(control.Groups[1].Cosine);
        Assert.Null(control.Groups[1].WhyUndefined);
        Assert.Equal(control.Groups[1].Cosine, control.LowestCosine);
        Assert.Throws<EmScanException>(() => LeaveOneGroupOut.Compute([new("many", many)]));
    }

    [Fact]
    public void Whitening_removes_what_overlapping_traits_add()
    {
        // Isotropic movement in a space of three dimensions, seen by three directions of which two nearly coincide.
        var random = new Random(3);
        float[] directions = [1, 0, 0, 0.96f, 0.28f, 0, 0, 0, 1];
        var builder = new DriftAxisBuilder(Traits);
        for (int i = 0; i < 4000; i++)
        {
            double[] change = [LinearReference.Gauss(random), LinearReference.Gauss(random), LinearReference.Gauss(random)];
            builder.Add([change[0], 0.96 * change[0] + 0.28 * change[1], change[2]]);
        }

        DriftAxis axis = builder.Fit();
        Assert.InRange(axis.Shares[0], 0.63, 0.68); // (1 + 0.96) / 3
        Assert.InRange(WhitenedAxis.Compute(axis, directions).Axis.Shares[0], 1 / 3.0, 0.36);
    }

    [Fact]
    public void Orthonormal_directions_leave_the_whitened_axis_as_it_is()
    {
        DriftAxis axis = Group([1, 2, 3], [2, 1, -1], [0.5, 0, 1], [1, 1, 4]).Fit();
        WhitenedAxis whitened = WhitenedAxis.Compute(axis, [0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0]);
        Assert.Equal(axis.Shares[0], whitened.Axis.Shares[0], 1e-12);
        Assert.Equal(1, whitened.Cosine, 1e-12);
    }

    [Fact]
    public void Directions_that_cannot_whiten_are_refused()
    {
        DriftAxis axis = Group([1, 2, 3], [2, 1, -1], [0.5, 0, 1], [1, 1, 4]).Fit();
        Assert.Contains("linearly dependent", Problem(1, 0, 0, 1, 0, 0, 0, 0, 1));
        Assert.Contains("not finite", Problem(1, 0, 0, 1, 0, 0, 0, 0, float.NaN));
        Assert.Throws<ArgumentException>(() => WhitenedAxis.Compute(axis, [1, 0, 0, 1]));

        string Problem(params float[] directions) => Assert.Throws<EmScanException>(() => WhitenedAxis.Compute(axis, directions)).Message;
    }

    [Theory]
    [InlineData(4)] // fewer coordinates than runs: covariance of D x D
    [InlineData(500)] // more: Gram matrix of N x N
    public void The_native_axis_finds_a_planted_direction_and_what_the_traits_see_of_it(int d)
    {
        // All runs move along u = (0.6, 0.8, 0, ...); the traits are the first three coordinates, so they see all of it.
        var builder = new DriftAxisBuilder(Traits);
        var changes = new List<double[]>();
        for (int i = 0; i < 12; i++)
        {
            var change = new double[d];
            (change[0], change[1], change[3]) = (0.6 * i, 0.8 * i, 0.1 * (i % 2));
            changes.Add(change);
            builder.Add(change.AsSpan(0, 3));
        }

        var directions = new float[3 * d];
        for (int k = 0; k < 3; k++) directions[k * d + k] = 1;
        NativeAxis native = NativeAxis.Compute(builder.Fit(), changes, directions);
        Assert.InRange(native.Share, 0.999, 1);
        Assert.Equal(1, native.Cosine!.Value, 1e-6);
        Assert.InRange(native.VisibleShare, 0.9999, 1);
        Assert.InRange(native.ParticipationRatio, 1, 1.001);
    }

    [Fact]
    public void A_native_axis_that_no_trait_sees_has_no_cosine()
    {
        var builder = new DriftAxisBuilder(Traits);
        double[][] changes = [[0, 0, 0, 5], [1, 0, 0, -5], [0, 1, 0, 5], [1, 1, 0, -5], [0.5, 0.5, 0, 0]];
        foreach (double[] change in changes) builder.Add(change.AsSpan(0, 3));
        double[][] blind = [.. changes.Select(change => new[] { 0, 0, 0, change[3] })];
        NativeAxis native = NativeAxis.Compute(builder.Fit(), blind, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
        Assert.Null(native.Cosine);
        Assert.Equal(1, native.Share, 1e-12);
        Assert.Equal(0, native.VisibleShare, 1e-12);
    }

    /// <summary>What two nearly equal directions differ by is their rounding, and sees nothing.</summary>
    [Fact]
    public void A_direction_that_repeats_another_adds_nothing_to_what_is_seen()
    {
        DriftAxis axis = Group([1, 2, 3], [2, 1, -1], [0.5, 0, 1]).Fit();
        double[][] changes = [.. new[] { -1.0, 0.5, 2, 4 }.Select(t => new[] { 0.6 * t, 0, 0.8 * t, 0 })];
        NativeAxis native = NativeAxis.Compute(axis, changes, [1, 0, 0, 0, 1, 0, 3e-4f, 0, 0, 1, 0, 0]);
        Assert.Equal(0.36, native.VisibleShare, 1e-3);
    }

    [Fact]
    public void Activation_changes_that_have_no_direction_are_refused()
    {
        DriftAxis axis = Group([1, 2, 3], [2, 1, -1], [0.5, 0, 1]).Fit();
        float[] directions = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];
        double[] row = [0.1, 0.2, 0.3, 0.4];
        Assert.Contains("at least 3 runs", Problem(row, row));
        Assert.Contains("same mean", Problem(row, row, row));
        Assert.Contains("run 2 has 1", Problem(row, [1], row));
        Assert.Contains("run 3", Problem(row, row, [0, 0, 0, double.NaN]));

        string Problem(params double[][] changes) =>
            Assert.Throws<EmScanException>(() => NativeAxis.Compute(axis, changes, directions)).Message;
    }

    [Fact]
    public void The_null_tells_a_common_direction_from_chance()
    {
        var random = new Random(8);
        double[][] scattered = [.. Enumerable.Range(0, 20).Select(_ => Traits.Select(_ => LinearReference.Gauss(random)).ToArray())];
        double[][] aligned = [.. scattered.Select((x, i) => new[] { x[0] + i, x[1], x[2] })];
        Assert.Equal(1 / 1001.0, Null(aligned).PValue, 1e-12);
        Assert.InRange(Null(scattered).PValue, 0.05, 1);

        // One run that dwarfs all others makes a share near 1 by chance alone.
        IsotropicNull dwarfed = Null([.. scattered[..5], [1000, 0, 0]]);
        Assert.InRange(dwarfed.MeanShare, 0.999, 1);

        static IsotropicNull Null(double[][] drifts) =>
            IsotropicNull.Compute(Group(drifts).Fit(), [.. drifts.Select(x => Math.Sqrt(x.Sum(v => v * v)))]);
    }

    [Fact]
    public void The_null_of_one_trait_is_certain_and_bad_norms_are_refused()
    {
        var single = new DriftAxisBuilder(["a"]);
        foreach (double x in new[] { 1, 2, 3.0 }) single.Add([x]);
        Assert.Equal(new IsotropicNull(10, 1, 1, 1), IsotropicNull.Compute(single.Fit(), [1, 2, 3], draws: 10));
        DriftAxis axis = Group([1, 2, 3], [2, 1, -1], [0.5, 0, 1]).Fit();
        Assert.Throws<ArgumentException>(() => IsotropicNull.Compute(axis, [1, 2]));
        Assert.Throws<ArgumentException>(() => IsotropicNull.Compute(axis, [1, 2, double.NaN]));
        Assert.Throws<ArgumentException>(() => IsotropicNull.Compute(axis, [1, 2, -1]));
        Assert.Contains("Fewer than two", Assert.Throws<EmScanException>(() => IsotropicNull.Compute(axis, [0, 2, 0])).Message);
    }

    private static DriftAxisBuilder Group(params double[][] drifts)
    {
        var builder = new DriftAxisBuilder(Traits);
        foreach (double[] drift in drifts) builder.Add(drift);
        return builder;
    }
}
