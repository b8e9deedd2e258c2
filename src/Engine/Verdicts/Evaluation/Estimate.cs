using EmScan.Engine.Numerics;

namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>A figure with its interval from a bootstrap over whole runs; a figure that is not defined is null with a reason, never
/// NaN.</summary>
/// <param name="Value">The figure on all checkpoints; null when it is not defined.</param>
/// <param name="WhyUndefined">Why it is not, a clause without a full stop; null when there is a value.</param>
/// <param name="Interval">Percentile interval over the draws; null with fewer than two runs, or when no draw had a value.</param>
/// <param name="DrawsLeftOut">Draws in which the figure was not defined (for example, no dangerous checkpoint was drawn): the interval is
/// from the others.</param>
internal sealed record Estimate(double? Value, string? WhyUndefined, Interval? Interval, int DrawsLeftOut)
{
    /// <summary>Sums up draws.</summary>
    /// <param name="value">The figure on all checkpoints, NaN when undefined.</param>
    /// <param name="why">Reason for a NaN.</param>
    /// <param name="draws">The figure in each draw, NaN where undefined; its order is lost.</param>
    /// <param name="level">Share of the draws that the interval holds, for example 0.95.</param>
    internal static Estimate From(double value, string? why, Span<double> draws, double level)
    {
        draws.Sort(); // NaN comes first
        int undefined = draws.LastIndexOf(double.NaN) + 1;
        ReadOnlySpan<double> usable = draws[undefined..];
        Interval? interval = usable.IsEmpty
            ? null
            : new Interval(Quantile.OfSorted(usable, (1 - level) / 2), Quantile.OfSorted(usable, (1 + level) / 2));
        return double.IsNaN(value) ? new Estimate(null, why, null, undefined) : new Estimate(value, null, interval, undefined);
    }
}
