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

    /// <summary>Rows that the mean of other functions counts for, where the wanted function has few of its own.</summary>
    internal const int PriorRows = 8;

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
        double mean = TensorPrimitives.Sum(y) / y.Length;
        return Fit(x, y, lengthScale, alpha, _ => mean, (_, _) => 1);
    }

    private static KernelRidgeRegression Fit(
        FeatureMatrix x, ReadOnlySpan<double> y, double lengthScale, double alpha, Func<int, double> mean, Func<int, int, double> relation)
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
            for (int j = 0; j < i; j++) gram[((long)i * rows) + j] = relation(i, j) * Kernel(point, points.AsSpan(j * features, features), lengthScale);
            gram[((long)i * rows) + i] = 1 + alpha;
        }

        Cholesky factor = Cholesky.TryFactor(gram, rows)
            ?? throw new EmScanException("The kernel of the checkpoints is not positive definite; use a larger alpha.");
        double[] coefficients = new double[rows];
        for (int i = 0; i < rows; i++) coefficients[i] = y[i] - mean(i);
        factor.Solve(coefficients);
        return new KernelRidgeRegression(features, points, coefficients, mean(0), lengthScale);
    }

    /// <summary>
    /// The same for several related functions of which the first is wanted: the kernel between rows of different functions is <paramref name="relation"/>
    /// times what it is between rows of one (Bonilla, Chai and Williams, "Multi-task Gaussian process prediction", 2007), and each function has a mean of
    /// its own, the first one's drawn to that of all others as by <see cref="PriorRows"/> rows of it. With a relation of 0 the others tell nothing but that mean, with 1 all rows are of one function.
    /// </summary>
    /// <param name="x">(N, F), rows of the first function first; on one scale.</param>
    /// <param name="y">(N) targets.</param>
    /// <param name="functions">(N), the function that a row is of; 0 is the one that is predicted.</param>
    /// <param name="relation">From 0 to 1.</param>
    /// <param name="lengthScale">s, above 0.</param>
    /// <param name="alpha">Weight of the penalty, above 0.</param>
    /// <exception cref="ArgumentException">The lengths differ, a parameter is out of range, or there is no row of the first function or none of another.</exception>
    /// <exception cref="EmScanException">There are too few or too many rows, or the targets are not finite or all the same.</exception>
    public static KernelRidgeRegression FitRelated(
        FeatureMatrix x, ReadOnlySpan<double> y, ReadOnlySpan<int> functions, double relation, double lengthScale = 3, double alpha = 0.2)
    {
        if (functions.Length != y.Length) throw new ArgumentException($"{functions.Length} rows have a function, but {y.Length} a target.", nameof(functions));
        if (relation is not (>= 0 and <= 1)) throw new ArgumentException($"The relation is {relation}, but must be from 0 to 1.", nameof(relation));
        var sums = new Dictionary<int, (double Sum, int Count)>();
        for (int i = 0; i < functions.Length; i++)
        {
            (double sum, int count) = sums.GetValueOrDefault(functions[i]);
            sums[functions[i]] = (sum + y[i], count + 1);
        }

        if (sums.Count < 2 || !sums.TryGetValue(0, out (double Sum, int Count) first)) throw new ArgumentException("There must be rows of the first function and of another.", nameof(functions));
        double others = sums.Where(s => s.Key != 0).Sum(s => s.Value.Sum) / (y.Length - first.Count);
        Dictionary<int, double> means = sums.ToDictionary(
            s => s.Key, s => s.Key == 0 ? (s.Value.Sum + (PriorRows * others)) / (s.Value.Count + PriorRows) : s.Value.Sum / s.Value.Count);
        int[] of = functions.ToArray();
        KernelRidgeRegression fitted = Fit(x, y, lengthScale, alpha, i => means[of[i]], (i, j) => of[i] == of[j] ? 1 : relation);

        // Seen from the first function, a row of another one counts as much as it is related.
        double[] coefficients = [.. fitted._coefficients.Select((c, i) => of[i] == 0 ? c : relation * c)];
        return new KernelRidgeRegression(fitted.FeatureCount, fitted._points, coefficients, means[0], lengthScale);
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
