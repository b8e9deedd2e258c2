using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>
/// w.x + b with the w, b that minimise sum_i (y_i - w.x_i - b)^2 + alpha |w|^2: scikit-learn's Ridge. b is not penalised.
/// </summary>
internal sealed class RidgeRegression : LinearRegressor
{
    internal const string KindName = "ridge";

    internal RidgeRegression(double[] coefficients, double intercept) : base(coefficients, intercept)
    {
    }

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>Fits by an orthogonal factorisation of the centred features stacked on sqrt(alpha) I.</summary>
    /// <param name="x">(N, F), N at least 2; F may exceed N.</param>
    /// <param name="y">(N) targets.</param>
    /// <param name="alpha">Weight of the penalty, above 0.</param>
    /// <exception cref="ArgumentException">The lengths differ, or alpha is not a positive number.</exception>
    /// <exception cref="EmScanException">There are too few rows, or the targets are not finite or all the same.</exception>
    public static RidgeRegression Fit(FeatureMatrix x, ReadOnlySpan<double> y, double alpha = 1)
    {
        Guard.Targets(x, y);
        Guard.Positive(alpha, nameof(alpha));
        int rows = x.RowCount;
        var space = new RowCoordinates(x.CentredColumns(out double[] means), rows);
        int width = space.Columns.Length;
        var stacked = new double[width][];
        for (int k = 0; k < width; k++)
        {
            stacked[k] = new double[rows + width];
            space.Columns[k].CopyTo(stacked[k], 0);
            stacked[k][rows + k] = Math.Sqrt(alpha);
        }

        var target = new double[rows + width];
        double mean = TensorPrimitives.Sum(y) / rows;
        TensorPrimitives.Subtract(y, mean, target.AsSpan(0, rows));
        double[] coefficients = space.Lift(new ThinQr(stacked).LeastSquares(target));
        return new RidgeRegression(coefficients, mean - TensorPrimitives.Dot<double>(coefficients, means));
    }

    /// <inheritdoc/>
    public override double Predict(ReadOnlySpan<double> row) => Score(row);
}
