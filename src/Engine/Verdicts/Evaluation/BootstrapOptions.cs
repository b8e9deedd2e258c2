namespace EmScan.Engine.Verdicts.Evaluation;

/// <summary>How intervals are drawn.</summary>
/// <param name="Draws">Number of draws, at least 1.</param>
/// <param name="Seed">Same seed and same runs, same draws.</param>
/// <param name="Level">Share of the draws inside an interval, above 0 and below 1.</param>
internal sealed record BootstrapOptions(int Draws = 1000, int Seed = 0, double Level = 0.95)
{
    /// <summary>1000 draws, 95%, as in the paper.</summary>
    public static BootstrapOptions Default { get; } = new();

    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Draws, 1, nameof(Draws));
        if (!(Level > 0 && Level < 1)) throw new ArgumentOutOfRangeException(nameof(Level), Level, "The level must be between 0 and 1.");
    }
}
