namespace EmScan.Engine.Measuring;

/// <summary>A cell and what becomes of its rows.</summary>
internal sealed class CellSubscription(Cell cell, int width)
{
    internal Cell Cell { get; } = cell;
    internal Accumulator Accumulator { get; } = cell.Reducer.Start(cell.Prompts, width);
}
