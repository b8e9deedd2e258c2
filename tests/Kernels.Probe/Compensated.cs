namespace EmScan.Kernels.Probe;

/// <summary>
/// The operations in compensated float64 arithmetic (Neumaier 1974), written from the formulas and sharing no code with the kernel sets:
/// good to the last bits, slow, allocating.
/// </summary>
public static class Compensated
{
    public static double Sum(IEnumerable<double> values)
    {
        double sum = 0, lost = 0;
        foreach (double value in values)
        {
            double next = sum + value;
            lost += Math.Abs(sum) >= Math.Abs(value) ? sum - next + value : value - next + sum;
            sum = next;
        }

        return sum + lost;
    }

    public static double Dot(float[] left, float[] right) => Sum(left.Zip(right, (l, r) => (double)l * r));

    public static double Dot(double[] left, double[] right) => Sum(left.Zip(right, (l, r) => l * r));

    public static double Norm(float[] row) => Math.Sqrt(Dot(row, row));

    public static float[] Row(ReadOnlySpan<float> states, int dimension, int row) => states.Slice(row * dimension, dimension).ToArray();

    public static float[] Column(ReadOnlySpan<float> states, int dimension, int column)
    {
        float[] values = new float[states.Length / dimension];
        for (int t = 0; t < values.Length; t++)
            values[t] = states[t * dimension + column];
        return values;
    }

    /// <summary>Two-pass mean (D) and covariance (D, D) of rows (T, D), divided by T - 1.</summary>
    public static (double[] Mean, double[] Covariance) Moments(ReadOnlySpan<float> states, int dimension)
    {
        int rows = states.Length / dimension;
        double[] mean = new double[dimension];
        double[][] deviations = new double[dimension][];
        for (int d = 0; d < dimension; d++)
        {
            float[] column = Column(states, dimension, d);
            double centre = Sum(column.Select(value => (double)value)) / rows;
            mean[d] = centre;
            deviations[d] = [.. column.Select(value => value - centre)];
        }

        double[] covariance = new double[dimension * dimension];
        for (int i = 0; i < dimension; i++)
            for (int j = 0; j < dimension; j++)
                covariance[i * dimension + j] = Sum(deviations[i].Zip(deviations[j], (l, r) => l * r)) / (rows - 1);
        return (mean, covariance);
    }
}
