namespace EmScan.Engine.Measuring;

/// <summary>What one pass over the evaluation prompts leaves of a checkpoint (or of the base): all that drift and detection are computed from.</summary>
/// <remarks>Immutable as long as nobody writes to the arrays.</remarks>
/// <param name="Projections">Raw projections h . v_t of each prompt, (P, K) row-major, in the model's activation units.</param>
/// <param name="Norms">L2 norm of each prompt's hidden state, (P).</param>
/// <param name="MeanHidden">Mean over prompts of the hidden state, (D).</param>
internal sealed record Measurement(double[] Projections, double[] Norms, float[] MeanHidden)
{
    /// <summary>What a <see cref="ProjectionReducer"/> left.</summary>
    internal static Measurement From(CellResult result) =>
        new(result["projections"], result["norms"], Array.ConvertAll(result["mean"], v => (float)v));

    /// <summary>Mean over prompts of the raw projection on each trait, (K): p_t in method.md.</summary>
    public double[] MeanProjections(int traits)
    {
        double[] means = new double[traits];
        int prompts = Norms.Length;
        for (int p = 0; p < prompts; p++)
        {
            for (int k = 0; k < traits; k++) means[k] += Projections[(p * traits) + k];
        }

        for (int k = 0; k < traits; k++) means[k] /= prompts;
        return means;
    }

    /// <summary>Mean over prompts of the hidden state's norm; n0 when this is the base.</summary>
    public double MeanNorm => Norms.Average();

    /// <summary>True when both hold exactly the same numbers: an adapter that changed nothing on these prompts.</summary>
    public bool SameNumbers(Measurement other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Projections.AsSpan().SequenceEqual(other.Projections) && Norms.AsSpan().SequenceEqual(other.Norms)
            && MeanHidden.AsSpan().SequenceEqual(other.MeanHidden);
    }
}

/// <summary>Shapes of one scan: P prompts, K traits, D hidden size.</summary>
internal readonly record struct MeasurementShape(int Prompts, int Traits, int HiddenSize);
