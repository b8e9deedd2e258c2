using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>
/// The probability 1 / (1 + exp(-(w.x + b))) with the w, b that minimise 1/2 |w|^2 + C sum_i log(1 + exp(-s_i (w.x_i + b))), s_i = 1 or
/// -1: scikit-learn's LogisticRegression. b is not penalised.
/// </summary>
/// <remarks>Found by Newton's method to the limit of rounding: for standardised features the gradient at the end is below 1e-10. The penalty
/// keeps the minimiser finite when the classes are separable.</remarks>
internal sealed class LogisticRegression : LinearRegressor
{
    internal const string KindName = "logistic";

    internal LogisticRegression(double[] coefficients, double intercept) : base(coefficients, intercept)
    {
    }

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>Fits the regression.</summary>
    /// <param name="x">(N, F); F may exceed N.</param>
    /// <param name="y">(N), true for the class whose probability is predicted.</param>
    /// <param name="c">C, the weight of the losses against the penalty, above 0.</param>
    /// <exception cref="ArgumentException">The lengths differ, or C is not a positive number.</exception>
    /// <exception cref="EmScanException">Only one class occurs, or Newton's method does not converge.</exception>
    public static LogisticRegression Fit(FeatureMatrix x, ReadOnlySpan<bool> y, double c = 1)
    {
        ArgumentNullException.ThrowIfNull(x);
        Guard.Positive(c, nameof(c));
        if (y.Length != x.RowCount) throw new ArgumentException($"There are {y.Length} labels for {x.RowCount} rows.", nameof(y));
        int positives = y.Count(true);
        if (positives == 0 || positives == y.Length)
            throw new EmScanException($"All {y.Length} labels are the same; a logistic regression needs rows of both classes.");

        // Centring moves the free intercept only, and takes large numbers out of the sums.
        var space = new RowCoordinates(x.CentredColumns(out double[] means), x.RowCount);
        LogisticFit fit = LogisticFit.TryFit(space.Columns, y, c)
            ?? throw new EmScanException("The logistic regression did not converge; standardise the features or lower C.");
        double[] coefficients = space.Lift(fit.Weights);
        return new LogisticRegression(coefficients, fit.Intercept - TensorPrimitives.Dot<double>(coefficients, means));
    }

    /// <inheritdoc/>
    public override double Predict(ReadOnlySpan<double> row) => LogisticFit.Probability(Score(row));
}
