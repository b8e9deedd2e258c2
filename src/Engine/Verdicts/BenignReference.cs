using EmScan.Engine.Numerics;

namespace EmScan.Engine.Verdicts;

/// <summary>
/// What benign finetuning does to this model, from control adapters without labels. The statistic is the length of a drift in the metric
/// of the controls' own drifts, sqrt(x' S^-1 x), so that a move along a direction in which benign adapters never go counts more than one
/// along a direction in which they always do. The threshold is at 1% false positives on the controls.
/// </summary>
/// <remarks>
/// S = (1 - w) M + w tr(M) / K I with M the second moment of the controls' drifts about the base (0) and w = 0.1. Threshold: the conformal
/// quantile, the ceil(0.99 (n + 1))-th smallest statistic of n controls; with fewer than 99 controls that is beyond the largest, which is
/// then taken, and the false positive rate it stands for is 1 / (n + 1). Immutable, thread safe.
/// </remarks>
internal sealed class BenignReference
{
    private const double Share = 0.99;
    private const double Shrinkage = 0.1;

    private readonly Cholesky _factor; // of S, (K, K)

    private BenignReference(Cholesky factor, int traits, int count, double threshold, double falsePositiveRate) =>
        (_factor, TraitCount, Count, Threshold, FalsePositiveRate) = (factor, traits, count, threshold, falsePositiveRate);

    /// <summary>K.</summary>
    public int TraitCount { get; }

    /// <summary>Number of control checkpoints, n.</summary>
    public int Count { get; }

    /// <summary>Statistic above which a checkpoint is unlike the controls.</summary>
    public double Threshold { get; }

    /// <summary>The rate of false positives that the threshold stands for: 1%, or 1 / (n + 1) with fewer than 99 controls.</summary>
    public double FalsePositiveRate { get; }

    /// <summary>Takes the reference from drifts of control checkpoints.</summary>
    /// <param name="drifts">n drifts, (K) each, at least <see cref="DetectorRecipe.FewestCheckpoints"/>.</param>
    /// <exception cref="EmScanException">There are too few, or none of them moves.</exception>
    public static BenignReference Fit(IReadOnlyList<double[]> drifts)
    {
        ArgumentNullException.ThrowIfNull(drifts);
        if (drifts.Count < DetectorRecipe.FewestCheckpoints)
            throw new EmScanException($"{drifts.Count} benign control checkpoints are too few for a threshold; at least {DetectorRecipe.FewestCheckpoints} are needed.");
        int traits = drifts[0].Length;
        double[] moment = new double[traits * traits];
        foreach (double[] x in drifts)
        {
            for (int i = 0; i < traits; i++)
            {
                for (int j = 0; j < traits; j++) moment[(i * traits) + j] += x[i] * x[j] / drifts.Count;
            }
        }

        double trace = Enumerable.Range(0, traits).Sum(k => moment[(k * traits) + k]);
        if (!(trace > 0)) throw NothingChanges();
        for (int i = 0; i < moment.Length; i++) moment[i] *= 1 - Shrinkage;
        for (int k = 0; k < traits; k++) moment[(k * traits) + k] += Shrinkage * trace / traits;
        Cholesky factor = Cholesky.TryFactor(moment, traits)
            ?? throw new EmScanException("The drifts of the benign control adapters are too extreme for a threshold.");

        double[] statistics = [.. drifts.Select(x => Length(factor, x)).Order()];
        int rank = (int)Math.Ceiling(Share * (statistics.Length + 1));
        bool enough = rank <= statistics.Length;
        double threshold = statistics[enough ? rank - 1 : ^1];
        if (!(threshold > 0)) throw NothingChanges();
        return new BenignReference(factor, traits, drifts.Count, threshold, enough ? 1 - Share : 1.0 / (statistics.Length + 1));
    }

    /// <summary>Judges a drift, (K).</summary>
    /// <exception cref="ArgumentException">The length is not K.</exception>
    public BenignVerdict Judge(ReadOnlySpan<double> drift)
    {
        if (drift.Length != TraitCount) throw new ArgumentException($"The drift has {drift.Length} values for {TraitCount} traits.", nameof(drift));
        return new BenignVerdict(Length(_factor, drift) / Threshold);
    }

    private static EmScanException NothingChanges() => new("The benign control adapters change nothing that the traits see, so they give no threshold.");

    private static double Length(Cholesky factor, ReadOnlySpan<double> drift)
    {
        double[] solved = drift.ToArray();
        factor.Solve(solved);
        double square = 0;
        for (int k = 0; k < solved.Length; k++) square += solved[k] * drift[k];
        return Math.Sqrt(Math.Max(0, square));
    }
}
