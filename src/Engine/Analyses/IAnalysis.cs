using EmScan.Engine.Measuring;
using EmScan.Engine.Measuring.Shards;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses;

/// <summary>
/// A question about a model and its adapters: which cells answer it, and what follows from them. Reading files, running the model,
/// remembering, resuming and reporting are done elsewhere.
/// </summary>
internal interface IAnalysis
{
    /// <summary>
    /// What has to be measured, in stages: a stage is measured before the next one is asked for, so that a later one can build on
    /// <see cref="AnalysisContext.Results"/> of an earlier one. Cells of one variant should stand side by side: they share a pass through
    /// the model.
    /// </summary>
    IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context);

    /// <summary>How far the plan has come, where its stages are many small ones; null where the variants of the stage at hand are counted.</summary>
    ScanProgress? Progress => null;

    /// <summary>What follows from the results of the planned cells.</summary>
    /// <exception cref="EmScanException">Nothing follows; the sentence says why.</exception>
    Findings Conclude(AnalysisContext context);
}

/// <summary>Results by cell, read back from the store when they are asked for.</summary>
internal sealed class CellResults
{
    private readonly CellStore _store;
    private readonly ModelIdentity _model;
    // By name: an analysis may make a variant anew whenever it speaks of it.
    private readonly Dictionary<string, string> _failures = [];

    /// <summary>Whether other processes measure a part: then a result that is not there yet is not one that cannot be had.</summary>
    internal bool IsShared { get; init; }

    internal CellResults(CellStore store, ModelIdentity model) => (_store, _model) = (store, model);

    /// <summary>The result of a cell.</summary>
    /// <exception cref="EmScanException">Its variant could not be measured; the sentence says why.</exception>
    /// <exception cref="KeyNotFoundException">The cell was not planned.</exception>
    public CellResult this[Cell cell] => Find(cell) ?? throw (_failures.TryGetValue(cell.Variant.Name, out string? sentence)
        ? new EmScanException(sentence)
        : new KeyNotFoundException($"There is no result for '{cell.Prompts.Name}' under {cell.Variant}; the cell was not planned."));

    /// <summary>The result of a cell, or null when its variant could not be measured.</summary>
    public CellResult? Find(Cell cell)
    {
        ArgumentNullException.ThrowIfNull(cell);
        if (_failures.ContainsKey(cell.Variant.Name)) return null;
        if (_store.TryGet(cell.Key(_model), out CellResult? result)) return result;
        return IsShared ? throw new ResultElsewhereException(cell.Variant) : null;
    }

    /// <summary>Whether a cell is on record.</summary>
    public bool Has(Cell cell)
    {
        ArgumentNullException.ThrowIfNull(cell);
        return _store.Contains(cell.Key(_model));
    }

    /// <summary>Whether results of cells of one variant are there, or cannot be had.</summary>
    internal bool IsKnown(IReadOnlyList<Cell> cells)
    {
        if (_failures.ContainsKey(cells[0].Variant.Name)) return true;
        try
        {
            return cells.All(cell => _store.Contains(cell.Key(_model)));
        }
        catch (InputFileException)
        {
            // An adapter cannot be read: whoever measures it says so.
            return false;
        }
    }

    internal void Failed(Variant variant, string sentence) => _failures[variant.Name] = sentence;
}
