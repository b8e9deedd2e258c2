using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>N rows (checkpoints) of F features, float64, row-major (N, F). Immutable, therefore thread safe.</summary>
internal sealed class FeatureMatrix
{
    /// <summary>
    /// No feature and no target may exceed this magnitude: trees compare features in single precision, which ends near 3.4e38, and squares
    /// and sums of squares stay far from the end of double precision.
    /// </summary>
    public const double LargestMagnitude = 1e38;

    private readonly double[] _values; // (N, F)

    /// <summary>Copies and checks the values.</summary>
    /// <param name="rowCount">N, at least 1.</param>
    /// <param name="featureCount">F, at least 1.</param>
    /// <param name="values">(N, F), row-major.</param>
    /// <exception cref="ArgumentException">A count is below 1, or the number of values is not N * F.</exception>
    /// <exception cref="EmScanException">A value is NaN, infinite or beyond <see cref="LargestMagnitude"/>.</exception>
    public FeatureMatrix(int rowCount, int featureCount, ReadOnlySpan<double> values)
    {
        if (rowCount < 1) throw new ArgumentException($"There are {rowCount} rows; there must be at least 1.", nameof(rowCount));
        if (featureCount < 1)
            throw new ArgumentException($"There are {featureCount} features; there must be at least 1.", nameof(featureCount));
        if (values.Length != (long)rowCount * featureCount)
            throw new ArgumentException($"{values.Length} values are not {rowCount} rows of {featureCount} features.", nameof(values));
        for (int i = 0; i < values.Length; i++)
        {
            if (IsUsable(values[i])) continue;
            string where = $"Feature {i % featureCount} of row {i / featureCount} (counted from 0)";
            throw new EmScanException($"{where} is {values[i]}; features must be finite numbers within 1e38.");
        }

        RowCount = rowCount;
        FeatureCount = featureCount;
        _values = values.ToArray();
    }

    /// <summary>N.</summary>
    public int RowCount { get; }

    /// <summary>F.</summary>
    public int FeatureCount { get; }

    /// <summary>All values, (N, F), row-major.</summary>
    public ReadOnlySpan<double> Values => _values;

    /// <summary>Row i, (F).</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row.</exception>
    public ReadOnlySpan<double> Row(int i)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(i);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(i, RowCount);
        return _values.AsSpan(i * FeatureCount, FeatureCount);
    }

    /// <summary>Makes a matrix of rows of the same length.</summary>
    /// <exception cref="ArgumentException">There is no row, a row is empty, or the lengths differ.</exception>
    /// <exception cref="EmScanException">A value is NaN, infinite or beyond <see cref="LargestMagnitude"/>.</exception>
    public static FeatureMatrix FromRows(IReadOnlyList<double[]> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (rows.Count == 0) throw new ArgumentException("There are no rows.", nameof(rows));
        int features = rows[0].Length;
        for (int i = 0; i < rows.Count; i++)
        {
            if (rows[i].Length != features)
                throw new ArgumentException($"Row {i} has {rows[i].Length} features, row 0 has {features}.", nameof(rows));
        }

        return new FeatureMatrix(rows.Count, features, (double[])[.. rows.SelectMany(row => row)]);
    }

    /// <summary>A matrix of some of the rows, in the given order; a row may occur several times.</summary>
    /// <param name="rows">Row numbers, at least one.</param>
    /// <exception cref="ArgumentException">There is none, or there is no such row.</exception>
    public FeatureMatrix SelectRows(ReadOnlySpan<int> rows)
    {
        var values = new double[checked(rows.Length * FeatureCount)];
        for (int i = 0; i < rows.Length; i++) Row(rows[i]).CopyTo(values.AsSpan(i * FeatureCount));
        return new FeatureMatrix(rows.Length, FeatureCount, values);
    }

    /// <summary>Applies a transform to every row.</summary>
    /// <returns>(N, <see cref="ITransform.OutputCount"/>).</returns>
    /// <exception cref="ArgumentException">The transform takes another number of features.</exception>
    public FeatureMatrix Apply(ITransform transform)
    {
        ArgumentNullException.ThrowIfNull(transform);
        var values = new double[checked(RowCount * transform.OutputCount)];
        for (int i = 0; i < RowCount; i++) transform.Apply(Row(i), values.AsSpan(i * transform.OutputCount, transform.OutputCount));
        return new FeatureMatrix(RowCount, transform.OutputCount, values);
    }

    /// <summary>Whether a feature or a target can be computed with.</summary>
    internal static bool IsUsable(double value) => Math.Abs(value) <= LargestMagnitude;

    /// <summary>The features as F columns of N values.</summary>
    internal double[][] Columns()
    {
        var columns = new double[FeatureCount][];
        for (int f = 0; f < FeatureCount; f++)
        {
            columns[f] = new double[RowCount];
            for (int i = 0; i < RowCount; i++) columns[f][i] = _values[(i * FeatureCount) + f];
        }

        return columns;
    }

    /// <summary>The columns less their means.</summary>
    /// <param name="means">(F).</param>
    internal double[][] CentredColumns(out double[] means)
    {
        double[][] columns = Columns();
        means = new double[FeatureCount];
        for (int f = 0; f < FeatureCount; f++)
        {
            means[f] = TensorPrimitives.Sum<double>(columns[f]) / RowCount;
            TensorPrimitives.Subtract(columns[f], means[f], columns[f]);
        }

        return columns;
    }
}
