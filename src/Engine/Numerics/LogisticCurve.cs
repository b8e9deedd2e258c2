namespace EmScan.Engine.Numerics;

/// <summary>The curve a / (1 + exp(-(x - m) / w)) that is nearest to points in the least squares sense, w bounded below.</summary>
/// <remarks>
/// For given m and w the best a is linear in the points, so a grid over m and w finds the valley and Levenberg's and Marquardt's method
/// (Nocedal and Wright, Numerical Optimization, section 10.3) its floor; parameters at a bound that the descent would leave are held there.
/// A step between two points is fitted equally well by every small width; the bound, a tenth of the spacing, ends that.
/// </remarks>
/// <param name="Plateau">a, in the unit of y.</param>
/// <param name="Midpoint">m, where half of the plateau is reached; within a span of x on either side of the points.</param>
/// <param name="Width">w, in the unit of x.</param>
/// <param name="SquaredError">Sum of squared residuals.</param>
internal sealed record LogisticCurve(double Plateau, double Midpoint, double Width, double SquaredError)
{
    private const int MaxIterations = 200, MostMidpoints = 64;

    /// <summary>Where a tenth of the plateau is reached: m - w ln 9.</summary>
    public double Onset10 => Midpoint - (Width * Math.Log(9));

    /// <summary>The least width that is told apart at a spacing.</summary>
    public static double LeastWidth(double spacing) => spacing / 10;

    /// <summary>The value at x.</summary>
    public double At(double x) => Plateau * LogisticFit.Probability((x - Midpoint) / Width);

    /// <summary>Fits.</summary>
    /// <param name="x">(n), ascending, n at least 3.</param>
    /// <param name="y">(n), finite.</param>
    /// <param name="leastWidth">Lower bound of w, above 0.</param>
    /// <param name="near">A curve that is known to be near, from which alone the descent begins; null to look everywhere.</param>
    /// <exception cref="ArgumentException">The lengths differ, or there are fewer than three points.</exception>
    public static LogisticCurve Of(ReadOnlySpan<double> x, ReadOnlySpan<double> y, double leastWidth, LogisticCurve? near = null)
    {
        if (x.Length != y.Length || x.Length < 3)
            throw new ArgumentException($"{x.Length} and {y.Length} values give no logistic curve; there must be as many of both, at least 3.", nameof(y));
        var fit = new Descent(x.ToArray(), y.ToArray(), leastWidth);
        if (near != null) return fit.From(near.Midpoint, Math.Log(near.Width));
        LogisticCurve? best = null;
        foreach ((double midpoint, double logWidth) in fit.Valleys())
        {
            LogisticCurve found = fit.From(midpoint, logWidth);
            if (best == null || found.SquaredError < best.SquaredError) best = found;
        }

        return best!;
    }

    private sealed class Descent(double[] x, double[] y, double leastWidth)
    {
        private readonly double _span = x[^1] - x[0];
        private readonly double[] _low = [double.NegativeInfinity, x[0] - (x[^1] - x[0]), Math.Log(leastWidth)];
        private readonly double[] _high = [double.PositiveInfinity, x[^1] + (x[^1] - x[0]), Math.Log(Math.Max(leastWidth, 2 * (x[^1] - x[0])))];

        /// <summary>The best grid points of different widths.</summary>
        internal IEnumerable<(double Midpoint, double LogWidth)> Valleys()
        {
            int midpoints = Math.Min(MostMidpoints, 4 * x.Length);
            var found = new List<(double Error, double Midpoint, double LogWidth)>();
            for (double width = leastWidth; width < 2 * _span; width *= 2)
            {
                (double Error, double Midpoint, double LogWidth) best = (double.PositiveInfinity, x[0], Math.Log(width));
                for (int i = 0; i <= midpoints; i++)
                {
                    double midpoint = x[0] - (_span / 2) + (2 * _span * i / midpoints), error = Error(midpoint, Math.Log(width), out _);
                    if (error < best.Error) best = (error, midpoint, Math.Log(width));
                }

                found.Add(best);
            }

            return found.OrderBy(f => f.Error).Take(4).Select(f => (f.Midpoint, f.LogWidth));
        }

        internal LogisticCurve From(double midpoint, double logWidth)
        {
            double[] p = [0, Math.Clamp(midpoint, _low[1], _high[1]), Math.Clamp(logWidth, _low[2], _high[2])];
            double error = Error(p[1], p[2], out p[0]), damping = 1e-3;
            for (int iteration = 0; iteration < MaxIterations; iteration++)
            {
                (double[] normal, double[] gradient) = Model(p);
                double next = double.PositiveInfinity;
                double[] at = p;
                while (damping < 1e12)
                {
                    var damped = (double[])normal.Clone();
                    for (int k = 0; k < 3; k++) damped[4 * k] += damping * Math.Max(damped[4 * k], 1e-300);
                    var step = (double[])gradient.Clone();
                    if (Cholesky.TryFactor(damped, 3) is { } factor)
                    {
                        factor.Solve(step);
                        at = [p[0] + step[0], Math.Clamp(p[1] + step[1], _low[1], _high[1]), Math.Clamp(p[2] + step[2], _low[2], _high[2])];
                        next = Error(at[1], at[2], out at[0]);
                        if (next <= error) break;
                    }

                    damping *= 4;
                }

                if (!(next <= error)) break;
                double gain = error - next;
                (p, error, damping) = (at, next, damping / 10);
                if (gain <= 1e-14 * error) break;
            }

            return new LogisticCurve(p[0], p[1], Math.Exp(p[2]), error);
        }

        /// <summary>Least sum of squares over a, and that a.</summary>
        private double Error(double midpoint, double logWidth, out double plateau)
        {
            double width = Math.Exp(logWidth), products = 0, squares = 0, error = 0;
            Span<double> g = x.Length <= 256 ? stackalloc double[x.Length] : new double[x.Length];
            for (int i = 0; i < x.Length; i++)
            {
                g[i] = LogisticFit.Probability((x[i] - midpoint) / width);
                products += g[i] * y[i];
                squares += g[i] * g[i];
            }

            plateau = squares > 0 ? products / squares : 0;
            for (int i = 0; i < x.Length; i++) error += (y[i] - (plateau * g[i])) * (y[i] - (plateau * g[i]));
            return error;
        }

        /// <summary>J'J (3, 3) and J'r of the residuals; rows of parameters that are held at a bound are those of the identity.</summary>
        private (double[] Normal, double[] Gradient) Model(double[] p)
        {
            double width = Math.Exp(p[2]);
            var normal = new double[9];
            var gradient = new double[3];
            Span<double> derivatives = stackalloc double[3];
            for (int i = 0; i < x.Length; i++)
            {
                double z = (x[i] - p[1]) / width, g = LogisticFit.Probability(z), slope = p[0] * g * LogisticFit.Probability(-z);
                derivatives[0] = g;
                derivatives[1] = -slope / width;
                derivatives[2] = -slope * z;
                double residual = y[i] - (p[0] * g);
                for (int j = 0; j < 3; j++)
                {
                    gradient[j] += derivatives[j] * residual;
                    for (int k = 0; k < 3; k++) normal[(3 * j) + k] += derivatives[j] * derivatives[k];
                }
            }

            for (int k = 1; k < 3; k++)
            {
                if (!((p[k] <= _low[k] && gradient[k] < 0) || (p[k] >= _high[k] && gradient[k] > 0))) continue;
                gradient[k] = 0;
                for (int j = 0; j < 3; j++) (normal[(3 * j) + k], normal[(3 * k) + j]) = (0, 0);
                normal[4 * k] = 1;
            }

            return (normal, gradient);
        }
    }
}
