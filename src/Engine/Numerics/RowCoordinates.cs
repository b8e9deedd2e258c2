namespace EmScan.Engine.Numerics;

/// <summary>
/// Rows in coordinates of no more dimensions than there are rows: a rotation of the features, which no L2 penalty notices. Linear fits on
/// F >> N features cost as much as on N.
/// </summary>
/// <remarks>With X' = Q R, row i of X is column i of R in the basis Q; w = Q v has the norm of v and the products with the rows that v has
/// with the coordinates.</remarks>
internal sealed class RowCoordinates
{
    private readonly ThinQr? _qr; // null: the features themselves

    /// <summary>Finds the coordinates.</summary>
    /// <param name="columns">F columns of N values.</param>
    /// <param name="rows">N.</param>
    public RowCoordinates(double[][] columns, int rows)
    {
        Columns = columns;
        if (columns.Length <= rows) return;
        _qr = new ThinQr([.. Enumerable.Range(0, rows).Select(i => (double[])[.. columns.Select(column => column[i])])]);
        Columns = [.. Enumerable.Range(0, rows).Select(k => (double[])[.. Enumerable.Range(0, rows).Select(i => _qr.R(k, i))])];
    }

    /// <summary>min(N, F) columns of N values: the rows in the new coordinates.</summary>
    public double[][] Columns { get; }

    /// <summary>Coefficients of the features, (F), from those of the coordinates.</summary>
    public double[] Lift(double[] coefficients) => _qr?.Multiply(coefficients) ?? coefficients;
}
