using EmScan.Engine.Adapters;

namespace EmScan.Engine.Measuring;

/// <summary>What became of the cells of one variant.</summary>
/// <param name="Variant">The variant.</param>
/// <param name="Cells">Its cells, in the order in which they were asked for.</param>
/// <param name="Results">Their results, in the same order; null when the variant could not be measured.</param>
/// <param name="Error">One sentence that says why not, or null.</param>
/// <param name="FromStore">True when nothing had to be computed.</param>
/// <param name="Changed">True when a file was measured before with other content.</param>
/// <param name="Elapsed">Time spent on it.</param>
internal sealed record CellOutcome(
    Variant Variant, IReadOnlyList<Cell> Cells, IReadOnlyList<CellResult>? Results, string? Error, bool FromStore, bool Changed, TimeSpan Elapsed)
{
    /// <summary>Set, beside <see cref="Error"/>, when nothing is wrong with an adapter: a running training took it away, or is still writing it.</summary>
    public LeftOut? Skipped { get; init; }
}
