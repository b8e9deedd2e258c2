namespace EmScan.Engine.Detection.Regression;

/// <summary>
/// Rows in coordinates of no more dimensions than there are rows: a rotation of the features, which no L2 penalty notices. Linear fits on
/// F >> N features cost as much as on N.
/// </summary>
/// <remarks>With X' = Q R, row i of X is column i of R in the basis Q; w = Q v has the norm of v and the products with the rows that v has
/// with the coordinates.</remarks>
internal sealed class RowSpace
{
    private readonly HouseholderQr? _qr; // null: the features themselves
    private readonly int _featureCount;

    /// <summary>Finds the coordinates.</summary>
    /// <param name="columns">F columns of N values.</param>
    /// <param name="rows">N.</param>
    public RowSpace(double[][] columns, int rows)
    {
        _featureCount = columns.Length;
        Columns = columns;
        if (_featureCount <= rows) return;
        var transposed = new double[rows][];
        for (int i = 0; i < rows; i++)
        {
            transposed[i] = new double[_featureCount];
            for (int f = 0; f < _featureCount; f++) transposed[i][f] = columns[f][i];
        }

        _qr = new HouseholderQr(transposed);
        Columns = new double[rows][];
        for (int k = 0; k < rows; k++)
        {
            Columns[k] = new double[rows];
            for (int i = 0; i < rows; i++) Columns[k][i] = _qr.R(k, i);
        }
    }

    /// <summary>min(N, F) columns of N values: the rows in the new coordinates.</summary>
    public double[][] Columns { get; }

    /// <summary>Coefficients of the features, (F), from those of the coordinates.</summary>
    public double[] Lift(ReadOnlySpan<double> coefficients)
    {
        var lifted = new double[_featureCount];
        coefficients.CopyTo(lifted);
        _qr?.Apply(lifted);
        return lifted;
    }
}
