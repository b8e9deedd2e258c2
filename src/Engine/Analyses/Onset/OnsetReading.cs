using System.Globalization;
using System.Text.Json.Nodes;

namespace EmScan.Engine.Analyses.Onset;

/// <summary>One series of drifts over the steps, of a run or the mean of several, with the EM rates beside it.</summary>
/// <param name="Steps">(n).</param>
/// <param name="Values">|x|, (n).</param>
/// <param name="Rates">EM rates; null without labels.</param>
/// <param name="Shape">How the drift goes; null where it has no shape.</param>
/// <param name="RateShape">How the rate goes.</param>
/// <param name="Threshold">Above this rate a checkpoint is dangerous.</param>
internal sealed record OnsetReading(double[] Steps, double[] Values, RateSeries? Rates, SeriesShape? Shape, SeriesShape? RateShape, double Threshold)
{
    /// <summary>What is drawn over prompts or runs, by its key.</summary>
    internal static readonly (string Key, Func<OnsetReading, double?> Of)[] Quantities =
    [
        ("change_point", r => r.Shape?.Change.Step), ("midpoint", r => r.Shape?.Logistic.Midpoint), ("onset_10", r => r.Shape?.Logistic.Onset10),
        ("crossing_10", r => r.Shape?.Crossing10), ("crossing_50", r => r.Shape?.Crossing50), ("hinge", r => r.Shape?.Hinge.Onset),
    ];

    /// <summary>What needs rates as well.</summary>
    internal static readonly (string Key, Func<OnsetReading, double?> Of)[] Leads =
        [("lead_change_point", r => r.LeadChange), ("lead_midpoint", r => r.LeadMidpoint), ("lead_crossing_50", r => r.LeadCrossing)];

    /// <summary>First step above the threshold; null for none.</summary>
    internal double? FirstAbove => Rates is { } r && Array.FindIndex(r.Rates, rate => rate > Threshold) is >= 0 and var at ? r.Steps[at] : null;

    /// <summary>First step from which on all rates are above it.</summary>
    internal double? SustainedAbove => Rates is { } r && Array.FindLastIndex(r.Rates, rate => rate <= Threshold) + 1 is var at && at < r.Rates.Length ? r.Steps[at] : null;

    /// <summary>Whether the rate ever exceeds the threshold; null without labels.</summary>
    internal bool? IsDangerous => Rates == null ? null : FirstAbove != null;

    /// <summary>Where half of the rate's rise is reached; null where it never exceeds the threshold: half of nothing is noise.</summary>
    internal double? RateCrossing => IsDangerous == true ? RateShape?.Crossing50 : null;

    /// <summary>The rate's change point minus the drift's; positive where drift comes first.</summary>
    internal double? LeadChange => RateShape?.Change.Step - Shape?.Change.Step;

    /// <summary>The same of the midpoints of the logistic curves; null where the rate never exceeds the threshold.</summary>
    internal double? LeadMidpoint => IsDangerous == true ? RateShape?.Logistic.Midpoint - Shape?.Logistic.Midpoint : null;

    /// <summary>The same of where half of the rise is reached.</summary>
    internal double? LeadCrossing => RateCrossing - Shape?.Crossing50;

    /// <summary>Describes a series.</summary>
    internal static OnsetReading Of(double[] steps, double[] values, RateSeries? rates, double threshold, OnsetReading? near = null) => new(
        steps, values, rates, SeriesShape.Of(steps, values, near?.Shape), rates == null ? null : SeriesShape.Of(rates.Steps, rates.Rates, near?.RateShape), threshold);

    /// <summary>Adds the keys of docs/onset.md.</summary>
    internal void AddTo(JsonObject data)
    {
        string threshold = Threshold.ToString(CultureInfo.InvariantCulture);
        data["steps"] = FindingsData.Numbers(Steps);
        data["series"] = FindingsData.Numbers(Values);
        data["change_point"] = ChangePoint(Shape);
        data["logistic"] = Logistic(Shape);
        data["hinge"] = Shape == null ? null : new JsonObject { ["sse"] = FindingsData.Number(Shape.Hinge.SquaredError), ["onset"] = Shape.Hinge.Onset, ["slope"] = FindingsData.Number(Shape.Hinge.Slope) };
        data["crossing_10"] = FindingsData.Number(Shape?.Crossing10);
        data["crossing_50"] = FindingsData.Number(Shape?.Crossing50);
        data["linear_sse"] = FindingsData.Number(Shape?.LinearSquaredError);
        data["bic"] = Shape == null ? null : FindingsData.ByName(SeriesShape.Shapes, Shape.Bic);
        data["shape"] = Shape?.Shape;
        data["em_steps"] = Rates == null ? null : FindingsData.Numbers(Rates.Steps);
        data["em_rate"] = Rates == null ? null : FindingsData.Numbers(Rates.Rates);
        data[$"em_first_above_{threshold}"] = FindingsData.Number(FirstAbove);
        data[$"em_sustained_above_{threshold}"] = FindingsData.Number(SustainedAbove);
        data["em_change_point"] = ChangePoint(RateShape);
        data["em_logistic"] = Logistic(RateShape);
        data["em_crossing_50"] = FindingsData.Number(RateCrossing);
        data["em_shape"] = RateShape?.Shape;
        foreach ((string key, Func<OnsetReading, double?> of) in Leads) data[key] = FindingsData.Number(of(this));
    }

    private static JsonObject? ChangePoint(SeriesShape? shape) => shape == null ? null : new JsonObject
    {
        ["sse"] = FindingsData.Number(shape.Change.SquaredError),
        ["index"] = shape.Change.Index,
        ["step"] = FindingsData.Number(shape.Change.Step),
        ["midpoint"] = FindingsData.Number(shape.Change.Midpoint),
        ["before"] = FindingsData.Number(shape.Change.Before),
        ["after"] = FindingsData.Number(shape.Change.After),
    };

    private static JsonObject? Logistic(SeriesShape? shape) => shape == null ? null : new JsonObject
    {
        ["sse"] = FindingsData.Number(shape.Logistic.SquaredError),
        ["plateau"] = FindingsData.Number(shape.Logistic.Plateau),
        ["midpoint"] = FindingsData.Number(shape.Logistic.Midpoint),
        ["width"] = FindingsData.Number(shape.Logistic.Width),
        ["onset_10"] = FindingsData.Number(shape.Logistic.Onset10),
        ["r2"] = FindingsData.Number(shape.LogisticRSquared),
    };
}
