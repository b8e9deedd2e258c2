using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>What transforms onto a few axes share: the rows' mean, (F), and M axes, (M, F) row-major. Immutable.</summary>
internal sealed class ComponentBasis(double[] mean, double[][] axes)
{
    public double[] Mean { get; } = mean;

    public double[][] Rows { get; } = axes;

    /// <summary>result[m] = axis m . (row - mean).</summary>
    public void Project(ReadOnlySpan<double> row, Span<double> result)
    {
        Guard.Row(row, Mean.Length);
        Guard.Result(result, Rows.Length);
        result.Clear();
        // Centred before the product: axis . row - axis . mean would cancel where the mean is far from zero.
        for (int f = 0; f < row.Length; f++)
        {
            double deviation = row[f] - Mean[f];
            for (int m = 0; m < result.Length; m++) result[m] += deviation * Rows[m][f];
        }
    }

    /// <summary>
    /// Turns an axis so that its largest entry is positive; of entries that agree in magnitude to 1e-9, the first decides.
    /// </summary>
    public static void Orient(Span<double> axis)
    {
        double largest = Math.Abs(TensorPrimitives.MaxMagnitude<double>(axis));
        foreach (double entry in axis)
        {
            if (Math.Abs(entry) < largest * (1 - 1e-9)) continue;
            if (entry < 0) TensorPrimitives.Negate(axis, axis);
            return;
        }
    }
}
