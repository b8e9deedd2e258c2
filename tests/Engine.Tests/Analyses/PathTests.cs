using EmScan.Engine.Analyses.Paths;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Tests.Analyses;

public sealed class PathTests
{
    [Fact]
    public void A_line_is_a_line_and_a_step_is_not()
    {
        double[] t = [0, 0.25, 0.5, 0.75, 1];
        PathShape line = PathShape.Of(t, [0, -0.5, -1, -1.5, -2]), step = PathShape.Of(t, [0, 0, 0, 2, 2]);
        Assert.Equal((-1, 4, 4), (line.Spearman, line.MonotoneSteps, line.Steps));
        Assert.Equal(1, line.LinearityR2, 1e-12);
        Assert.Equal(0, line.ChordDeviation, 1e-12);
        Assert.Equal(0.5, step.ChordDeviation, 1e-12); // 2 at 0.75, where the chord is 1.5; 0 at 0.5, where it is 1
        Assert.Equal(1, step.MonotoneSteps);
        Assert.Equal(0.75, step.LinearityR2, 1e-12); // slope 2.4: 1 - 1.2 / 4.8
    }

    [Fact]
    public void A_level_is_reached_between_points()
    {
        double[] t = [0, 0.5, 1, 2];
        Assert.Equal(0.75, PiecewiseLinear.FirstReach(t, [0, 1, 3, 1], 2));
        Assert.Equal(0, PiecewiseLinear.FirstReach(t, [1, 1, 3, 1], 1));
        Assert.Null(PiecewiseLinear.FirstReach(t, [0, 1, 3, 1], 4));
    }

    [Fact]
    public void A_ridge_is_a_barrier_on_the_line_and_the_pass_goes_around_it()
    {
        // Weights of A and B 0, 1/2, 1; the line goes over the middle (4), the pass over the corner where both are whole (2).
        double[][] grid = [[9, 9, 1], [9, 4, 2], [1.5, 2, 2]];
        LossBarrier barrier = LossBarrier.Of([0, 0.5, 1], [1.5, 4, 1], [0, 0.5, 1], grid);
        Assert.Equal(4 - 1.25, barrier.AboveChord, 1e-12);
        Assert.Equal(0.5, barrier.AtU);
        Assert.Equal(4 - 1.25, barrier.AboveMean, 1e-12);
        Assert.Equal(4 - 1.5, barrier.AboveHigher, 1e-12);
        Assert.Equal(2, barrier.PassHeight);
        Assert.Equal(0.5, barrier.PassAboveHigher, 1e-12);
        Assert.Equal([(1, 0), (1, 0.5), (0.5, 1), (0, 1)], barrier.Pass);
    }

    [Fact]
    public void Below_the_chord_there_is_no_barrier()
    {
        double[][] grid = [[2, 2, 2], [2, 0.5, 2], [1, 2, 2]];
        LossBarrier barrier = LossBarrier.Of([0, 0.5, 1], [1, 0.5, 2], [0, 0.5, 1], grid);
        Assert.Equal((0, 0), (barrier.AboveChord, barrier.AtU));
        Assert.Equal(-1, barrier.SignedInner, 1e-12);
        Assert.Equal([(1, 0), (0.5, 0.5), (0, 1)], barrier.Pass);
    }
}
