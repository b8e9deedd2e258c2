using System.Text.Json;
using EmScan.Engine.Analyses.Invariance;

namespace EmScan.Engine.Tests.Analyses;

public sealed class InvarianceTests
{
    private static readonly JsonElement Reference = RunReference.Root.GetProperty("invariance");

    [Theory]
    [InlineData("with_d", "rate")]
    [InlineData("with_d", "root")]
    [InlineData("without_d", "rate")]
    [InlineData("without_d", "root")]
    public void Slopes_errors_and_heterogeneity_are_those_of_numpy(string environments, string kind)
    {
        JsonElement expected = Reference.GetProperty(environments).GetProperty(kind);
        for (int k = 0; k < expected.GetArrayLength(); k++)
        {
            TraitSlopes found = TraitSlopes.Of(Environments(environments == "with_d" ? "abcd" : "abc", k, kind == "root"));
            Same(expected[k].Vector("slope"), [.. found.Environments.Select(e => e.Slope!.Value)]);
            Same(expected[k].Vector("se_checkpoints"), [.. found.Environments.Select(e => e.CheckpointError)]);
            Same(expected[k].Vector("se_jackknife"), [.. found.Environments.Select(e => e.JackknifeError!.Value)]);
            Same(expected[k].Vector("se"), [.. found.Environments.Select(e => e.StandardError)]);
            Same(
                [expected[k].Number("design_effect"), expected[k].Number("mean"), expected[k].Number("q"), expected[k].Number("i2")],
                [found.DesignEffect!.Value, found.Mean!.Value, found.Q!.Value, found.I2!.Value]);
            Assert.Equal(expected[k].Number("p"), found.P!.Value, 1e-9);
        }

        // Sums of a few dozen numbers near 1.
        static void Same(double[] expected, double[] found)
        {
            Assert.Equal(expected.Length, found.Length);
            for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], found[i], 1e-9 * (1 + Math.Abs(expected[i])));
        }
    }

    [Fact]
    public void The_trait_with_one_slope_is_stable_and_the_others_are_not()
    {
        Assert.True(TraitSlopes.Of(Environments("abc", 0, root: false)).Stable);
        Assert.False(TraitSlopes.Of(Environments("abc", 1, root: false)).Stable);

        // Where nothing is ever misaligned no slope is the others'.
        Assert.False(TraitSlopes.Of(Environments("abcd", 0, root: false)).Stable);
        Assert.True(TraitSlopes.Without(Environments("abcd", 0, root: false), "d").Stable);
    }

    [Fact]
    public void An_environment_without_a_slope_leaves_no_trait_stable()
    {
        SlopePoint[] flat = [.. Enumerable.Range(0, 6).Select(i => new SlopePoint($"r{i % 2}", 0.1, 0.01 * i, 1e-4))];
        TraitSlopes found = TraitSlopes.Of([.. Environments("abc", 0, root: false), ("flat", flat)]);
        Assert.Null(found.Environments[^1].Slope);
        Assert.False(found.Stable);
        Assert.Equal(2, found.Freedom);
    }

    [Fact]
    public void Without_a_second_run_errors_are_those_of_checkpoints()
    {
        TraitSlopes found = TraitSlopes.Of([.. Environments("abc", 0, root: false).Select(e => (e.Name, e.Points.Where(p => p.Run.EndsWith('0')).ToArray()))]);
        Assert.Null(found.DesignEffect);
        Assert.All(found.Environments, e => Assert.Equal(e.CheckpointError, e.StandardError));
    }

    private static (string Name, SlopePoint[] Points)[] Environments(string names, int trait, bool root) =>
    [
        .. names.Select(name => (name.ToString(), Reference.GetProperty("rows").EnumerateArray().Where(r => r.GetProperty("environment").GetString() == name.ToString()).Select(r =>
        {
            double rate = r.Number("rate"), n = r.Number("n"), shrunk = ((rate * n) + 2) / (n + 4);
            return new SlopePoint(r.GetProperty("run").GetString()!, r.Vector("x")[trait], root ? Math.Sqrt(rate) : rate, root ? 0.25 / n : shrunk * (1 - shrunk) / n);
        }).ToArray())),
    ];
}
