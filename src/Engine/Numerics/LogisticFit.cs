using System.Numerics.Tensors;

namespace EmScan.Engine.Numerics;

/// <summary>
/// The w, b that minimise 1/2 |w|^2 + C sum_i log(1 + exp(-s_i (w.x_i + b))), s_i = 1 or -1: scikit-learn's LogisticRegression. b is not
/// penalised. The penalty keeps the minimiser finite when the classes are separable.
/// </summary>
/// <remarks>
/// Newton's method with a backtracking line search on the convex objective. The intercept is eliminated: with S = diag(p (1 - p)) and the
/// columns centred on their means under those weights, the rest of the Hessian is I + C Xc' S Xc, whose eigenvalues are at least 1, and is
/// solved by Cholesky. It ends when the Newton decrement sqrt(g' H^-1 g), which does not depend on the features' units, is at most 1e-11:
/// as H is at least I for w, that bounds the error of w. Where rounding does not allow that, as with nearly dependent features and a large
/// C, it ends when the decrement has stopped falling and promises a decrease below 1e-13 of the objective.
/// Source: Boyd and Vandenberghe, Convex Optimization, section 9.5.
/// </remarks>
/// <param name="Weights">w, (F).</param>
/// <param name="Intercept">b.</param>
/// <param name="Residuals">C (t - p), (N), t = 1 or 0 the label and p the fitted probability: w = sum_i Residuals_i x_i, and they sum to
/// zero.</param>
internal sealed record LogisticFit(double[] Weights, double Intercept, double[] Residuals)
{
    private const double LargestDecrement = 1e-11;
    private const int MaxIterations = 200;

    /// <summary>Fits.</summary>
    /// <param name="columns">F columns of N values, best centred; F no larger than it has to be (see <see cref="RowCoordinates"/>).</param>
    /// <param name="labels">(N), both classes occurring.</param>
    /// <param name="c">C, above 0.</param>
    /// <returns>Null when Newton's method does not converge in 200 steps.</returns>
    public static LogisticFit? TryFit(double[][] columns, ReadOnlySpan<bool> labels, double c)
    {
        var problem = new Problem(columns, labels, c);
        int positives = labels.Count(true);
        var point = new Point(new double[columns.Length], Math.Log((double)positives / (labels.Length - positives)));
        double objective = problem.Evaluate(point), previous = double.PositiveInfinity;
        for (int iteration = 0; iteration < MaxIterations; iteration++)
        {
            if (problem.NewtonStep(point) is not var (step, decrement)) return null;
            double slope = decrement * decrement;
            if (decrement > 0.5 * previous && slope <= 1e-13 * objective) return problem.At(point);
            Point next = point;
            double lowered = double.NaN;
            // At least a hundredth of the decrease that the slope promises, or, where rounding hides it, no increase.
            for (double length = 1; length > 1e-12; length /= 2)
            {
                next = point.Plus(step, length);
                lowered = problem.Evaluate(next);
                if (lowered <= objective - (0.01 * length * slope) + (1e-12 * objective)) break;
            }

            (point, objective, previous) = (next, lowered, decrement);
            if (decrement <= LargestDecrement) return problem.At(point);
        }

        return null;
    }

    /// <summary>1 / (1 + exp(-score)); neither branch overflows.</summary>
    public static double Probability(double score)
    {
        double e = Math.Exp(-Math.Abs(score));
        return (score >= 0 ? 1 : e) / (1 + e);
    }

    private readonly record struct Point(double[] Weights, double Intercept)
    {
        public Point Plus(Point step, double length)
        {
            var weights = new double[Weights.Length];
            TensorPrimitives.MultiplyAdd(step.Weights, length, Weights, weights);
            return new Point(weights, Intercept + (length * step.Intercept));
        }
    }

    private sealed class Problem
    {
        private readonly double[][] _columns; // F columns of N values
        private readonly double[] _signs;     // (N), 1 or -1
        private readonly double _c;
        private readonly double[] _scores;    // (N), w.x + b at the point that was evaluated last
        private readonly double[][] _scaled;  // F columns of N values, scratch

        public Problem(double[][] columns, ReadOnlySpan<bool> labels, double c)
        {
            _columns = columns;
            _c = c;
            _signs = new double[labels.Length];
            for (int i = 0; i < labels.Length; i++) _signs[i] = labels[i] ? 1 : -1;
            _scores = new double[labels.Length];
            _scaled = [.. columns.Select(column => new double[column.Length])];
        }

        /// <summary>The objective at a point; leaves the scores behind.</summary>
        public double Evaluate(Point point)
        {
            Array.Fill(_scores, point.Intercept);
            for (int k = 0; k < _columns.Length; k++) TensorPrimitives.MultiplyAdd(_columns[k], point.Weights[k], _scores, _scores);
            double loss = 0;
            for (int i = 0; i < _scores.Length; i++)
            {
                double margin = _signs[i] * _scores[i];
                double e = Math.Exp(-Math.Abs(margin));
                loss += Math.Max(-margin, 0) + (2 * Math.Atanh(e / (2 + e))); // log(1 + e), also for an e that 1 + e would swallow
            }

            return (0.5 * TensorPrimitives.SumOfSquares<double>(point.Weights)) + (_c * loss);
        }

        public LogisticFit At(Point point)
        {
            Evaluate(point);
            return new LogisticFit(point.Weights, point.Intercept, Residuals());
        }

        /// <summary>-H^-1 g and sqrt(g' H^-1 g) at the point whose scores are at hand; null when rounding leaves no positive definite H.</summary>
        public (Point Step, double Decrement)? NewtonStep(Point point)
        {
            int n = _columns.Length, rows = _scores.Length;
            double[] residuals = Residuals();
            var roots = new double[rows]; // sqrt(C p (1 - p))
            for (int i = 0; i < rows; i++) roots[i] = Math.Sqrt(_c * Probability(_scores[i]) * Probability(-_scores[i]));
            double curvature = TensorPrimitives.SumOfSquares<double>(roots), sum = TensorPrimitives.Sum<double>(residuals);

            // m = mean of each column under the weights; columns less m, times the roots; minus the gradient of w less m times that of b.
            var means = new double[n];
            var step = new double[n];
            for (int k = 0; k < n; k++)
            {
                double[] scaled = _scaled[k];
                TensorPrimitives.Multiply(_columns[k], roots, scaled);
                means[k] = curvature > 0 ? TensorPrimitives.Dot<double>(scaled, roots) / curvature : 0;
                TensorPrimitives.MultiplyAdd(roots, -means[k], scaled, scaled);
                step[k] = TensorPrimitives.Dot<double>(_columns[k], residuals) - point.Weights[k] - (means[k] * sum);
            }

            var hessian = new double[n * n];
            for (int j = 0; j < n; j++)
            {
                for (int k = 0; k < j; k++) hessian[(j * n) + k] = TensorPrimitives.Dot<double>(_scaled[j], _scaled[k]);
                hessian[(j * n) + j] = 1 + TensorPrimitives.SumOfSquares<double>(_scaled[j]);
            }

            if (Cholesky.TryFactor(hessian, n) is not { } factor) return null;
            var gradient = (double[])step.Clone();
            factor.Solve(step);
            double shift = curvature > 0 ? sum / curvature : 0;
            double decrement = Math.Sqrt(Math.Max(0, TensorPrimitives.Dot<double>(gradient, step)) + (shift * sum));
            return (new Point(step, shift - TensorPrimitives.Dot<double>(means, step)), decrement);
        }

        private double[] Residuals()
        {
            var residuals = new double[_scores.Length];
            for (int i = 0; i < residuals.Length; i++) residuals[i] = _c * _signs[i] * Probability(-_signs[i] * _scores[i]);
            return residuals;
        }
    }
}
