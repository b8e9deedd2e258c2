using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts;

/// <summary>
/// How far a checkpoint is from everything that the detector was calibrated on: the distance to the nearest calibration checkpoint, in
/// units of the features' deviations over the calibration set, divided by the largest such distance between a calibration run and the
/// other runs. Above 1, nothing like it was calibrated.
/// </summary>
/// <remarks>Features: the K drifts and the activation norm, whatever the detector itself sees. Immutable, thread safe.</remarks>
internal sealed class CalibratedRange
{
    private readonly double[] _scale; // (F)
    private readonly double[][] _points; // (N, F), scaled

    internal CalibratedRange(double[] scale, double[][] points, double limit)
    {
        (_scale, _points, Limit) = (scale, points, limit);
    }

    /// <summary>The distance that counts as 1, in deviations.</summary>
    public double Limit { get; }

    /// <summary>Deviation of each feature over the calibration set, (F).</summary>
    public ReadOnlySpan<double> Scale => _scale;

    /// <summary>Calibration checkpoints in units of the deviations, (N, F).</summary>
    internal IReadOnlyList<double[]> Points => _points;

    /// <summary>Takes the range of a calibration set.</summary>
    /// <param name="checkpoints">At least two runs.</param>
    /// <exception cref="EmScanException">There is only one run.</exception>
    public static CalibratedRange Fit(IReadOnlyList<LabelledObservation> checkpoints)
    {
        ArgumentNullException.ThrowIfNull(checkpoints);
        return checkpoints.Select(c => (c.Observation.Model, c.Observation.Run)).Distinct().Count() < 2
            ? throw new EmScanException("A calibrated range needs at least two runs.")
            : Around(checkpoints);
    }

    /// <summary>The same of one run or more. One run has no limit, only a distance to it in deviations.</summary>
    internal static CalibratedRange Around(IReadOnlyList<LabelledObservation> checkpoints)
    {
        double[][] points = [.. checkpoints.Select(c => Features(c.Observation))];
        string[] runs = [.. checkpoints.Select(c => $"{c.Observation.Model}\n{c.Observation.Run}")];
        int width = points[0].Length;
        double[] scale = new double[width];
        for (int f = 0; f < width; f++)
        {
            double deviation = TensorPrimitives.StdDev<double>((double[])[.. points.Select(p => p[f])]);
            scale[f] = deviation > 0 ? deviation : 1;
        }

        foreach (double[] point in points)
        {
            // Kept to a thousandth of a deviation, which is how they are stored: a range read back is the range that was fitted.
            for (int f = 0; f < width; f++) point[f] = Math.Round(point[f] / scale[f], 3);
        }

        double limit = 0;
        for (int i = 0; i < points.Length; i++)
        {
            double nearest = double.PositiveInfinity;
            for (int j = 0; j < points.Length; j++)
            {
                if (runs[i] != runs[j]) nearest = Math.Min(nearest, TensorPrimitives.Distance<double>(points[i], points[j]));
            }

            if (double.IsFinite(nearest)) limit = Math.Max(limit, nearest);
        }

        return new CalibratedRange(scale, points, limit > 0 ? limit : 1);
    }

    /// <summary>Distance of a checkpoint, in units of <see cref="Limit"/>; inside up to 1.</summary>
    /// <exception cref="EmScanException">It has another number of traits.</exception>
    public double Distance(Observation observation) => Deviations(observation) / Limit;

    /// <summary>Distance of a checkpoint to the nearest calibration checkpoint, in deviations.</summary>
    /// <exception cref="EmScanException">It has another number of traits.</exception>
    public double Deviations(Observation observation)
    {
        ArgumentNullException.ThrowIfNull(observation);
        double[] point = Features(observation);
        if (point.Length != _scale.Length)
            throw new EmScanException($"{observation.Name} has {point.Length - 1} traits, but the calibration has {_scale.Length - 1}.");
        TensorPrimitives.Divide(point, _scale, point);
        return _points.Min(p => TensorPrimitives.Distance<double>(p, point));
    }

    private static double[] Features(Observation observation) => [.. observation.Displacement.PerTrait, observation.Displacement.MeanActivationChange];
}
