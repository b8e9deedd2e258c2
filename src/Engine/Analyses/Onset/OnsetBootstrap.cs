using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Onset;

/// <summary>The runs that a series is the mean of, prompt by prompt, to be drawn again.</summary>
/// <param name="steps">(n).</param>
/// <param name="drifts">Of each run and step the drift, (K), where there are no prompts.</param>
/// <param name="prompts">Of each run and step the drift of every prompt, (P, K); null where only means are on record.</param>
/// <param name="rates">EM rates of each run at the same steps of labels; null without labels.</param>
/// <param name="original">The series as it is.</param>
internal sealed class OnsetBootstrap(double[] steps, double[][][] drifts, double[][][]? prompts, RateSeries[]? rates, OnsetReading original)
{
    /// <summary>95% percentile intervals of quantities over prompts alone: how much of it is the choice of prompts.</summary>
    internal Dictionary<string, (double Low, double High)?> OverPrompts(int draws, int seed, double? level) => Draw(draws, seed, runs: false, level);

    /// <summary>The same over runs, and over prompts within each draw of runs where there are prompts. Efron and Tibshirani 1993, section 8.</summary>
    internal Dictionary<string, (double Low, double High)?> OverRuns(int draws, int seed, double? level) => Draw(draws, seed, runs: true, level);

    private Dictionary<string, (double Low, double High)?> Draw(int draws, int seed, bool runs, double? level)
    {
        (string Key, Func<OnsetReading, double?> Of)[] quantities =
            [.. OnsetReading.Quantities, .. runs ? OnsetReading.Leads : [], .. level is { } l ? [("above_benign_at", r => PiecewiseLinear.FirstReach(r.Steps, r.Values, l))] : ((string, Func<OnsetReading, double?>)[])[]];
        var random = new Random(seed);
        int count = drifts.Length, traits = drifts[0][0].Length, some = prompts == null ? 0 : prompts[0][0].Length / traits;
        var drawn = new double?[quantities.Length][];
        for (int q = 0; q < drawn.Length; q++) drawn[q] = new double?[draws];
        var weights = new double[some];
        var mean = new double[traits];
        for (int draw = 0; draw < draws; draw++)
        {
            int[] taken = [.. Enumerable.Range(0, count).Select(r => runs ? random.Next(count) : r)];
            if (some > 0)
            {
                Array.Clear(weights);
                for (int p = 0; p < some; p++) weights[random.Next(some)] += 1.0 / some;
            }

            var values = new double[steps.Length];
            for (int s = 0; s < values.Length; s++)
            {
                foreach (int run in taken) values[s] += Magnitude(run, s) / count;
            }

            RateSeries? rate = rates == null ? null : runs ? Mean([.. taken.Select(r => rates[r])]) : original.Rates;
            OnsetReading reading = OnsetReading.Of(steps, values, runs ? rate : null, original.Threshold, original);
            for (int q = 0; q < quantities.Length; q++) drawn[q][draw] = quantities[q].Of(reading);
        }

        return quantities.Zip(drawn).ToDictionary(pair => pair.First.Key, pair => Interval(pair.Second));

        double Magnitude(int run, int step)
        {
            if (some == 0) return TensorPrimitives.Norm<double>(drifts[run][step]);
            Array.Clear(mean);
            for (int p = 0; p < some; p++)
            {
                if (weights[p] > 0) TensorPrimitives.MultiplyAdd(prompts![run][step].AsSpan(p * traits, traits), weights[p], mean, mean);
            }

            return TensorPrimitives.Norm<double>(mean);
        }
    }

    /// <summary>The mean rates of runs at the steps that all of them have; null where they have none in common.</summary>
    internal static RateSeries? Mean(IReadOnlyList<RateSeries> rates)
    {
        double[] common = [.. rates.Select(r => (IEnumerable<double>)r.Steps).Aggregate((a, b) => a.Intersect(b))];
        return common.Length == 0 ? null : new RateSeries(common, [.. common.Select(step => rates.Average(r => r.Rates[Array.IndexOf(r.Steps, step)]))]);
    }

    /// <summary>Null where more than half of the draws do not have the quantity.</summary>
    private static (double Low, double High)? Interval(double?[] draws)
    {
        double[] known = [.. draws.Where(d => d.HasValue).Select(d => d!.Value).Order()];
        return 2 * known.Length <= draws.Length ? null : (Quantile.OfSorted(known, 0.025), Quantile.OfSorted(known, 0.975));
    }
}
