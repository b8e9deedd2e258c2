namespace EmScan.Kernels.Probe;

/// <summary>
/// What <see cref="Conformance"/> is for kernel sets, for devices: each job on seeded random numbers, between guard zones, against
/// <see cref="Compensated"/>.
/// </summary>
public static class DeviceConformance
{
    /// <summary>Worst |error| / (||state|| ||direction||), with directions that stay and with states that stay.</summary>
    public static double ProjectError(IKernelDevice device, int rows, int dimension, int count, int seed)
    {
        Random random = new(seed);
        Guarded<float> states = Conformance.Normal(random, rows * dimension);
        Guarded<float> directions = Conformance.Normal(random, count * dimension);
        Guarded<double> projections = new(rows * count), again = new(rows * count);
        using IResidentDirections kept = device.Keep(directions.Span.ToArray(), dimension);
        kept.Project(states.Span, projections.Span);
        using IResidentStates keptStates = device.KeepStates(states.Span.ToArray(), dimension);
        keptStates.Project(directions.Span, again.Span);
        return Math.Max(
            Conformance.ProjectError(states, directions, projections, dimension),
            Conformance.ProjectError(states, directions, again, dimension));
    }

    /// <summary>
    /// Worst error of the mean, in standard deviations of its column, and of the covariance, |error| / sqrt(C[i, i] C[j, j]), of rows far
    /// from zero that come in uneven blocks, some by way of another object.
    /// </summary>
    public static (double Mean, double Covariance) MomentsError(IKernelDevice device, int rows, int dimension, int seed)
    {
        Random random = new(seed);
        float[] states = Conformance.Normal(random, rows * dimension).Span.ToArray();
        for (int i = 0; i < states.Length; i++)
            states[i] += 1e3f / (i % dimension + 3);
        using IMoments moments = device.StartMoments(dimension), other = device.StartMoments(dimension);
        int cut = rows / 3, first = 0;
        while (first < cut)
        {
            int count = Math.Min(random.Next(1, 300), cut - first);
            other.Add(states.AsSpan(first * dimension, count * dimension));
            first += count;
        }

        while (first < rows)
        {
            int count = Math.Min(random.Next(1, 1500), rows - first);
            moments.Add(states.AsSpan(first * dimension, count * dimension));
            first += count;
        }

        moments.Merge(other);
        (double[] mean, double[] covariance) = Compensated.Moments(states, dimension);
        Guarded<double> gotMean = new(dimension), got = new(dimension * dimension);
        moments.CopyMean(gotMean.Span);
        moments.CopyCovariance(got.Span, VarianceKind.Unbiased);
        bool sound = gotMean.GuardsAreIntact && got.GuardsAreIntact && moments.Count == rows;
        double worstMean = sound ? 0 : double.PositiveInfinity, worst = worstMean;
        for (int i = 0; i < dimension; i++)
        {
            worstMean = Conformance.Worse(worstMean, (gotMean.Span[i] - mean[i]) / Math.Sqrt(covariance[i * dimension + i]));
            for (int j = 0; j < dimension; j++)
            {
                double scale = Math.Sqrt(covariance[i * dimension + i] * covariance[j * dimension + j]);
                worst = Conformance.Worse(worst, (got.Span[i * dimension + j] - covariance[i * dimension + j]) / scale);
            }
        }

        return (worstMean, worst);
    }

    /// <summary>
    /// Worst |error| / (||state|| ||weights|| + |bias|) of activations. Where a value lies within that of its threshold, either is right.
    /// </summary>
    public static double EncodeError(IKernelDevice device, SparseActivation activation, int rows, int dimension, int latents, int seed)
    {
        Random random = new(seed);
        float[] weights = Conformance.Normal(random, latents * dimension).Span.ToArray();
        float[] bias = Conformance.Normal(random, latents).Span.ToArray();
        float[] thresholds = activation != SparseActivation.JumpRelu ? []
            : [.. Enumerable.Range(0, latents).Select(_ => random.NextSingle() * MathF.Sqrt(dimension))];
        int k = activation == SparseActivation.TopK ? Math.Min(latents, 5) : 0;
        Guarded<float> states = Conformance.Normal(random, rows * dimension), activations = new(rows * latents);
        SparseEncoderWeights encoder = new(weights, bias, activation, k, thresholds);
        using ISparseEncoder kept = device.Keep(encoder);
        kept.Encode(states.Span, activations.Span);
        double worst = activations.GuardsAreIntact ? 0 : double.PositiveInfinity;
        for (int t = 0; t < rows; t++)
        {
            float[] state = Compensated.Row(states.Span, dimension, t);
            double[] z = [.. Enumerable.Range(0, latents).Select(f => Compensated.Dot(state, Compensated.Row(weights, dimension, f)) + bias[f])];
            double least = k == 0 ? double.NegativeInfinity : z.OrderDescending().ElementAt(k - 1);
            for (int f = 0; f < latents; f++)
            {
                double scale = Compensated.Norm(state) * Compensated.Norm(Compensated.Row(weights, dimension, f)) + Math.Abs(bias[f]);
                double threshold = Math.Max(thresholds.Length > 0 ? thresholds[f] : 0, least);
                double got = activations.Span[t * latents + f], expected = z[f] > thresholds.ElementAtOrDefault(f) && z[f] >= least ? z[f] : 0;
                bool either = Math.Abs(z[f] - threshold) < 1e-6 * scale;
                double error = either ? Math.Min(Math.Abs(got), Math.Abs(got - z[f])) : got - expected;
                worst = Conformance.Worse(worst, error / scale);
            }
        }

        return worst;
    }

    /// <summary>How many of the chosen latents and their activations are not those of the device's own dense activations.</summary>
    public static int WrongTops(IKernelDevice device, int rows, int dimension, int latents, int k, int seed)
    {
        Random random = new(seed);
        float[] weights = Conformance.Normal(random, latents * dimension).Span.ToArray();
        float[] states = Conformance.Normal(random, rows * dimension).Span.ToArray();

        // Pairs of equal latents: the smaller comes first.
        for (int f = 1; f < latents; f += 7)
            weights.AsSpan((f - 1) * dimension, dimension).CopyTo(weights.AsSpan(f * dimension));
        using ISparseEncoder kept = device.Keep(new SparseEncoderWeights(weights, new float[latents], SparseActivation.Relu));
        float[] dense = new float[rows * latents];
        Guarded<float> values = new(rows * k);
        int[] chosen = new int[rows * k];
        kept.Encode(states, dense);
        kept.EncodeTop(states, chosen, values.Span);
        int wrong = values.GuardsAreIntact ? 0 : int.MaxValue;
        for (int t = 0; t < rows; t++)
        {
            (float Value, int Latent)[] expected =
            [
                .. dense.Skip(t * latents).Take(latents).Select((value, f) => (value, f)).Where(pair => pair.value > 0)
                    .OrderByDescending(pair => pair.value).ThenBy(pair => pair.f).Concat(Enumerable.Repeat((0f, -1), k)).Take(k),
            ];
            for (int i = 0; i < k; i++)
                wrong += expected[i] == (values.Span[t * k + i], chosen[t * k + i]) ? 0 : 1;
        }

        return wrong;
    }
}
