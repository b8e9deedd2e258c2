namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>Whether predicted intervals hold what they promise: a 95% interval should hold 95% of the true rates, and be narrow.</summary>
/// <param name="Checkpoints">Checkpoints with a predicted interval.</param>
/// <param name="WithoutInterval">Checkpoints without one, which are not counted.</param>
/// <param name="Coverage">Share of true rates inside their interval, the ends included, a fraction.</param>
/// <param name="MeanWidth">Mean width of the intervals, in units of the rate.</param>
internal sealed record IntervalCoverage(int Checkpoints, int WithoutInterval, Estimate Coverage, Estimate MeanWidth)
{
    /// <summary>Counts true rates inside the predicted intervals.</summary>
    /// <param name="set">The checkpoints.</param>
    /// <param name="bootstrap">How the intervals of the two figures are drawn; <see cref="BootstrapOptions.Default"/> when null.</param>
    public static IntervalCoverage Compute(EvaluationSet set, BootstrapOptions? bootstrap = null)
    {
        ArgumentNullException.ThrowIfNull(set);
        BootstrapOptions options = bootstrap ?? BootstrapOptions.Default;
        int[] count = new int[set.RunCount], inside = new int[set.RunCount];
        double[] width = new double[set.RunCount];
        for (int run = 0; run < set.RunCount; run++)
        {
            foreach (EvaluatedCheckpoint checkpoint in set.CheckpointsOf(run))
            {
                if (checkpoint.PredictedInterval is not { } interval) continue;
                count[run]++;
                width[run] += interval.Width;
                if (interval.Contains(checkpoint.TrueRate)) inside[run]++;
            }
        }

        var all = new double[2];
        Figures([.. Enumerable.Repeat(1, set.RunCount)], all);
        double[][] draws = RunBootstrap.Draw(set.RunCount, all.Length, options, Figures);
        const string Why = "no checkpoint has a predicted interval";
        Estimate[] estimates = [.. all.Zip(draws, (value, drawn) => Estimate.From(value, Why, drawn, options.Level))];
        int counted = count.Sum();
        return new IntervalCoverage(counted, set.Checkpoints.Count - counted, estimates[0], estimates[1]);

        void Figures(ReadOnlySpan<int> weights, Span<double> figures)
        {
            double total = 0, held = 0, sum = 0;
            for (int run = 0; run < weights.Length; run++)
            {
                total += weights[run] * count[run];
                held += weights[run] * inside[run];
                sum += weights[run] * width[run];
            }

            (figures[0], figures[1]) = (held / total, sum / total);
        }
    }
}
