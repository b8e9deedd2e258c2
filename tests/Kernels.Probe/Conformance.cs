namespace EmScan.Kernels.Probe;

/// <summary>
/// Runs one operation of a kernel set on seeded random numbers, between guard zones, and measures the worst error against
/// <see cref="Compensated"/>, relative to the scale that the operation's documented bound refers to. The same cases serve every set.
/// </summary>
public static class Conformance
{
    /// <summary>Widths that end inside, at and after every vector length and panel, and the ones that models have.</summary>
    public static IReadOnlyList<int> Dimensions { get; } = [.. Enumerable.Range(1, 67), 128, 511, 1000, 1027, 4096];

    /// <summary>The operations with their worst error over a spread of shapes.</summary>
    public static IEnumerable<(string Operation, double Error)> WorstErrors(KernelSet set)
    {
        yield return ("project", Dimensions.Max(dimension => ProjectError(set, 7, dimension, 5, dimension)));
        yield return ("project-wide", Dimensions.Max(dimension => WideProjectionError(set, 5, dimension, 19, dimension)));
        yield return ("row-norms", Dimensions.Max(dimension => RowNormsError(set, 3, dimension, dimension)));
        yield return ("add-rows", Dimensions.Max(dimension => AddRowsError(set, 7, dimension, dimension)));
        IEnumerable<int> narrow = Dimensions.Where(dimension => dimension <= 128);
        yield return ("add-outer-products", narrow.Max(dimension => OuterProductsError(set, 33, dimension, dimension)));
        yield return ("add-centred-outer-products", narrow.Max(dimension => CentredOuterProductsError(set, 33, dimension, dimension)));
        foreach (int threads in new[] { 2, 3 })
            yield return ("threads", DifferentNumbers(set, threads));
    }

    /// <summary>Worst |error| / (||state|| ||direction||).</summary>
    public static double ProjectError(KernelSet set, int rows, int dimension, int count, int seed)
    {
        Random random = new(seed);
        Guarded<float> states = Normal(random, rows * dimension);
        Guarded<float> directions = Normal(random, count * dimension);
        Guarded<double> projections = new(rows * count);
        set.Project(states.Span, directions.Span, dimension, projections.Span);
        return ProjectError(states, directions, projections, dimension);
    }

    /// <summary>The same for a block of states and many directions.</summary>
    public static double WideProjectionError(KernelSet set, int rows, int dimension, int count, int seed)
    {
        Random random = new(seed);
        Guarded<float> states = Normal(random, rows * dimension);
        Guarded<float> directions = Normal(random, count * dimension);
        Guarded<double> projections = new(rows * count);
        using WideProjection projection = new(states.Span, dimension, set);
        projection.Project(directions.Span, projections.Span);
        return ProjectError(states, directions, projections, dimension);
    }

    internal static double ProjectError(Guarded<float> states, Guarded<float> directions, Guarded<double> projections, int dimension)
    {
        int rows = states.Span.Length / dimension, count = directions.Span.Length / dimension;
        double worst = projections.GuardsAreIntact ? 0 : double.PositiveInfinity;
        float[][] all = [.. Enumerable.Range(0, count).Select(k => Compensated.Row(directions.Span, dimension, k))];
        double[] norms = [.. all.Select(Compensated.Norm)];
        for (int t = 0; t < rows; t++)
        {
            float[] state = Compensated.Row(states.Span, dimension, t);
            double norm = Compensated.Norm(state);
            for (int k = 0; k < count; k++)
                worst = Worse(worst, (projections.Span[t * count + k] - Compensated.Dot(state, all[k])) / (norm * norms[k]));
        }

        return worst;
    }

    /// <summary>Worst relative error of a norm.</summary>
    public static double RowNormsError(KernelSet set, int rows, int dimension, int seed)
    {
        Guarded<float> states = Normal(new Random(seed), rows * dimension);
        Guarded<double> norms = new(rows);
        set.RowNorms(states.Span, dimension, norms.Span);
        double worst = norms.GuardsAreIntact ? 0 : double.PositiveInfinity;
        for (int t = 0; t < rows; t++)
            worst = Worse(worst, norms.Span[t] / Compensated.Norm(Compensated.Row(states.Span, dimension, t)) - 1);
        return worst;
    }

    /// <summary>Worst |error| / (sum of absolute values), starting from a sum that is not zero.</summary>
    public static double AddRowsError(KernelSet set, int rows, int dimension, int seed)
    {
        Guarded<float> states = Normal(new Random(seed), rows * dimension);
        Guarded<double> sum = new(dimension);
        sum.Span.Fill(0.1);
        set.AddRows(states.Span, sum.Span);
        double worst = sum.GuardsAreIntact ? 0 : double.PositiveInfinity;
        for (int d = 0; d < dimension; d++)
        {
            double[] terms = [0.1, .. Compensated.Column(states.Span, dimension, d).Select(value => (double)value)];
            worst = Worse(worst, (sum.Span[d] - Compensated.Sum(terms)) / terms.Sum(Math.Abs));
        }

        return worst;
    }

    /// <summary>Worst |error| / sqrt(S[i, i] S[j, j]), S being the sum.</summary>
    public static double OuterProductsError(KernelSet set, int rows, int dimension, int seed)
    {
        Guarded<float> states = Normal(new Random(seed), rows * dimension);
        Guarded<double> upper = new((int)PackedUpper.Length(dimension));
        set.AddOuterProducts(states.Span, dimension, upper.Span);
        return OuterProductsError(states, new double[dimension], new double[dimension], 0, upper);
    }

    /// <summary>
    /// The same for rows far from zero: centred, with a shift whose share is as large as theirs.
    /// </summary>
    public static double CentredOuterProductsError(KernelSet set, int rows, int dimension, int seed)
    {
        Random random = new(seed);
        Guarded<float> states = Normal(random, rows * dimension);
        Guarded<double> centre = new(dimension), shift = new(dimension), upper = new((int)PackedUpper.Length(dimension));
        for (int d = 0; d < dimension; d++)
        {
            centre.Span[d] = 1e3 / (d + 3);
            shift.Span[d] = random.NextDouble() - 0.5;
        }

        for (int i = 0; i < states.Span.Length; i++)
            states.Span[i] += (float)centre.Span[i % dimension];
        set.AddOuterProducts(states.Span, centre.Span, shift.Span, rows, upper.Span);
        return OuterProductsError(states, centre.Span.ToArray(), shift.Span.ToArray(), rows, upper);
    }

    /// <summary>
    /// How many numbers come out different on several threads, over shapes that are shared out among them.
    /// </summary>
    public static int DifferentNumbers(KernelSet set, int threads)
    {
        using ParallelKernelSet parallel = new(threads, set);
        Random random = new(threads);
        int different = 0;
        foreach ((int rows, int dimension, int count) in new[] { (700, 333, 7), (1000, 405, 17), (40, 5000, 1), (3, 40, 2) })
        {
            float[] states = Normal(random, rows * dimension).Span.ToArray();
            float[] directions = Normal(random, count * dimension).Span.ToArray();
            different += Different(rows * count, (kernels, result) => kernels.Project(states, directions, dimension, result));
            different += Different(rows, (kernels, result) => kernels.RowNorms(states, dimension, result));
            different += Different(dimension, (kernels, result) => kernels.AddRows(states, result));
            if (dimension > 1000)
                continue;
            double[] centre = [.. Enumerable.Range(0, dimension).Select(_ => random.NextDouble())];
            double[] shift = [.. Enumerable.Range(0, dimension).Select(_ => random.NextDouble())];
            int length = (int)PackedUpper.Length(dimension);
            different += Different(length, (kernels, result) => kernels.AddOuterProducts(states, dimension, result));
            different += Different(length, (kernels, result) => kernels.AddOuterProducts(states, centre, shift, 3.7, result));
        }

        return different;

        // The offsets differ in alignment.
        int Different(int length, Action<KernelSet, Span<double>> call)
        {
            double[] expected = new double[length], got = new double[length + 1];
            call(set, expected);
            call(parallel, got.AsSpan(1));
            return expected.Zip(got.Skip(1)).Count(pair => !pair.First.Equals(pair.Second));
        }
    }

    /// <summary>Independent standard normal numbers (Box and Muller 1958).</summary>
    public static Guarded<float> Normal(Random random, int length)
    {
        Guarded<float> numbers = new(length);
        foreach (ref float number in numbers.Span)
        {
            double radius = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
            number = (float)(radius * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return numbers;
    }

    private static double OuterProductsError(
        Guarded<float> states, double[] centre, double[] shift, double weight, Guarded<double> upper)
    {
        int dimension = centre.Length;
        double worst = upper.GuardsAreIntact ? 0 : double.PositiveInfinity;
        double[][] columns =
        [
            .. Enumerable.Range(0, dimension).Select(d => Compensated.Column(states.Span, dimension, d)
                .Select(value => value - centre[d]).Append(Math.Sqrt(weight) * shift[d]).ToArray()),
        ];
        double[] norms = [.. columns.Select(column => Math.Sqrt(Compensated.Dot(column, column)))];
        for (int i = 0; i < dimension; i++)
        {
            for (int j = i; j < dimension; j++)
            {
                double got = upper.Span[(int)PackedUpper.RowStart(i, dimension) + j - i];
                double error = got - Compensated.Dot(columns[i], columns[j]);
                worst = Worse(worst, error == 0 ? 0 : error / (norms[i] * norms[j]));
            }
        }

        return worst;
    }

    /// <summary>The larger magnitude; NaN, the mark of a guard that was read, counts as infinite.</summary>
    internal static double Worse(double worst, double error) =>
        double.IsNaN(error) ? double.PositiveInfinity : Math.Max(worst, Math.Abs(error));
}
