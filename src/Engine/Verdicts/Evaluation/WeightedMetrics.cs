namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>
/// All metrics of one detector on runs that occur a given number of times each. What does not depend on the weights (sums per run, the two
/// sortings) is computed once, so that a draw of the bootstrap costs a pass over the checkpoints and no sorting.
/// </summary>
/// <remarks>Counts and ranks are integers, so FNR, FPR, accuracy, precision and AUROC are exact up to one division. Not thread
/// safe.</remarks>
internal sealed class WeightedMetrics
{
    /// <summary>Number of metrics: the length of every span of figures, indexed by <see cref="Metric"/>.</summary>
    public static readonly int Count = Enum.GetValues<Metric>().Length;

    /// <summary>A sum of squares around a draw's mean below this share of that around the common mean is rounding.</summary>
    private const double RoundingOfSquares = 1e-12;

    private readonly int[] _runOf; // (n), run of each checkpoint
    private readonly bool[] _dangerous; // (n)
    private readonly RunSums[] _sums; // (R)
    private readonly int[][] _byPrediction; // groups of checkpoints of equal prediction, ascending
    private readonly int[][] _byTruth; // the same for the true rate
    private readonly double[] _predictionRanks; // (n), scratch
    private readonly double[] _truthRanks; // (n), scratch

    /// <param name="set">The checkpoints.</param>
    /// <param name="dangerThreshold">Dangerous above this true rate.</param>
    /// <param name="flagThreshold">Flagged above this predicted rate.</param>
    public WeightedMetrics(EvaluationSet set, double dangerThreshold, double flagThreshold)
    {
        int n = set.Checkpoints.Count;
        _runOf = new int[n];
        _dangerous = [.. set.Checkpoints.Select(c => c.TrueRate > dangerThreshold)];
        _sums = new RunSums[set.RunCount];
        _predictionRanks = new double[n];
        _truthRanks = new double[n];

        // Sums of squares around the common mean lose no digits to it.
        double meanTruth = set.Checkpoints.Average(c => c.TrueRate);
        for (int run = 0; run < set.RunCount; run++)
        {
            (int start, int length) = set.Run(run).GetOffsetAndLength(n);
            for (int i = start; i < start + length; i++)
            {
                _runOf[i] = run;
                EvaluatedCheckpoint checkpoint = set.Checkpoints[i];
                _sums[run].Add(checkpoint, _dangerous[i], checkpoint.PredictedRate > flagThreshold, checkpoint.TrueRate - meanTruth);
            }
        }

        _byPrediction = Groups(set.Checkpoints, c => c.PredictedRate);
        _byTruth = Groups(set.Checkpoints, c => c.TrueRate);
    }

    /// <summary>Counts on all runs, each once.</summary>
    public Confusion Confusion
    {
        get
        {
            RunSums all = Total([.. Enumerable.Repeat(1, _sums.Length)]);
            return new Confusion((int)all.TruePositives, (int)all.FalseNegatives, (int)all.FalsePositives, (int)all.TrueNegatives);
        }
    }

    /// <summary>Computes every metric.</summary>
    /// <param name="weights">How often each run occurs, (R).</param>
    /// <param name="figures">Receives <see cref="Count"/> values, NaN where a metric is undefined.</param>
    public void Compute(ReadOnlySpan<int> weights, Span<double> figures)
    {
        RunSums sums = Total(weights);
        double count = sums.Count;
        long positives = sums.TruePositives + sums.FalseNegatives, negatives = sums.FalsePositives + sums.TrueNegatives;
        (double spearman, double truthSpread) = Spearman(weights, sums.Count);
        double squaresAroundMean = sums.SquaredTruth - (sums.Truth * sums.Truth / count);

        // 0 / 0 is NaN, which is what an undefined fraction is here.
        figures[(int)Metric.FalseNegativeRate] = sums.FalseNegatives / (double)positives;
        figures[(int)Metric.FalsePositiveRate] = sums.FalsePositives / (double)negatives;
        figures[(int)Metric.Accuracy] = (sums.TruePositives + sums.TrueNegatives) / count;
        figures[(int)Metric.Precision] = sums.TruePositives / (double)(sums.TruePositives + sums.FalsePositives);
        figures[(int)Metric.Auroc] = TwiceOrderedPairs(weights) / (2.0 * positives * negatives);
        figures[(int)Metric.Spearman] = spearman;
        figures[(int)Metric.MeanAbsoluteError] = sums.AbsoluteError / count;
        figures[(int)Metric.RootMeanSquareError] = Math.Sqrt(sums.SquaredError / count);
        figures[(int)Metric.RSquared] = truthSpread == 0 || squaresAroundMean <= RoundingOfSquares * sums.SquaredTruth
            ? double.NaN
            : 1 - (sums.SquaredError / squaresAroundMean);
    }

    /// <summary>Why a metric is undefined on all runs; null for one that always is defined.</summary>
    public static string? WhyUndefined(Metric metric, Confusion counts) => metric switch
    {
        Metric.FalseNegativeRate => "no checkpoint is dangerous",
        Metric.FalsePositiveRate => "every checkpoint is dangerous",
        Metric.Precision => "no checkpoint is flagged",
        Metric.Auroc => counts.Dangerous == 0 ? "no checkpoint is dangerous" : "every checkpoint is dangerous",
        Metric.Spearman => "the true or the predicted rates are all equal",
        Metric.RSquared => "the true rates are all equal",
        _ => null,
    };

    private RunSums Total(ReadOnlySpan<int> weights)
    {
        var total = default(RunSums);
        for (int run = 0; run < _sums.Length; run++) total.Add(_sums[run], weights[run]);
        return total;
    }

    /// <summary>Twice the number of (dangerous, harmless) pairs that the prediction orders rightly, pairs of equal predictions counted
    /// half.</summary>
    private long TwiceOrderedPairs(ReadOnlySpan<int> weights)
    {
        long sum = 0, harmlessBelow = 0;
        foreach (int[] group in _byPrediction)
        {
            long dangerous = 0, harmless = 0;
            foreach (int i in group)
            {
                if (_dangerous[i]) dangerous += weights[_runOf[i]];
                else harmless += weights[_runOf[i]];
            }

            sum += dangerous * ((2 * harmlessBelow) + harmless);
            harmlessBelow += harmless;
        }

        return sum;
    }

    /// <summary>Spearman's correlation (NaN when either side is constant), and the spread of the true rates' ranks (0 when they
    /// are).</summary>
    private (double Correlation, double TruthSpread) Spearman(ReadOnlySpan<int> weights, long count)
    {
        Rank(_byPrediction, weights, count, _predictionRanks);
        Rank(_byTruth, weights, count, _truthRanks);
        double prediction = 0, truth = 0, both = 0;
        for (int i = 0; i < _runOf.Length; i++)
        {
            double weight = weights[_runOf[i]], p = _predictionRanks[i], t = _truthRanks[i];
            prediction += weight * p * p;
            truth += weight * t * t;
            both += weight * p * t;
        }

        return (Math.Clamp(both / Math.Sqrt(prediction) / Math.Sqrt(truth), -1, 1), truth);
    }

    /// <summary>Mean ranks less the mean of all ranks: multiples of one half, zero everywhere exactly when all values are equal.</summary>
    private void Rank(int[][] groups, ReadOnlySpan<int> weights, long count, double[] ranks)
    {
        long below = 0;
        foreach (int[] group in groups)
        {
            long size = 0;
            foreach (int i in group) size += weights[_runOf[i]];
            double rank = ((2 * below) + size - count) / 2.0;
            foreach (int i in group) ranks[i] = rank;
            below += size;
        }
    }

    private static int[][] Groups(IReadOnlyList<EvaluatedCheckpoint> checkpoints, Func<EvaluatedCheckpoint, double> value) =>
        [.. Enumerable.Range(0, checkpoints.Count).GroupBy(i => value(checkpoints[i])).OrderBy(g => g.Key).Select(g => g.ToArray())];

    /// <summary>What the metrics need of a run, or of runs with multiplicities.</summary>
    private struct RunSums
    {
        public long TruePositives, FalseNegatives, FalsePositives, TrueNegatives;
        public double AbsoluteError, SquaredError, Truth, SquaredTruth;

        public readonly long Count => TruePositives + FalseNegatives + FalsePositives + TrueNegatives;

        public void Add(EvaluatedCheckpoint checkpoint, bool dangerous, bool flagged, double centredTruth)
        {
            double error = checkpoint.PredictedRate - checkpoint.TrueRate;
            AbsoluteError += Math.Abs(error);
            SquaredError += error * error;
            Truth += centredTruth;
            SquaredTruth += centredTruth * centredTruth;
            if (dangerous && flagged) TruePositives++;
            else if (dangerous) FalseNegatives++;
            else if (flagged) FalsePositives++;
            else TrueNegatives++;
        }

        public void Add(in RunSums other, int weight)
        {
            TruePositives += weight * other.TruePositives;
            FalseNegatives += weight * other.FalseNegatives;
            FalsePositives += weight * other.FalsePositives;
            TrueNegatives += weight * other.TrueNegatives;
            AbsoluteError += weight * other.AbsoluteError;
            SquaredError += weight * other.SquaredError;
            Truth += weight * other.Truth;
            SquaredTruth += weight * other.SquaredTruth;
        }
    }
}
