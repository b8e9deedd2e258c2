using System.Numerics.Tensors;

namespace EmScan.Engine.Drift;

/// <summary>
/// Control of a drift axis: is it only the traits' overlap? Directions that are not orthogonal see the same movement several times,
/// which by itself concentrates variance. Drifts are whitened, x' = (V V^T)^(-1/2) x with V the unit directions: a drift that is
/// isotropic inside the span of the traits then has the same variance everywhere. A share that stays high is concentration of the
/// drifts themselves.
/// </summary>
/// <param name="Axis">The axis of the whitened drifts; Axis.Shares[0] is to be compared with the plain one.</param>
/// <param name="Cosine">|cos| between the whitened PC1 and the plain one. This root is the whitening that moves coordinates least, so that
/// entry k still belongs to trait k.</param>
internal sealed record WhitenedAxis(DriftAxis Axis, double Cosine)
{
    /// <summary>Whitens the covariance of a drift axis; the drifts themselves are not needed.</summary>
    /// <param name="axis">The plain axis.</param>
    /// <param name="directions">V, (K, D) row-major, unit rows: the directions that the drifts were measured with.</param>
    /// <exception cref="ArgumentException">The length is not a multiple of K.</exception>
    /// <exception cref="EmScanException">The directions are linearly dependent or not finite.</exception>
    public static WhitenedAxis Compute(DriftAxis axis, ReadOnlySpan<float> directions)
    {
        ArgumentNullException.ThrowIfNull(axis);
        int count = axis.Traits.Count;
        double[] root = new TraitGram(directions, count).InverseSquareRoot();
        var mean = new double[count];
        var half = new double[count * count]; // (V V^T)^(-1/2) C, transposed: row j is the root times column j of C
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<double> row = root.AsSpan(i * count, count);
            mean[i] = TensorPrimitives.Dot(row, axis.Mean);
            for (int j = 0; j < count; j++) half[j * count + i] = TensorPrimitives.Dot(row, axis.Covariance.AsSpan(j * count, count));
        }

        var covariance = new double[count * count];
        for (int i = 0; i < count; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double sum = 0;
                for (int k = 0; k < count; k++) sum += half[k * count + i] * root[j * count + k];
                covariance[i * count + j] = covariance[j * count + i] = sum;
            }
        }

        DriftAxis whitened = DriftAxis.FromMoments(axis.Traits, axis.Runs, mean, covariance);
        return new WhitenedAxis(whitened, whitened.Cosine(axis));
    }
}
