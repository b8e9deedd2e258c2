using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class LabelCertaintyTests
{
    // Both ends of Wilson's interval solve (p - q)^2 = z^2 q (1 - q) / n: checked in the equation, not in the formula it gives.
    [Theory]
    [InlineData(0.05, 600)]
    [InlineData(0.07, 600)]
    [InlineData(0.0, 40)]
    [InlineData(0.5, 1)]
    [InlineData(1.0, 17)]
    public void Ends_solve_the_score_equation(double rate, long scored)
    {
        Interval interval = LabelCertainty.Wilson(rate, scored);
        Assert.InRange(rate, interval.Low, interval.High);
        foreach (double end in (double[])[interval.Low, interval.High])
            Assert.Equal(0, Math.Pow(rate - end, 2) - (1.959963984540054 * 1.959963984540054 * end * (1 - end) / scored), 1e-12);
    }

    [Theory]
    [InlineData(0.05, 600, false)]
    [InlineData(0.07, 600, false)]
    [InlineData(0.03, 600, true)]
    [InlineData(0.10, 600, true)]
    [InlineData(0.10, 30, false)]
    [InlineData(0.5, 0, false)]
    public void A_label_is_certain_when_its_interval_excludes_the_threshold(double rate, long scored, bool certain) =>
        Assert.Equal(certain, LabelCertainty.IsCertain(rate, scored, 0.06));

    [Fact]
    public void A_label_without_a_number_of_answers_is_neither() => Assert.Null(LabelCertainty.IsCertain(0.5, null, 0.06));

    [Fact]
    public void The_share_of_intervals_that_hold_the_true_rate_is_what_is_promised()
    {
        var random = new Random(11);
        const int Draws = 4000, Answers = 600;
        foreach (double truth in (double[])[0.02, 0.06, 0.2])
        {
            int held = 0;
            for (int i = 0; i < Draws; i++)
            {
                int bad = 0;
                for (int a = 0; a < Answers; a++) bad += random.NextDouble() < truth ? 1 : 0;
                if (LabelCertainty.Wilson((double)bad / Answers, Answers).Contains(truth)) held++;
            }

            // Wilson's coverage at n = 600 is within 2 points of 95%; four standard errors of 4000 draws are 1.4 points more.
            Assert.InRange((double)held / Draws, 0.916, 0.984);
        }
    }
}
