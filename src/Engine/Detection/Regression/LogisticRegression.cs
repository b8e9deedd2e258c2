using System.Numerics.Tensors;

namespace EmScan.Engine.Detection.Regression;

/// <summary>
/// The probability 1 / (1 + exp(-(w.x + b))) with the w, b that minimise 1/2 |w|^2 + C sum_i log(1 + exp(-s_i (w.x_i + b))), s_i = 1 or
/// -1: scikit-learn's LogisticRegression. b is not penalised.
/// </summary>
/// <remarks>
/// Newton's method with a backtracking line search on the convex objective; the Hessian is held as the R of a Q R factorisation, so that
/// unscaled and dependent features cost no digits. It ends when the Newton decrement sqrt(g' H^-1 g), which does not depend on the
/// features' units, is at most 1e-11. As H is at least I for w, that bounds the error of w; for standardised features the gradient is
/// then below 1e-10. Where rounding does not allow that, as with nearly dependent features and a large C, it ends when the decrement has
/// stopped falling and promises a decrease below 1e-13 of the objective. The penalty keeps the minimiser finite when the classes are
/// separable.
/// Source: Boyd and Vandenberghe, Convex Optimization, section 9.5.
/// </remarks>
public sealed class LogisticRegression : LinearRegressor
{
    internal const string KindName = "logistic";

    private const double LargestDecrement = 1e-11;
    private const int MaxIterations = 200;

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
        var space = new RowSpace(x.CentredColumns(out double[] means), x.RowCount);
        var problem = new Problem(space.Columns, y, c);
        double[] solution = problem.Solve(Math.Log((double)positives / (y.Length - positives)));
        double[] coefficients = space.Lift(solution.AsSpan(0, solution.Length - 1));
        return new LogisticRegression(coefficients, solution[^1] - TensorPrimitives.Dot<double>(coefficients, means));
    }

    /// <inheritdoc/>
    public override double Predict(ReadOnlySpan<double> row) => Probability(Score(row));

    // Neither branch overflows.
    private static double Probability(double score)
    {
        double e = Math.Exp(-Math.Abs(score));
        return (score >= 0 ? 1 : e) / (1 + e);
    }

    /// <summary>The optimisation over the n = F + 1 parameters (w, b).</summary>
    private sealed class Problem
    {
        private readonly double[][] _columns; // F columns of N values, then a column of ones
        private readonly double[] _signs;     // (N), 1 or -1
        private readonly double _c;
        private readonly double[] _scores;    // (N), w.x + b

        public Problem(double[][] columns, ReadOnlySpan<bool> y, double c)
        {
            _signs = new double[y.Length];
            for (int i = 0; i < y.Length; i++) _signs[i] = y[i] ? 1 : -1;
            var ones = new double[y.Length];
            Array.Fill(ones, 1);
            _columns = [.. columns, ones];
            _c = c;
            _scores = new double[y.Length];
        }

        private int Width => _columns.Length - 1; // F

        public double[] Solve(double intercept)
        {
            var point = new double[_columns.Length];
            point[^1] = intercept;
            double objective = Evaluate(point), previous = double.PositiveInfinity;
            for (int iteration = 0; iteration < MaxIterations; iteration++)
            {
                (double[] step, double decrement) = NewtonStep(point);
                double slope = decrement * decrement;
                if (decrement > 0.5 * previous && slope <= 1e-13 * objective) return point;
                var next = new double[point.Length];
                double lowered = double.NaN;
                // At least a hundredth of the decrease that the slope promises, or, where rounding hides it, no increase.
                for (double length = 1; length > 1e-12; length /= 2)
                {
                    TensorPrimitives.MultiplyAdd(step, length, point, next);
                    lowered = Evaluate(next);
                    if (lowered <= objective - (0.01 * length * slope) + (1e-12 * objective)) break;
                }

                point = next;
                objective = lowered;
                previous = decrement;
                if (decrement <= LargestDecrement) return point;
            }

            throw new EmScanException(
                $"The logistic regression did not converge in {MaxIterations} Newton steps; standardise the features or lower C.");
        }

        /// <summary>The objective at a point; leaves the scores behind.</summary>
        private double Evaluate(ReadOnlySpan<double> point)
        {
            Array.Clear(_scores);
            for (int k = 0; k <= Width; k++) TensorPrimitives.MultiplyAdd(_columns[k], point[k], _scores, _scores);
            double loss = 0;
            for (int i = 0; i < _scores.Length; i++)
            {
                double margin = _signs[i] * _scores[i];
                double e = Math.Exp(-Math.Abs(margin));
                loss += Math.Max(-margin, 0) + (2 * Math.Atanh(e / (2 + e))); // log(1 + e), also for an e that 1 + e would swallow
            }

            ReadOnlySpan<double> w = point[..Width];
            return (0.5 * TensorPrimitives.Dot(w, w)) + (_c * loss);
        }

        /// <summary>-H^-1 g and sqrt(g' H^-1 g) at the point whose scores are at hand, with H = R'R.</summary>
        private (double[] Step, double Decrement) NewtonStep(ReadOnlySpan<double> point)
        {
            int rows = _scores.Length;
            var residuals = new double[rows]; // C (t - p)
            var roots = new double[rows];     // sqrt(C p (1 - p))
            for (int i = 0; i < rows; i++)
            {
                double miss = Probability(-_signs[i] * _scores[i]);
                residuals[i] = _c * _signs[i] * miss;
                roots[i] = Math.Sqrt(_c * miss * Probability(_signs[i] * _scores[i]));
            }

            var stacked = new double[_columns.Length][];
            var step = new double[_columns.Length]; // first -g
            for (int k = 0; k <= Width; k++)
            {
                stacked[k] = new double[rows + Width];
                TensorPrimitives.Multiply(_columns[k], roots, stacked[k].AsSpan(0, rows));
                step[k] = TensorPrimitives.Dot<double>(_columns[k], residuals);
                if (k == Width) continue;
                stacked[k][rows + k] = 1;
                step[k] -= point[k];
            }

            var qr = new HouseholderQr(stacked);
            qr.SolveLower(step);
            double decrement = TensorPrimitives.Norm<double>(step);
            qr.SolveUpper(step);
            return (step, decrement);
        }
    }
}
