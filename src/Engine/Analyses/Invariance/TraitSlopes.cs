using EmScan.Engine.Numerics;
using MathNet.Numerics.Distributions;

namespace EmScan.Engine.Analyses.Invariance;

/// <summary>One checkpoint of an environment as slopes see it.</summary>
/// <param name="Run">The run, for the error over runs.</param>
/// <param name="X">Drift along a trait.</param>
/// <param name="Y">EM rate, or its root.</param>
/// <param name="Noise">Variance of y from the finite number of answers; 0 where that number is not known.</param>
internal readonly record struct SlopePoint(string Run, double X, double Y, double Noise);

/// <summary>Slope of the EM rate on a drift in one environment.</summary>
/// <param name="Name">The environment.</param>
/// <param name="Count">Checkpoints.</param>
/// <param name="Runs">Runs.</param>
/// <param name="Slope">By least squares with intercept; null where the drift does not vary or there are fewer than 3 checkpoints.</param>
/// <param name="CheckpointError">Standard error as if checkpoints were independent.</param>
/// <param name="JackknifeError">Standard error over runs, each left out in turn; null with one run.</param>
internal sealed record EnvironmentSlope(string Name, int Count, int Runs, double? Slope, double CheckpointError, double? JackknifeError)
{
    /// <summary>Standard error over runs: the checkpoints' times the root of the design effect that all environments have together.</summary>
    internal double StandardError { get; init; }
}

/// <summary>Slopes of the EM rate on one trait's drift in several environments, and how much they differ.</summary>
/// <remarks>
/// <para>Checkpoints of a run are no independent samples. The variance that leaving out runs shows (jackknife: Efron and Tibshirani 1993,
/// section 11), over the one that independent checkpoints would have, summed over environments, is the design effect (Kish 1965); it is taken
/// together because an environment of two or three runs alone would tell its error too badly. Residual variance is not taken below
/// the sampling variance of the labels, so that an environment of all equal rates is not infinitely certain.</para>
/// <para>Q = sum w (b - mean b)^2 with w = 1 / se^2, and I^2 = max(0, (Q - df) / Q): Cochran 1954; Higgins and Thompson 2002
/// (doi 10.1002/sim.1186).</para>
/// </remarks>
/// <param name="Environments">One of each environment, those without a slope included.</param>
/// <param name="DesignEffect">At least 1; null where no environment has two runs, so that errors are of checkpoints.</param>
internal sealed record TraitSlopes(IReadOnlyList<EnvironmentSlope> Environments, double? DesignEffect)
{
    /// <summary>I^2 of a trait that is stable is below this.</summary>
    internal const double LargestI2 = 0.5;

    private EnvironmentSlope[] Known => [.. Environments.Where(e => e.Slope != null && e.StandardError > 0)];

    /// <summary>Mean slope, weighted by 1 / se^2; null with fewer than two slopes.</summary>
    internal double? Mean => Known is { Length: > 1 } known ? known.Sum(e => Weight(e) * e.Slope!.Value) / known.Sum(Weight) : null;

    /// <summary>Cochran's Q; null with fewer than two slopes.</summary>
    internal double? Q => Mean is { } mean ? Known.Sum(e => Weight(e) * (e.Slope!.Value - mean) * (e.Slope.Value - mean)) : null;

    /// <summary>Slopes less one.</summary>
    internal int Freedom => Known.Length - 1;

    /// <summary>Probability of such a Q where all slopes are the same.</summary>
    internal double? P => Q is { } q ? 1 - ChiSquared.CDF(Freedom, q) : null;

    /// <summary>Share of the variation of slopes that is not error, 0 to 1.</summary>
    internal double? I2 => Q is { } q ? q > Freedom ? (q - Freedom) / q : 0 : null;

    /// <summary>Whether all slopes have one sign.</summary>
    internal bool OneSign => Known is { Length: > 0 } known && (known.All(e => e.Slope > 0) || known.All(e => e.Slope < 0));

    /// <summary>Whether it predicts the EM rate alike everywhere: I^2 below one half and one sign, known in every environment.</summary>
    internal bool Stable => Environments.All(e => e.Slope != null && e.StandardError > 0) && I2 < LargestI2 && OneSign;

    /// <summary>Fits all environments.</summary>
    /// <param name="environments">Name and checkpoints of each.</param>
    internal static TraitSlopes Of(IReadOnlyList<(string Name, SlopePoint[] Points)> environments)
    {
        EnvironmentSlope[] slopes = [.. environments.Select(e => One(e.Name, e.Points))];
        EnvironmentSlope[] over = [.. slopes.Where(s => s.Slope != null && s.JackknifeError != null && s.CheckpointError > 0)];
        double? design = over.Length == 0 ? null
            : Math.Max(1, over.Sum(s => s.JackknifeError!.Value * s.JackknifeError.Value) / over.Sum(s => s.CheckpointError * s.CheckpointError));
        return new TraitSlopes([.. slopes.Select(s => s with { StandardError = s.CheckpointError * Math.Sqrt(design ?? 1) })], design);
    }

    /// <summary>The same without one environment.</summary>
    internal static TraitSlopes Without(IReadOnlyList<(string Name, SlopePoint[] Points)> environments, string left) => Of([.. environments.Where(e => e.Name != left)]);

    private static double Weight(EnvironmentSlope slope) => 1 / (slope.StandardError * slope.StandardError);

    private static EnvironmentSlope One(string name, SlopePoint[] points)
    {
        string[] runs = [.. points.Select(p => p.Run).Distinct()];
        if (Slope(points) is not { } slope) return new EnvironmentSlope(name, points.Length, runs.Length, null, 0, null);
        double meanX = points.Average(p => p.X), squares = points.Sum(p => (p.X - meanX) * (p.X - meanX)), meanY = points.Average(p => p.Y);
        double residual = points.Sum(p => Math.Pow(p.Y - meanY - (slope * (p.X - meanX)), 2)) / (points.Length - 2);
        double error = Math.Sqrt(Math.Max(residual, points.Average(p => p.Noise)) / squares);
        double[] without = [.. runs.Select(run => Slope([.. points.Where(p => p.Run != run)])).OfType<double>()];
        double? jackknife = runs.Length < 2 || without.Length < runs.Length ? null
            : Math.Sqrt((runs.Length - 1.0) / runs.Length * without.Sum(b => (b - without.Average()) * (b - without.Average())));
        return new EnvironmentSlope(name, points.Length, runs.Length, slope, error, jackknife);
    }

    private static double? Slope(SlopePoint[] points)
    {
        if (points.Length < 3 || points.All(p => p.X == points[0].X)) return null;
        double slope = LineFit.Of([.. points.Select(p => p.X)], [.. points.Select(p => p.Y)]).Slope;
        return double.IsFinite(slope) ? slope : null;
    }
}
