using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>
/// mean(y) + sum_i c_i exp(-|x - x_i|^2 / (2 s^2)) with c = (G + alpha I)^-1 (y - mean(y)), G the Gaussian kernel between the training
/// rows: scikit-learn's KernelRidge with kernel "rbf", gamma = 1 / (2 s^2), on centred targets.
/// </summary>
/// <remarks>
/// Smooth where trees are steps, and it returns to mean(y) far from all training rows instead of going on in a line. The training rows are
/// rounded to single precision before the fit: they are stored with the regressor, and twice the digits would say nothing more. Immutable,
/// thread safe. O(N^3) to fit, O(N F) to predict.
/// </remarks>
internal sealed class KernelRidgeRegression : IRegressor
{
    internal const string KindName = "kernel_ridge";

    /// <summary>More rows than this make a matrix of over 2 GB.</summary>
    private const int MostRows = 16_000;

    private readonly double[] _points; // (N, F)
    private readonly double[] _coefficients; // (N)

    internal KernelRidgeRegression(int featureCount, double[] points, double[] coefficients, double targetMean, double lengthScale)
    {
        FeatureCount = featureCount;
        _points = points;
        _coefficients = coefficients;
        TargetMean = targetMean;
        LengthScale = lengthScale;
    }

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int FeatureCount { get; }

    /// <summary>Training rows, (N, F) row-major.</summary>
    public ReadOnlySpan<double> Points => _points;

    /// <summary>c, (N).</summary>
    public ReadOnlySpan<double> Coefficients => _coefficients;

    /// <summary>mean(y).</summary>
    public double TargetMean { get; }

    /// <summary>s, in units of the features.</summary>
    public double LengthScale { get; }

    /// <summary>Fits by a Cholesky factorisation of G + alpha I.</summary>
    /// <param name="x">(N, F), N from 2 to 16,000; on one scale (see <see cref="Standardizer"/>).</param>
    /// <param name="y">(N) targets.</param>
    /// <param name="lengthScale">s, above 0.</param>
    /// <param name="alpha">Weight of the penalty, above 0.</param>
    /// <exception cref="ArgumentException">The lengths differ, or a parameter is not a positive number.</exception>
    /// <exception cref="EmScanException">There are too few or too many rows, or the targets are not finite or all the same.</exception>
    public static KernelRidgeRegression Fit(FeatureMatrix x, ReadOnlySpan<double> y, double lengthScale = 3, double alpha = 0.2)
    {
        Guard.Targets(x, y);
        Guard.Positive(lengthScale, nameof(lengthScale));
        Guard.Positive(alpha, nameof(alpha));
        int rows = x.RowCount, features = x.FeatureCount;
        if (rows > MostRows) throw new EmScanException($"{rows} checkpoints are too many for a kernel ridge regression, which takes up to {MostRows}; use another regressor.");
        double[] points = new double[rows * features];
        for (int i = 0; i < points.Length; i++) points[i] = (float)x.Values[i];

        double[] gram = new double[(long)rows * rows];
        for (int i = 0; i < rows; i++)
        {
            ReadOnlySpan<double> point = points.AsSpan(i * features, features);
            for (int j = 0; j < i; j++) gram[((long)i * rows) + j] = Kernel(point, points.AsSpan(j * features, features), lengthScale);
            gram[((long)i * rows) + i] = 1 + alpha;
        }

        Cholesky factor = Cholesky.TryFactor(gram, rows)
            ?? throw new EmScanException("The kernel of the checkpoints is not positive definite; use a larger alpha.");
        double mean = TensorPrimitives.Sum(y) / rows;
        double[] coefficients = new double[rows];
        TensorPrimitives.Subtract(y, mean, coefficients);
        factor.Solve(coefficients);
        return new KernelRidgeRegression(features, points, coefficients, mean, lengthScale);
    }

    /// <inheritdoc/>
    public double Predict(ReadOnlySpan<double> row)
    {
        Guard.Row(row, FeatureCount);
        double sum = TargetMean;
        for (int i = 0; i < _coefficients.Length; i++)
            sum += _coefficients[i] * Kernel(row, _points.AsSpan(i * FeatureCount, FeatureCount), LengthScale);
        return sum;
    }

    private static double Kernel(ReadOnlySpan<double> a, ReadOnlySpan<double> b, double lengthScale)
    {
        double distance = TensorPrimitives.Distance(a, b) / lengthScale;
        return Math.Exp(-0.5 * distance * distance);
    }
}
