using EmScan.Engine.Numerics;

namespace EmScan.Engine.Traits;

/// <summary>Computes <see cref="DirectionValidity"/> from the Gram matrix of one trait's samples at one layer.</summary>
/// <remarks>
/// Seeded, and the same seed gives the same folds, halves and flips at every layer and for every trait, so that figures can be compared.
/// Costs O(N^2) a fit for mean difference and PCA, O(N^3) for the probe, whatever D is.
/// </remarks>
internal sealed class ValidityEstimator
{
    private const int Folds = 5;
    private const int Splits = 10;

    private readonly DirectionMethod _method;
    private readonly GramMatrix _gram;
    private readonly int[] _positive;
    private readonly int[] _negative;
    private readonly int[] _questionOf; // (N) question of each row
    private readonly int _questions;

    /// <param name="method">The estimator to judge.</param>
    /// <param name="samples">The samples of both poles.</param>
    /// <param name="positiveQuestions">Question of each positive row, (N+), numbered from 0.</param>
    /// <param name="negativeQuestions">Question of each negative row, (N-).</param>
    public ValidityEstimator(DirectionMethod method, ContrastSamples samples, int[] positiveQuestions, int[] negativeQuestions)
    {
        _method = method;
        _gram = samples.Gram;
        _positive = samples.AllPositive;
        _negative = samples.AllNegative;
        _questionOf = [.. positiveQuestions, .. negativeQuestions];
        _questions = _questionOf.Max() + 1;
    }

    public DirectionValidity Estimate(string trait, int layer, int permutations, int seed)
    {
        double[] difference = SpanEstimator.MeanDifference(_gram.Count, _positive, _negative);
        (double accuracy, double auc, double distance) = CrossValidate(seed);
        return new DirectionValidity(
            trait, layer, Math.Sqrt(_gram.Dot(difference, difference)), accuracy, auc, SplitHalf(seed), Permute(permutations, seed))
        { DPrime = distance };
    }

    private (double Accuracy, double Auc, double DPrime) CrossValidate(int seed)
    {
        if (_questions < 2) return (double.NaN, double.NaN, double.NaN);
        int folds = Math.Min(Folds, _questions);
        int[] order = Shuffled(new Random(seed));
        double right = 0, wins = 0, distance = 0;
        long tested = 0, pairs = 0;
        for (int fold = 0; fold < folds; fold++)
        {
            bool[] heldOut = new bool[_questions];
            for (int i = fold; i < _questions; i += folds) heldOut[order[i]] = true;
            (int[] positive, int[] negative) = Rows(question => !heldOut[question]);
            double[] direction = SpanEstimator.Coefficients(_method, _gram, positive, negative);
            double threshold = (Scores(positive, direction).Average() + Scores(negative, direction).Average()) / 2;
            (positive, negative) = Rows(question => heldOut[question]);
            double[] above = Scores(positive, direction), below = Scores(negative, direction);
            right += above.Sum(score => Credit(score, threshold)) + below.Sum(score => Credit(threshold, score));
            tested += above.Length + below.Length;
            wins += above.Sum(score => below.Sum(other => Credit(score, other)));
            pairs += (long)above.Length * below.Length;
            distance += (above.Average() - below.Average()) / Math.Sqrt((Sample.Variance(above) + Sample.Variance(below)) / 2);
        }

        return (right / tested, wins / pairs, distance / folds);

        static double Credit(double higher, double lower) => higher > lower ? 1 : higher == lower ? 0.5 : 0;
    }

    private double SplitHalf(int seed)
    {
        if (_questions < 2) return double.NaN;
        var random = new Random(seed);
        double sum = 0;
        for (int split = 0; split < Splits; split++)
        {
            int[] order = Shuffled(random);
            var first = new bool[_questions];
            foreach (int question in order.AsSpan(0, _questions / 2)) first[question] = true;
            (int[] positive, int[] negative) = Rows(question => first[question]);
            double[] a = SpanEstimator.Coefficients(_method, _gram, positive, negative);
            (positive, negative) = Rows(question => !first[question]);
            sum += _gram.Cosine(a, SpanEstimator.Coefficients(_method, _gram, positive, negative));
        }

        return sum / Splits;
    }

    private double Permute(int permutations, int seed)
    {
        // The mean difference is the sum of these vectors, one a question; a flip changes the sign of some of them.
        double[] difference = SpanEstimator.MeanDifference(_gram.Count, _positive, _negative);
        var parts = new double[_questions][];
        for (int question = 0; question < _questions; question++)
            parts[question] = [.. difference.Select((value, row) => _questionOf[row] == question ? value : 0)];
        var products = new GramMatrix(_questions, _gram.HiddenSize);
        for (int i = 0; i < _questions; i++)
        {
            for (int j = 0; j <= i; j++) products[i, j] = products[j, i] = _gram.Dot(parts[i], parts[j]);
        }

        var signs = new double[_questions];
        Array.Fill(signs, 1);
        // Flips that only rearrange the same sum must count as ties in spite of rounding.
        double observed = products.Dot(signs, signs) * (1 - 1e-12);
        var random = new Random(seed);
        int atLeast = 0;
        for (int permutation = 0; permutation < permutations; permutation++)
        {
            for (int i = 0; i < _questions; i++) signs[i] = random.Next(2) == 0 ? 1 : -1;
            if (products.Dot(signs, signs) >= observed) atLeast++;
        }

        return (1.0 + atLeast) / (1.0 + permutations);
    }

    private int[] Shuffled(Random random)
    {
        int[] order = [.. Enumerable.Range(0, _questions)];
        random.Shuffle(order);
        return order;
    }

    // Both poles ask every question of every system prompt in the same order, so rows that were pairs stay pairs.
    private (int[] Positive, int[] Negative) Rows(Func<int, bool> wanted) =>
        ([.. _positive.Where(row => wanted(_questionOf[row]))], [.. _negative.Where(row => wanted(_questionOf[row]))]);

    private double[] Scores(int[] rows, double[] direction) => [.. rows.Select(row => _gram.Score(row, direction))];
}
