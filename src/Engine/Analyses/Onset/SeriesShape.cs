using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Onset;

/// <summary>Two constants, one before a point and one from it on, nearest in the least squares sense.</summary>
/// <param name="Index">First point of the second piece.</param>
/// <param name="Step">Its step.</param>
/// <param name="Midpoint">Halfway between it and the point before.</param>
/// <param name="Before">Mean of the first piece.</param>
/// <param name="After">Mean of the second.</param>
/// <param name="SquaredError">Sum of squared residuals.</param>
internal sealed record ChangePoint(int Index, double Step, double Midpoint, double Before, double After, double SquaredError);

/// <summary>0 up to an onset, and from there on a line.</summary>
/// <param name="Onset">Where the line begins, on a grid of a twentieth of the spacing; not before the first point.</param>
/// <param name="Slope">Of the line, by step.</param>
/// <param name="SquaredError">Sum of squared residuals.</param>
internal sealed record Hinge(double Onset, double Slope, double SquaredError);

/// <summary>How a quantity goes over the steps of a training: four curves by least squares, and which of them is enough.</summary>
/// <remarks>
/// BIC = n ln(SSE / n) + p ln n with p = 3 for the step and the logistic curve and 2 for the hinge and the line (Schwarz 1978): the least one
/// is the shape. The line has an intercept, the hinge none. A share of the rise is first reached at a point between two steps.
/// </remarks>
internal sealed record SeriesShape
{
    /// <summary>Fewer points than this have no shape.</summary>
    internal const int FewestPoints = 5;

    /// <summary>Names of the shapes, in the order of <see cref="Bic"/>.</summary>
    internal static readonly string[] Shapes = ["step", "logistic", "hinge", "linear"];

    private static readonly int[] Parameters = [3, 3, 2, 2];

    /// <summary>Number of points.</summary>
    internal required int Points { get; init; }

    /// <summary>The step.</summary>
    internal required ChangePoint Change { get; init; }

    /// <summary>The logistic curve.</summary>
    internal required LogisticCurve Logistic { get; init; }

    /// <summary>1 - SSE / SST of the logistic curve.</summary>
    internal required double LogisticRSquared { get; init; }

    /// <summary>The hinge.</summary>
    internal required Hinge Hinge { get; init; }

    /// <summary>Sum of squared residuals of the line.</summary>
    internal required double LinearSquaredError { get; init; }

    /// <summary>Where a tenth of the rise from the first value to the largest is reached; null where nothing rises.</summary>
    internal required double? Crossing10 { get; init; }

    /// <summary>Where half of it is.</summary>
    internal required double? Crossing50 { get; init; }

    /// <summary>BIC of each shape, in the order of <see cref="Shapes"/>.</summary>
    internal double[] Bic
    {
        get
        {
            double n = Points;
            double[] errors = [Change.SquaredError, Logistic.SquaredError, Hinge.SquaredError, LinearSquaredError];
            return [.. errors.Select((error, i) => (n * Math.Log(Math.Max(error, double.Epsilon) / n)) + (Parameters[i] * Math.Log(n)))];
        }
    }

    /// <summary>The shape of least BIC.</summary>
    internal string Shape => Shapes[Array.IndexOf(Bic, Bic.Min())];

    /// <summary>Describes a series.</summary>
    /// <param name="steps">(n), ascending.</param>
    /// <param name="values">(n), finite.</param>
    /// <param name="near">The shape of a series that hardly differs, such as the one that a resampled one comes from; null for none.</param>
    /// <returns>Null with fewer than <see cref="FewestPoints"/> points, or where all values are the same.</returns>
    internal static SeriesShape? Of(double[] steps, double[] values, SeriesShape? near = null)
    {
        int n = values.Length;
        if (n < FewestPoints || !values.AsSpan().ContainsAnyExcept(values[0])) return null;
        double mean = values.Average(), total = values.Sum(v => (v - mean) * (v - mean)), spacing = Spacing(steps);
        var logistic = LogisticCurve.Of(steps, values, LogisticCurve.LeastWidth(spacing), near?.Logistic);
        var line = LineFit.Of(steps, values);
        return new SeriesShape
        {
            Points = n,
            Change = Two(steps, values),
            Logistic = logistic,
            LogisticRSquared = 1 - (logistic.SquaredError / total),
            Hinge = HingeOf(steps, values, spacing),
            LinearSquaredError = steps.Zip(values, (x, y) => y - line.Intercept - (line.Slope * x)).Sum(r => r * r),
            Crossing10 = Crossing(steps, values, 0.1),
            Crossing50 = Crossing(steps, values, 0.5),
        };
    }

    /// <summary>Where a share of the rise from the first value to the largest is first reached, linear between points; null where nothing rises.</summary>
    internal static double? Crossing(double[] steps, double[] values, double share)
    {
        double largest = values.Max();
        return largest > values[0] ? PiecewiseLinear.FirstReach(steps, values, values[0] + (share * (largest - values[0]))) : null;
    }

    /// <summary>The median distance of neighbours.</summary>
    private static double Spacing(double[] steps) => Quantile.Of([.. steps.Zip(steps.Skip(1), (a, b) => b - a)], 0.5);

    private static ChangePoint Two(double[] steps, double[] values)
    {
        ChangePoint? best = null;
        double sum = values.Sum(), squares = values.Sum(v => v * v), before = 0;
        for (int i = 1; i < values.Length; i++)
        {
            before += values[i - 1];
            double low = before / i, high = (sum - before) / (values.Length - i);
            double error = squares - (i * low * low) - ((values.Length - i) * high * high);
            if (best == null || error < best.SquaredError) best = new ChangePoint(i, steps[i], (steps[i - 1] + steps[i]) / 2, low, high, error);
        }

        // The quick sums choose; what is told is summed about the means, where nothing cancels.
        double exact = values.Select((v, i) => v - (i < best!.Index ? best.Before : best.After)).Sum(r => r * r);
        return best! with { SquaredError = exact };
    }

    private static Hinge HingeOf(double[] steps, double[] values, double spacing)
    {
        // Sums over the points behind an onset, from the last one back: n, x, x^2, y, x y.
        int n = steps.Length;
        double grid = spacing / 20, origin = steps[0], squares = values.Sum(v => v * v);
        var sums = new double[n + 1, 5];
        for (int i = n - 1; i >= 0; i--)
        {
            double x = steps[i] - origin, y = values[i];
            double[] terms = [1, x, x * x, y, x * y];
            for (int k = 0; k < 5; k++) sums[i, k] = sums[i + 1, k] + terms[k];
        }

        (double Error, double Onset, double Slope) best = (double.PositiveInfinity, origin, 0);
        int last = (int)Math.Ceiling((steps[^1] - origin) / grid), first = 0;
        for (int j = 0; j < last; j++)
        {
            double onset = j * grid;
            while (steps[first] - origin <= onset) first++;
            double xx = sums[first, 2] - (2 * onset * sums[first, 1]) + (onset * onset * sums[first, 0]), xy = sums[first, 4] - (onset * sums[first, 3]);
            double error = squares - (xy * xy / xx);
            if (error < best.Error) best = (error, onset, xy / xx);
        }

        double exact = steps.Zip(values, (x, y) => y - (best.Slope * Math.Max(0, x - origin - best.Onset))).Sum(r => r * r);
        return new Hinge(origin + best.Onset, best.Slope, exact);
    }
}
