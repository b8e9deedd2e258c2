using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>Some of the features, as they are.</summary>
internal sealed class ColumnSelection : ITransform
{
    internal const string KindName = "column_selection";

    private readonly int[] _columns;

    internal ColumnSelection(int features, int[] columns) => (InputCount, _columns) = (features, columns);

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int InputCount { get; }

    /// <inheritdoc/>
    public int OutputCount => _columns.Length;

    /// <summary>The features that are kept, in ascending order.</summary>
    public ReadOnlySpan<int> Columns => _columns;

    /// <summary>Keeps the features that vary most over the rows; of equally variable ones the first.</summary>
    /// <param name="x">(N, F).</param>
    /// <param name="count">How many; all of them where there are fewer.</param>
    public static ColumnSelection MostVarying(FeatureMatrix x, int count)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        double[] variation = [.. x.CentredColumns(out _).Select(column => TensorPrimitives.SumOfSquares<double>(column))];
        return new ColumnSelection(x.FeatureCount, [.. Enumerable.Range(0, x.FeatureCount).OrderByDescending(f => variation[f]).Take(count).Order()]);
    }

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> row, Span<double> result)
    {
        Guard.Row(row, InputCount);
        Guard.Result(result, OutputCount);
        for (int i = 0; i < _columns.Length; i++) result[i] = row[_columns[i]];
    }
}
