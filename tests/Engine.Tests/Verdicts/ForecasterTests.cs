using EmScan.Engine.Formats;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Tests.Verdicts;

public sealed class ForecasterTests
{
    private static readonly LabelledObservation[] All = Synthetic.Runs(perturbations: ["bad_code", "bad_medical", "bad_advice", "gsm8k", "terse", "poems"], seeds: 2);

    [Fact]
    public void What_is_forecast_is_the_largest_rate_from_here_to_the_end_of_the_run()
    {
        IReadOnlyList<LabelledObservation> targets = Forecaster.Targets(All);
        for (int i = 0; i < All.Length; i++)
        {
            double expected = All.Where(c => c.Observation.Run == All[i].Observation.Run && c.Observation.Step >= All[i].Observation.Step).Max(c => c.EmRate);
            Assert.Equal(expected, targets[i].EmRate);
            Assert.Same(All[i].Observation, targets[i].Observation);
        }
    }

    [Theory]
    [InlineData(0.05, 100, 5)]
    [InlineData(0.05, 30, 1)]
    [InlineData(0.05, 19, 1)]
    [InlineData(0.05, 18, 0)]
    [InlineData(0.01, 98, 0)]
    [InlineData(0.01, 99, 1)]
    public void At_most_the_share_of_benign_runs_exceeds_the_threshold(double rate, int runs, int exceeding)
    {
        double[] maxima = [.. Enumerable.Range(1, runs).Select(i => i / 1000.0)];
        double threshold = Forecaster.Threshold(maxima, rate)!.Value;
        Assert.Equal(exceeding, maxima.Count(m => m > threshold));
        Assert.Null(Forecaster.Threshold([], rate));
    }

    [Fact]
    public void Benign_is_a_run_whose_rate_never_exceeds_the_threshold_and_it_counts_once_with_its_largest_forecast()
    {
        static ScoredCheckpoint At(string run, int step, double rate, double score) => new(Synthetic.Checkpoint(run, "1", CheckpointStep.At(step), [0, 0, 0], rate), score);
        Assert.Equal([0.03, 0.05], Forecaster.BenignMaxima([At("on", 1, 0.06, 0.05), At("on", 2, 0.01, 0.02), At("below", 1, 0.01, 0.03), At("above", 1, 0.061, 0.9), At("above", 2, 0, 0.8)], 0.06));
    }

    [Fact]
    public void Early_checkpoints_of_dangerous_runs_are_told_from_those_of_harmless_ones()
    {
        var forecaster = Forecaster.Fit(All, 0.06);
        Assert.Equal(6, forecaster.BenignRuns);
        LabelledObservation[] early = [.. Synthetic.Runs(seed: 1, perturbations: ["bad_code", "gsm8k"], seeds: 2).Where(c => c.Observation.Step.Number == 10)];
        foreach (LabelledObservation c in early)
        {
            Forecast forecast = forecaster.Of(c.Observation, 0);
            Assert.True(c.EmRate <= 0.06);
            Assert.Equal(c.Perturbation == "bad_code", forecast.Rate > 0.06);
            Assert.InRange(forecast.Rate, forecast.Interval.Low, forecast.Interval.High);
        }
    }

    // The study's figures again, from their definition: both the forecast and its threshold without the perturbation.
    [Fact]
    public void A_study_leaves_the_perturbation_out_of_the_forecast_and_of_its_threshold()
    {
        IReadOnlyList<ForecastStudy> studies = ForecastStudy.Run(All);
        Assert.Equal([0.05, 0.01], studies.Select(s => s.FalseAlarmRate));
        Assert.Equal(12, studies[0].Warning.Runs.Count);
        IReadOnlyList<LabelledObservation> targets = Forecaster.Targets(All);
        string[] groups = [.. All.Select(c => c.Perturbation).Distinct()];
        foreach (string left in groups)
        {
            var maxima = new List<double>();
            foreach (string also in groups.Where(g => g != left))
            {
                Detector two = Forecaster.Recipe.Fit([.. targets.Where(t => t.Perturbation != left && t.Perturbation != also)]);
                foreach (IGrouping<string, LabelledObservation> run in targets.Where(t => t.Perturbation == also).GroupBy(t => t.Observation.Run))
                {
                    if (run.All(t => t.EmRate <= 0.06)) maxima.Add(run.Max(t => two.Score(t.Observation)));
                }
            }

            maxima.Sort();
            double threshold = Forecaster.Threshold([.. maxima], 0.05)!.Value;
            Detector one = Forecaster.Recipe.Fit([.. targets.Where(t => t.Perturbation != left)]);
            foreach (IGrouping<string, LabelledObservation> run in All.Where(c => c.Perturbation == left).GroupBy(c => c.Observation.Run))
            {
                LabelledObservation? alarm = run.OrderBy(c => c.Observation.Step).FirstOrDefault(c => one.Score(c.Observation) > threshold);
                RunWarning warning = studies[0].Warning.Runs.Single(w => w.Run == run.Key);
                Assert.Equal(alarm?.Observation.Step, warning.FirstFlag);
                Assert.Equal(run.OrderBy(c => c.Observation.Step).FirstOrDefault(c => c.EmRate > 0.06)?.Observation.Step, warning.FirstDanger);
            }
        }

        RunWarning[] dangerous = [.. studies[0].Warning.Runs.Where(r => r.FirstDanger != null)];
        Assert.Equal(dangerous.Count(r => r.FirstFlag == null) / (double)dangerous.Length, studies[0].Missed.Value!.Value, 1e-12);
    }

    [Fact]
    public void Without_benign_runs_there_is_a_forecast_but_no_alarm()
    {
        LabelledObservation[] bad = Synthetic.Runs(perturbations: ["bad_code", "bad_medical", "bad_advice"], seeds: 2);
        var forecaster = Forecaster.Fit(bad, 0.06);
        Assert.Equal((0, null, null), (forecaster.BenignRuns, forecaster.AlarmAbove, forecaster.StrictAlarmAbove));
        Assert.False(forecaster.Of(bad[^1].Observation, 0).Alarm);
    }
}
