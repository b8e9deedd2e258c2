namespace EmScan.Engine.Numerics;

/// <summary>Spread of a sample around its mean, with 1 / (n - 1). NaN for fewer than two values.</summary>
internal static class Sample
{
    /// <summary>Variance.</summary>
    internal static double Variance(IReadOnlyCollection<double> values)
    {
        if (values.Count < 2) return double.NaN;
        double mean = values.Average();
        return values.Sum(v => (v - mean) * (v - mean)) / (values.Count - 1);
    }

    /// <summary>Standard deviation.</summary>
    internal static double Deviation(IReadOnlyCollection<double> values) => Math.Sqrt(Variance(values));

    /// <summary>Standard error of the mean.</summary>
    internal static double StandardError(IReadOnlyCollection<double> values) => Math.Sqrt(Variance(values) / values.Count);
}
