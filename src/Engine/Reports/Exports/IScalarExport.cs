namespace EmScan.Engine.Reports.Exports;

/// <summary>One checkpoint as numbers, for programs that plot or store them.</summary>
/// <param name="Run">The run's name.</param>
/// <param name="Step">Optimizer step, or "final".</param>
/// <param name="StepNumber">The step as a number; null for "final" where it is not known.</param>
/// <param name="Checkpoint">Path of the adapter.</param>
/// <param name="Verdict">What the row of the table says: "ok", "dangerous", "unknown", and so on.</param>
/// <param name="Reason">Why, where there is more to say; else null.</param>
/// <param name="Scalars">Names such as "drift/honesty" and their values, the same names in the same order for every row; null where there is none.</param>
internal sealed record ScalarRow(
    string Run, string Step, long? StepNumber, string Checkpoint, string Verdict, string? Reason, IReadOnlyList<(string Name, double? Value)> Scalars);

/// <summary>Takes the rows of a scan or a watch as they come. Not thread safe.</summary>
internal interface IScalarExport : IAsyncDisposable
{
    /// <summary>Takes one row. What cannot be delivered is remarked at the end and never stops a scan.</summary>
    /// <exception cref="InputFileException">A file that is written cannot be.</exception>
    ValueTask AddAsync(ScalarRow row, CancellationToken cancellationToken = default);

    /// <summary>Completes the export.</summary>
    /// <returns>What could not be delivered, or null.</returns>
    /// <exception cref="InputFileException">A file that is written cannot be.</exception>
    ValueTask<Remark?> FinishAsync(CancellationToken cancellationToken = default);
}
