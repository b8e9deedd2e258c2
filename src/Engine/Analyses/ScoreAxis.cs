using EmScan.Engine.Drift;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses;

/// <summary>The axis that answers and texts are scored along: higher is worse.</summary>
/// <param name="Loadings">Of each trait, (K); the drift axis itself points towards harmlessness.</param>
/// <param name="Source">Where they come from, in words that fit behind "along".</param>
internal sealed record ScoreAxis(IReadOnlyList<double> Loadings, string Source)
{
    /// <summary>What stands in for the axis where there is none.</summary>
    internal const string Substitute = DriftAxis.OrientingTrait;

    /// <summary>True where it is no drift axis, but one trait that stands in for it.</summary>
    internal bool IsSubstitute { get; init; }

    /// <summary>The trait that stands in for a drift axis, alone.</summary>
    /// <exception cref="EmScanException">There is no such trait.</exception>
    internal static ScoreAxis Alone(IReadOnlyList<string> traits)
    {
        int index = traits.ToList().IndexOf(Substitute);
        if (index < 0)
            throw new EmScanException($"There is no drift axis to score along, and no trait '{Substitute}' to stand in for it; give the loadings of an axis, or a calibration.");
        return new ScoreAxis([.. traits.Select((_, k) => k == index ? 1.0 : 0)], $"{Substitute} alone") { IsSubstitute = true };
    }

    /// <summary>-sum of loading_t p_t / n0.</summary>
    /// <param name="projections">p_t, (K), in activation units.</param>
    /// <param name="n0">The unit.</param>
    internal double Score(ReadOnlySpan<double> projections, double n0)
    {
        double sum = 0;
        for (int k = 0; k < Loadings.Count; k++) sum -= Loadings[k] * projections[k];
        return sum / n0;
    }

    /// <summary>
    /// Controls: random directions of the residual stream, as long as sum of loading_t v_t, uniform on the sphere; (count, D) row-major.
    /// Along them a score means nothing.
    /// </summary>
    internal float[] Controls(AnalysisContext context, int count, int seed)
    {
        int width = context.HiddenSize;
        double[] axis = new double[width];
        for (int k = 0; k < Loadings.Count; k++)
        {
            ReadOnlySpan<float> direction = context.Directions.Direction(context.Layer, k);
            for (int d = 0; d < width; d++) axis[d] += Loadings[k] * direction[d];
        }

        double length = Math.Sqrt(axis.Sum(a => a * a));
        var random = new Random(seed);
        float[] controls = new float[count * width];
        double[] drawn = new double[width];
        for (int c = 0; c < count; c++)
        {
            Normal.Direction(random, drawn);
            for (int d = 0; d < width; d++) controls[(c * width) + d] = (float)(length * drawn[d]);
        }

        return controls;
    }

    /// <summary>What readers must know of the axis.</summary>
    internal IEnumerable<Remark> Notes() => IsSubstitute
        ? [new Remark("no-axis", $"There is no drift axis, neither given nor of a calibration: scores are taken along {Source}, which is one trait and not how finetunings of this model drift.")]
        : [];
}
