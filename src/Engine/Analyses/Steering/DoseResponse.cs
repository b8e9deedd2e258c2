using System.Text.Json.Nodes;

namespace EmScan.Engine.Analyses.Steering;

/// <summary>How a quantity answers to a dose (docs/steer.md).</summary>
/// <param name="Slope">Least squares through the origin over the doses of at most <see cref="LinearRange"/>.</param>
/// <param name="R2">1 - SSR / SST over the same doses, SST about the mean; null where nothing varies.</param>
internal sealed record DoseResponse(double Slope, double? R2)
{
    /// <summary>Largest dose, in n0, up to which an answer is called linear or not.</summary>
    internal const double LinearRange = 0.25;

    /// <summary>Fall of a log-likelihood, nats a token, at which text counts as broken.</summary>
    internal const double BreakingFall = 0.5;

    /// <summary>Fits a line through the origin.</summary>
    /// <param name="doses">c; at least one of them not 0 within the range.</param>
    /// <param name="answers">The change from dose 0, for each.</param>
    internal static DoseResponse Of(IReadOnlyList<double> doses, IReadOnlyList<double> answers)
    {
        (double C, double Y)[] points = [.. doses.Zip(answers).Where(p => Math.Abs(p.First) <= LinearRange)];
        double slope = points.Sum(p => p.C * p.Y) / points.Sum(p => p.C * p.C), mean = points.Average(p => p.Y);
        double residual = points.Sum(p => Math.Pow(p.Y - (slope * p.C), 2)), total = points.Sum(p => Math.Pow(p.Y - mean, 2));
        return new DoseResponse(slope, total > 0 ? 1 - (residual / total) : null);
    }

    /// <summary>The least |c| on one side at which a quantity has fallen so far, linear between doses; null where it never does.</summary>
    /// <param name="doses">c, ascending, 0 among them.</param>
    /// <param name="values">The quantity, for each.</param>
    /// <param name="sign">1 for positive doses, -1 for negative ones.</param>
    /// <param name="fall">How far.</param>
    internal static double? FallsAt(IReadOnlyList<double> doses, IReadOnlyList<double> values, int sign, double fall = BreakingFall)
    {
        (double C, double Y)[] side = [.. doses.Zip(values).Where(p => p.First * sign >= 0).Select(p => (Math.Abs(p.First), p.Second)).OrderBy(p => p.Item1)];
        double level = side[0].Y - fall;
        for (int i = 1; i < side.Length; i++)
        {
            if (side[i].Y <= level) return side[i - 1].C + ((side[i].C - side[i - 1].C) * (side[i - 1].Y - level) / (side[i - 1].Y - side[i].Y));
        }

        return null;
    }

    internal JsonObject ToJson() => new() { ["slope"] = FindingsData.Number(Slope), ["r2"] = FindingsData.Number(R2) };
}
