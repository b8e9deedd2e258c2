namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>A closed interval, in the unit of the number that it belongs to.</summary>
/// <param name="Low">Lower end.</param>
/// <param name="High">Upper end, not below <paramref name="Low"/>.</param>
public readonly record struct Interval(double Low, double High)
{
    /// <summary>High - Low.</summary>
    public double Width => High - Low;

    /// <summary>Whether a value lies inside, the ends included.</summary>
    public bool Contains(double value) => value >= Low && value <= High;
}
