namespace EmScan.Engine.Verdicts.Regression;

/// <summary>
/// Features in single precision by column, and the order of the rows by each: sorted once, shared by all trees. 8 bytes a feature value.
/// Immutable, thread safe.
/// </summary>
internal sealed class SortedFeatures
{
    private readonly float[][] _columns;
    private readonly int[][] _orders;

    public SortedFeatures(FeatureMatrix x)
    {
        RowCount = x.RowCount;
        _columns = new float[x.FeatureCount][];
        _orders = new int[x.FeatureCount][];
        for (int f = 0; f < x.FeatureCount; f++)
        {
            var column = new float[RowCount];
            var order = new int[RowCount];
            for (int i = 0; i < RowCount; i++)
            {
                column[i] = (float)x.Row(i)[f];
                order[i] = i;
            }

            Array.Sort((float[])column.Clone(), order);
            _columns[f] = column;
            _orders[f] = order;
        }
    }

    public int RowCount { get; }

    public int FeatureCount => _columns.Length;

    /// <summary>Feature f of every row, (N).</summary>
    public ReadOnlySpan<float> Column(int f) => _columns[f];

    /// <summary>Row numbers by ascending feature f, (N).</summary>
    public ReadOnlySpan<int> Order(int f) => _orders[f];
}
