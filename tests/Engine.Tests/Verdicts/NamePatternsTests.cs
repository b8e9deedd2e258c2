using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class NamePatternsTests
{
    private static readonly LabelledObservation[] All = Synthetic.Runs(seeds: 2, checkpoints: 1);

    [Theory]
    [InlineData("gsm8k", "gsm8k/seed_1 gsm8k/seed_2")]
    [InlineData("bad_*", "bad_code/seed_1 bad_code/seed_2 bad_medical/seed_1 bad_medical/seed_2")]
    [InlineData("*/seed_2", "bad_code/seed_2 bad_medical/seed_2 gsm8k/seed_2 terse/seed_2")]
    [InlineData("terse, gsm8k/seed_1 ,", "gsm8k/seed_1 terse/seed_1 terse/seed_2")]
    [InlineData("?erse", "terse/seed_1 terse/seed_2")]
    public void Patterns_fit_perturbations_or_runs(string pattern, string runs)
    {
        var patterns = new NamePatterns([pattern]);
        Assert.Equal(runs.Split(' '), patterns.Select(All).Select(c => c.Observation.Run));
        Assert.Equal(All.Select(c => c.Observation.Run).Except(runs.Split(' ')), patterns.Without(All).Select(c => c.Observation.Run));
        Assert.False(patterns.IsEmpty);
    }

    [Fact]
    public void A_pattern_that_fits_nothing_is_named_even_beside_one_that_fits()
    {
        const string Message = "No labelled checkpoint fits 'Terse'; the perturbations are bad_code, bad_medical, gsm8k, terse.";
        var patterns = new NamePatterns(["bad_*", "gsm8k,Terse"]);
        Assert.Equal("bad_*, gsm8k, Terse", patterns.ToString());
        Assert.Equal(Message, Assert.Throws<EmScanException>(() => patterns.Select(All)).Message);
        Assert.Equal(Message, Assert.Throws<EmScanException>(() => patterns.Without(All)).Message);
    }

    [Fact]
    public void No_pattern_fits_nothing()
    {
        var none = new NamePatterns([" , "]);
        Assert.True(none.IsEmpty);
        Assert.Empty(none.Select(All));
        Assert.Equal(All, none.Without(All));
    }
}
