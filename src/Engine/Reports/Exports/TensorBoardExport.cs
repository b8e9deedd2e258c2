namespace EmScan.Engine.Reports.Exports;

/// <summary>Rows as TensorBoard event files, a folder for each run, written as they come.</summary>
/// <param name="folder">What TensorBoard's <c>--logdir</c> is given.</param>
internal sealed class TensorBoardExport(string folder) : IScalarExport
{
    private readonly Dictionary<string, (TensorBoardWriter Writer, long Step)> _runs = [];

    /// <inheritdoc/>
    public ValueTask AddAsync(ScalarRow row, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(row);
        if (!_runs.TryGetValue(row.Run, out var run)) run = (new TensorBoardWriter(Path.Combine(folder, SafeName.Path(row.Run))), 0);

        // A final adapter whose step is not known comes after the last one that is.
        long step = row.StepNumber ?? run.Step + 1;
        run.Writer.Add(step, row.Scalars.Where(s => s.Value.HasValue).Select(s => (s.Name, s.Value!.Value)));
        _runs[row.Run] = (run.Writer, Math.Max(step, run.Step));
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<Remark?> FinishAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult<Remark?>(null);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
