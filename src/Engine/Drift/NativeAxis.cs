using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Drift;

/// <summary>
/// Control of a drift axis: is it a main direction of the residual stream, or made by the choice of traits? Principal components of the
/// mean activation changes themselves, (N, D), centred, and what the traits see of the first one, u.
/// </summary>
/// <param name="Share">Share of u in the variance of the activation changes.</param>
/// <param name="ParticipationRatio">(sum of variances)^2 / sum of squared variances: dimensions that the changes use, from 1 to
/// min(N - 1, D).</param>
/// <param name="Cosine">|cos| between V u, (K), the traits' view of u, and PC1 of the drifts; null when the traits see nothing of
/// u.</param>
/// <param name="VisibleShare">||P u||^2 with P the projection on the span of the trait directions: the part of u that any combination of
/// the traits can see, from 0 to 1. Of a random u it is about K / D.</param>
internal sealed record NativeAxis(double Share, double ParticipationRatio, double? Cosine, double VisibleShare)
{
    /// <summary>Below this a direction of unit norm is orthogonal to the traits up to rounding of float32.</summary>
    private const double SmallestView = 1e-7;

    /// <summary>A deviation below this share of the mean change is what float64 leaves of equal changes.</summary>
    private const double SmallestDeviation = 1e-10;

    /// <summary>Compares the two spaces. All changes must be from one base model and layer, the ones of the directions.</summary>
    /// <param name="axis">The axis of the drifts.</param>
    /// <param name="changes">(mean over prompts of h(c) - mean of h(0)) / n0 of each run's final checkpoint: N rows of D.</param>
    /// <param name="directions">V, (K, D) row-major, unit rows.</param>
    /// <exception cref="ArgumentException">The directions are not (K, D).</exception>
    /// <exception cref="EmScanException">There are fewer than <see cref="DriftAxis.FewestRuns"/> rows, rows differ in width or from the
    /// directions', a value is not finite, or all rows are equal.</exception>
    /// <remarks>The decomposed matrix is N x N (Gram) when D > N, else D x D; memory is N D + min(N, D)^2 float64.</remarks>
    public static NativeAxis Compute(DriftAxis axis, IReadOnlyList<double[]> changes, ReadOnlySpan<float> directions)
    {
        ArgumentNullException.ThrowIfNull(axis);
        ArgumentNullException.ThrowIfNull(changes);
        var traits = new TraitGram(directions, axis.Traits.Count);
        int n = changes.Count, d = traits.Width;
        Check(changes, d);
        var columns = new double[d][];
        double squaredMean = 0;
        for (int i = 0; i < d; i++)
        {
            columns[i] = [.. changes.Select(row => row[i])];
            double mean = TensorPrimitives.Sum<double>(columns[i]) / n;
            TensorPrimitives.Subtract(columns[i], mean, columns[i]);
            squaredMean += mean * mean;
        }

        var axes = new PrincipalAxes(columns);
        double total = TensorPrimitives.Sum<double>(axes.SumsOfSquares);
        if (total <= n * SmallestDeviation * SmallestDeviation * squaredMean)
            throw new EmScanException($"All {n} runs have the same mean activation change, so that it has no main direction.");

        double[] seen = traits.View(axes.Axis(0));
        double length = TensorPrimitives.Norm<double>(seen);
        return new NativeAxis(
            Math.Min(1, axes.SumsOfSquares[0] / total),
            total * total / TensorPrimitives.SumOfSquares<double>(axes.SumsOfSquares),
            length > SmallestView ? Math.Min(1, Math.Abs(TensorPrimitives.Dot<double>(seen, axis.Loadings)) / length) : null,
            Math.Min(1, traits.SquaredNormInSpan(seen)));
    }

    private static void Check(IReadOnlyList<double[]> changes, int width)
    {
        if (changes.Count < DriftAxis.FewestRuns)
        {
            throw new EmScanException(
                $"Principal components of activation changes need at least {DriftAxis.FewestRuns} runs, there are {changes.Count}.");
        }

        for (int i = 0; i < changes.Count; i++)
        {
            string owner = $"The activation change of run {i + 1}";
            if (changes[i].Length != width)
                throw new EmScanException($"{owner} has {changes[i].Length} values, the trait directions have {width}.");
            if (!TensorPrimitives.IsFiniteAll<double>(changes[i]))
                throw new EmScanException($"{owner} holds values that are not finite; scan the checkpoint again.");
        }
    }
}
