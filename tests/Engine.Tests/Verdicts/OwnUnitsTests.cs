using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Verdicts;

/// <summary>Checkpoints of other bases in a base's own units, against the formula.</summary>
public sealed class OwnUnitsTests
{
    [Theory]
    [InlineData(2)]
    [InlineData(40)]
    public void Each_feature_is_scaled_by_the_ratio_of_root_mean_squares_as_far_as_there_are_checkpoints_to_tell_it(int count)
    {
        LabelledObservation[] own = Drawn("own", count, 0.5, seed: 1), first = Drawn("first", 30, 2, seed: 2), second = Drawn("second", 20, 0.1, seed: 3);
        LabelledObservation[] scaled = [.. OwnUnits.Of([.. first, .. second], own)];
        foreach (LabelledObservation[] other in (LabelledObservation[][])[first, second])
        {
            LabelledObservation[] result = [.. scaled.Where(c => c.Observation.Model == other[0].Observation.Model)];
            Assert.Equal(other.Length, result.Length);
            for (int f = 0; f <= Synthetic.Traits.Length; f++)
            {
                double factor = Math.Pow(Math.Sqrt(own.Sum(c => Math.Pow(Value(c, f), 2)) / own.Length / (other.Sum(c => Math.Pow(Value(c, f), 2)) / other.Length)), count / (count + 8.0));
                for (int i = 0; i < other.Length; i++) Assert.Equal(factor * Value(other[i], f), Value(result[i], f), 1e-12 * Math.Abs(Value(result[i], f)));
            }

            Assert.Equal(other.Select(c => (c.EmRate, c.Observation.Run, c.Observation.Step)), result.Select(c => (c.EmRate, c.Observation.Run, c.Observation.Step)));
        }
    }

    [Fact]
    public void A_feature_that_never_moves_says_nothing_of_units()
    {
        LabelledObservation[] own = [Synthetic.Checkpoint("a", "1", CheckpointStep.At(1), [0, 0.1, 0.2], 0.1, change: [0.3])];
        LabelledObservation[] other = [Synthetic.Checkpoint("a", "1", CheckpointStep.At(1), [0.4, 0, 0.2], 0.1, "other", [0.3])];
        LabelledObservation scaled = Assert.Single(OwnUnits.Of(other, own));
        Assert.Equal([0.4, 0, 0.2, 0.3], Enumerable.Range(0, 4).Select(f => Value(scaled, f)));
    }

    private static LabelledObservation[] Drawn(string model, int count, double size, int seed)
    {
        var random = new Random(seed);
        double Next() => size * ((2 * random.NextDouble()) - 1);
        return [.. Enumerable.Range(1, count).Select(i => Synthetic.Checkpoint("p", $"{i}", CheckpointStep.At(i), [Next(), 3 * Next(), Next()], 0.1, model, [Next(), Next()]))];
    }

    private static double Value(LabelledObservation c, int feature) =>
        feature < c.Observation.Traits.Count ? c.Observation.Displacement.PerTrait[feature] : c.Observation.Displacement.MeanActivationChange;
}
