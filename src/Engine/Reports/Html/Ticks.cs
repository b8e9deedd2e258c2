using System.Globalization;

namespace EmScan.Engine.Reports.Html;

/// <summary>Round numbers along an axis: multiples of 1, 2 or 5 times a power of ten.</summary>
internal sealed class Ticks
{
    private readonly int _decimals;

    private Ticks(double[] values, int decimals) => (Values, _decimals) = (values, decimals);

    /// <summary>The values, ascending, all within the range that was asked for.</summary>
    internal double[] Values { get; }

    /// <summary>Ticks for a range.</summary>
    /// <param name="low">Lower end.</param>
    /// <param name="high">Upper end, above the lower.</param>
    /// <param name="most">About how many at the most.</param>
    internal static Ticks For(double low, double high, int most)
    {
        double raw = (high - low) / most;
        double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
        long first = (long)Math.Ceiling((low / step) - 1e-9), last = (long)Math.Floor((high / step) + 1e-9);
        int decimals = Math.Clamp((int)-Math.Floor(Math.Log10(step) + 1e-9), 0, 15);
        return new Ticks([.. Enumerable.Range(0, (int)(last - first) + 1).Select(i => (first + i) * step)], decimals);
    }

    /// <summary>A tick's label, with as many decimals as the step needs.</summary>
    internal string Label(double value) => (Math.Abs(value) < 1e-12 ? 0 : value).ToString("F" + _decimals, CultureInfo.InvariantCulture);
}
