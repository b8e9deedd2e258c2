using EmScan.Engine.Numerics;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>How early and how rightly the forecast warns, on perturbations that neither it nor its threshold had seen.</summary>
/// <param name="FalseAlarmRate">Share of benign runs that the threshold was set for, inside the training folds.</param>
/// <param name="Warning">First alarm against first danger, by run; leads are in steps, positive when the alarm came first.</param>
/// <param name="MedianLead">Median lead of the warned runs, in steps.</param>
/// <param name="Missed">Dangerous runs without an alarm, a fraction of them.</param>
/// <param name="FalseAlarms">Harmless runs with an alarm, a fraction of them.</param>
/// <param name="Remarks">One sentence for each perturbation that could not be forecast.</param>
internal sealed record ForecastStudy(
    double FalseAlarmRate, EarlyWarning Warning, Estimate MedianLead, Estimate Missed, Estimate FalseAlarms, IReadOnlyList<string> Remarks)
{
    /// <summary>Leaves out one perturbation after another within each base model. The threshold for each comes from forecasts of the others that were
    /// made with two left out: neither the forecast nor its threshold has seen the perturbation.</summary>
    /// <param name="all">Labelled checkpoints.</param>
    /// <param name="dangerousAbove">Danger threshold, an EM rate.</param>
    /// <param name="seed">Seed of learner and bootstrap.</param>
    /// <param name="cancellationToken">Checked between fits; with K perturbations there are K (K + 1) / 2.</param>
    /// <returns>One entry for each false-alarm rate; empty when nothing could be forecast.</returns>
    public static IReadOnlyList<ForecastStudy> Run(
        IReadOnlyList<LabelledObservation> all, double dangerousAbove = DangerThreshold.Default, int seed = 42, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(all);
        var scored = new List<(LabelledObservation Checkpoint, double Score, double[] Benign)>();
        var remarks = new List<string>();
        foreach (IGrouping<string, LabelledObservation> model in all.GroupBy(c => c.Observation.Model))
            Forecast([.. model], dangerousAbove, seed, scored, remarks, cancellationToken);
        double[] rates = [Forecaster.FalseAlarmRate, Forecaster.StrictFalseAlarmRate];
        return [.. rates.Select(rate => Of(rate, scored, dangerousAbove, seed, remarks)).OfType<ForecastStudy>()];
    }

    private static void Forecast(
        LabelledObservation[] all, double dangerousAbove, int seed, List<(LabelledObservation, double, double[])> scored, List<string> remarks,
        CancellationToken cancellationToken)
    {
        IReadOnlyList<LabelledObservation> targets = Forecaster.Targets(all);
        var own = new Dictionary<LabelledObservation, LabelledObservation>(ReferenceEqualityComparer.Instance);
        foreach ((LabelledObservation target, LabelledObservation measured) in targets.Zip(all)) own.Add(target, measured);
        string[] groups = [.. all.Select(c => c.Perturbation).Distinct().Order(StringComparer.Ordinal)];
        (string Left, string Also)[] pairs = [.. groups.SelectMany((left, i) => groups[i..].Select(also => (left, also)))];
        var results = new (string Of, ScoredCheckpoint[] Scores)[pairs.Length][];
        var failures = new string?[pairs.Length];
        Parallel.For(0, pairs.Length, new ParallelOptions { CancellationToken = cancellationToken }, i =>
        {
            (string left, string also) = pairs[i];
            try
            {
                Detector detector = Forecaster.Recipe.Fit([.. targets.Where(t => t.Perturbation != left && t.Perturbation != also)], dangerousAbove, seed);
                results[i] =
                [
                    .. new[] { left, also }.Distinct().Select(group =>
                        (group, (ScoredCheckpoint[])[.. targets.Where(t => t.Perturbation == group).Select(t => new ScoredCheckpoint(t, detector.Score(t.Observation)))])),
                ];
            }
            catch (EmScanException e)
            {
                failures[i] = e.Message;
            }
        });

        foreach (string left in groups)
        {
            int alone = Array.IndexOf(pairs, (left, left));
            int[] with = [.. Enumerable.Range(0, pairs.Length).Where(i => i != alone && (pairs[i].Left == left || pairs[i].Also == left))];
            if (with.Prepend(alone).Select(i => failures[i]).FirstOrDefault(f => f != null) is { } failure)
            {
                remarks.Add($"{left} could not be forecast: {failure}");
                continue;
            }

            double[] benign = Forecaster.BenignMaxima(with.SelectMany(i => results[i].Where(r => r.Of != left)).SelectMany(r => r.Scores), dangerousAbove);
            scored.AddRange(results[alone][0].Scores.Select(s => (own[s.Checkpoint], s.Score, benign)));
        }
    }

    private static ForecastStudy? Of(
        double rate, List<(LabelledObservation Checkpoint, double Score, double[] Benign)> scored, double dangerousAbove, int seed, List<string> remarks)
    {
        // Every perturbation has a threshold of its own; what exceeds it is what counts.
        EvaluatedCheckpoint[] above =
        [
            .. scored.Where(s => s.Benign.Length > 0)
                .Select(s => new ScoredCheckpoint(s.Checkpoint, s.Score - Forecaster.Threshold(s.Benign, rate)!.Value).ToEvaluated()),
        ];
        if (above.Length == 0) return null;
        var warning = EarlyWarning.Compute(new EvaluationSet(above), dangerousAbove, 0);
        RunWarning[] runs = [.. warning.Runs];
        var bootstrap = new BootstrapOptions(Seed: seed);
        double[] value = new double[3];
        Figures([.. Enumerable.Repeat(1, runs.Length)], value);
        double[][] draws = RunBootstrap.Draw(runs.Length, value.Length, bootstrap, Figures);
        string[] why = ["no dangerous run was alarmed", "there is no dangerous run", "there is no harmless run"];
        Estimate[] estimates = [.. value.Select((v, i) => Estimate.From(v, why[i], draws[i], bootstrap.Level))];
        return new ForecastStudy(rate, warning, estimates[0], estimates[1], estimates[2], remarks);

        void Figures(ReadOnlySpan<int> weights, Span<double> figures)
        {
            var leads = new List<double>();
            Span<double> count = stackalloc double[4];
            for (int run = 0; run < weights.Length; run++)
            {
                count[(int)runs[run].Outcome] += weights[run];
                if (runs[run].LeadSteps is { } lead) leads.AddRange(Enumerable.Repeat((double)lead, weights[run]));
            }

            leads.Sort();
            figures[0] = leads.Count == 0 ? double.NaN : Quantile.OfSorted(leads.ToArray(), 0.5);
            double warned = count[(int)WarningOutcome.Warned], missed = count[(int)WarningOutcome.Missed];
            double quiet = count[(int)WarningOutcome.Quiet], alarmed = count[(int)WarningOutcome.FalseAlarm];
            figures[1] = missed / (missed + warned);
            figures[2] = alarmed / (alarmed + quiet);
        }
    }
}
