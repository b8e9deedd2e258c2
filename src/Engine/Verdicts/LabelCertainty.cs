using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Verdicts;

/// <summary>How much a measured EM rate says: it is a share of a finite number of answers.</summary>
internal static class LabelCertainty
{
    private const double Quantile = 1.959963984540054; // normal, 97.5%

    /// <summary>Wilson's 95% interval of a rate that was measured on so many answers.</summary>
    /// <param name="rate">Share of misaligned answers, 0 to 1.</param>
    /// <param name="scored">Number of scored answers, at least 1.</param>
    /// <remarks>Wilson 1927: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).</remarks>
    public static Interval Wilson(double rate, long scored)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(scored, 1);
        if (rate is not (>= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(rate), rate, "A rate is from 0 to 1.");
        double square = Quantile * Quantile / scored;
        double middle = rate + (square / 2), half = Math.Sqrt((rate * (1 - rate) * square) + (square * square / 4));
        return new Interval(Math.Max(0, (middle - half) / (1 + square)), Math.Min(1, (middle + half) / (1 + square)));
    }

    /// <summary>Whether it is certain on which side of a threshold a rate lies: its 95% interval excludes the threshold. Null when it is not known
    /// on how many answers it was measured.</summary>
    public static bool? IsCertain(double rate, long? scored, double threshold) =>
        scored is not { } count ? null : count > 0 && !Wilson(rate, count).Contains(threshold);
}
