namespace EmScan.Bench.Scan;

/// <summary>Times of one thing, in milliseconds, one from each round.</summary>
internal sealed class Samples(string name)
{
    private readonly List<double> _values = [];

    internal string Name => name;

    internal int Count => _values.Count;

    internal double Median => MedianOf(_values);

    internal double Least => _values.Min();

    internal double Most => _values.Max();

    internal void Add(double milliseconds) => _values.Add(milliseconds);

    /// <summary>The ratio to another thing measured in the same rounds: the median of the ratios of each round, which a slow moment of the
    /// machine does not move.</summary>
    internal double Over(Samples other) => MedianOf(_values.Zip(other._values, (a, b) => a / b));

    private static double MedianOf(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
