using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Personas;

/// <summary>A statistic of a two-way table with what it would be if labels within groups meant nothing.</summary>
/// <param name="Value">Of the table as it is.</param>
/// <param name="NullMean">Mean over permutations.</param>
/// <param name="Null95">Their 95th percentile.</param>
/// <param name="P">(1 + permutations that reach it) / (1 + permutations).</param>
internal sealed record PermutedStatistic(double Value, double NullMean, double Null95, double P);

/// <summary>Statistics that ask whether the same persona is alike across groups, with one null for all: labels permuted within every group.</summary>
internal static class PersonaStatistics
{
    /// <summary>For each persona and group left out, the persona whose mean over the other groups is nearest (Euclidean). [A][B].</summary>
    internal static int[][] NearestCentroids(double[][][] y)
    {
        int a = y.Length, b = y[0].Length, traits = y[0][0].Length;
        var nearest = new int[a][];
        for (int i = 0; i < a; i++) nearest[i] = new int[b];
        for (int left = 0; left < b; left++)
        {
            double[][] centroids = [.. y.Select(p => Enumerable.Range(0, traits).Select(k => (p.Sum(x => x[k]) - p[left][k]) / (b - 1)).ToArray())];
            for (int i = 0; i < a; i++)
            {
                double least = double.PositiveInfinity;
                for (int c = 0; c < a; c++)
                {
                    double distance = 0;
                    for (int k = 0; k < traits; k++) distance += (y[i][left][k] - centroids[c][k]) * (y[i][left][k] - centroids[c][k]);
                    if (distance < least) (least, nearest[i][left]) = (distance, c);
                }
            }
        }

        return nearest;
    }

    /// <summary>Share of left-out drifts that are nearest to their own persona.</summary>
    internal static double Accuracy(int[][] nearest) => nearest.Select((row, i) => row.Count(c => c == i)).Sum() / (double)(nearest.Length * nearest[0].Length);

    /// <summary>Mean cosine between a persona in one group and a persona in another, over pairs of different groups, [A][A]; the diagonal is how alike a persona is to itself.</summary>
    internal static double[][] CosinesAcrossGroups(double[][][] unit)
    {
        int a = unit.Length, b = unit[0].Length;
        return
        [
            .. Enumerable.Range(0, a).Select(i => Enumerable.Range(0, a).Select(j =>
            {
                double sum = 0;
                for (int g = 0; g < b; g++)
                {
                    for (int h = 0; h < b; h++)
                        if (g != h) sum += Dot(unit[i][g], unit[j][h]);
                }

                return sum / (b * (b - 1));
            }).ToArray()),
        ];
    }

    /// <summary>Mean over personas of the cosine with themselves in other groups.</summary>
    internal static double CosineOfSame(double[][][] unit)
    {
        // The squared norm of the sum over groups holds every pair of groups twice, and each drift with itself once.
        int b = unit[0].Length, traits = unit[0][0].Length;
        return unit.Average(p => (Enumerable.Range(0, traits).Sum(k => Math.Pow(p.Sum(x => x[k]), 2)) - p.Sum(x => Dot(x, x))) / (b * (b - 1)));
    }

    /// <summary>Mean cosine of different personas within a group.</summary>
    internal static double CosineOfDifferent(double[][][] unit)
    {
        int a = unit.Length, b = unit[0].Length;
        double sum = 0;
        for (int g = 0; g < b; g++)
        {
            for (int i = 0; i < a; i++)
            {
                for (int j = 0; j < i; j++) sum += Dot(unit[i][g], unit[j][g]);
            }
        }

        return sum / (b * a * (a - 1) / 2.0);
    }

    /// <summary>Groups personas by average linkage (Sokal and Michener 1958): the two families whose members are most alike on average are joined until no two are alike enough.</summary>
    /// <param name="cosines">[A][A].</param>
    /// <param name="least">Two families are joined while the mean cosine between their members is above this.</param>
    /// <returns>Indices of the members of each family, the largest families first.</returns>
    internal static int[][] Families(double[][] cosines, double least)
    {
        List<int[]> families = [.. Enumerable.Range(0, cosines.Length).Select(i => new[] { i })];
        while (families.Count > 1)
        {
            (double Alike, int First, int Second) best = (double.NegativeInfinity, 0, 0);
            for (int i = 0; i < families.Count; i++)
            {
                for (int j = i + 1; j < families.Count; j++)
                {
                    double alike = families[i].Average(a => families[j].Average(b => cosines[a][b]));
                    if (alike > best.Alike) best = (alike, i, j);
                }
            }

            if (best.Alike <= least) break;
            families[best.First] = [.. families[best.First].Concat(families[best.Second]).Order()];
            families.RemoveAt(best.Second);
        }

        return [.. families.OrderByDescending(f => f.Length).ThenBy(f => f[0])];
    }

    /// <summary>Compares a statistic with what it is when labels are permuted within every group.</summary>
    /// <param name="y">[A][B](K).</param>
    /// <param name="statistic">Larger where personas are alike across groups.</param>
    /// <param name="draws">Number of permutations.</param>
    /// <param name="seed">Same seed, same permutations.</param>
    internal static PermutedStatistic Permuted(double[][][] y, Func<double[][][], double> statistic, int draws, int seed)
    {
        int a = y.Length, b = y[0].Length;
        double value = statistic(y);
        var random = new Random(seed);
        var drawn = new double[draws];
        double[][][] shuffled = [.. y.Select(p => p.ToArray())];
        int[] order = [.. Enumerable.Range(0, a)];
        for (int draw = 0; draw < draws; draw++)
        {
            for (int g = 0; g < b; g++)
            {
                random.Shuffle(order);
                for (int i = 0; i < a; i++) shuffled[i][g] = y[order[i]][g];
            }

            drawn[draw] = statistic(shuffled);
        }

        Array.Sort(drawn);
        // What differs only by the order of a sum is the same.
        double reached = value - (1e-12 * Math.Abs(value));
        return new PermutedStatistic(value, drawn.Average(), Quantile.OfSorted(drawn, 0.95), (1.0 + drawn.Count(d => d >= reached)) / (1.0 + draws));
    }

    /// <summary>The least p that so few personas and groups can give: one over the number of different relabellings, or over 1 + draws.</summary>
    internal static double LeastP(int personas, int groups, int draws)
    {
        double relabellings = Math.Exp((groups - 1) * Enumerable.Range(1, personas).Sum(i => Math.Log(i)));
        return Math.Max(1 / relabellings, 1.0 / (1 + draws));
    }

    private static double Dot(double[] x, double[] y)
    {
        double sum = 0;
        for (int k = 0; k < x.Length; k++) sum += x[k] * y[k];
        return sum;
    }
}
