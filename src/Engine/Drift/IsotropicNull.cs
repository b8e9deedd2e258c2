using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Drift;

/// <summary>
/// Control of a drift axis: how high would the share of PC1 be by chance? Every drift keeps its norm and gets a random direction,
/// uniform on the sphere in K dimensions; the share of PC1 of such drifts is drawn many times. Few runs, or one run much larger than
/// the others, give high shares without any common direction. With a single trait every share is 1.
/// </summary>
/// <param name="Draws">Number of random draws.</param>
/// <param name="MeanShare">Mean of the drawn shares of PC1.</param>
/// <param name="Share95">Their 95th percentile, with linear interpolation between draws.</param>
/// <param name="PValue">(1 + draws with a share at least as high as the observed) / (1 + draws): small when chance does not explain the
/// axis.</param>
internal sealed record IsotropicNull(int Draws, double MeanShare, double Share95, double PValue)
{
    /// <summary>Draws of the paper.</summary>
    public const int DefaultDraws = 1000;

    /// <summary>Draws random drifts. Same arguments, same result.</summary>
    /// <param name="axis">The observed axis.</param>
    /// <param name="norms">L2 norms of the N drifts that it was fitted on, not centred.</param>
    /// <param name="seed">Seed of the random directions.</param>
    /// <param name="draws">At least 1.</param>
    /// <exception cref="ArgumentException">There is not one norm per run, or a norm is negative, NaN or infinite.</exception>
    /// <exception cref="EmScanException">Fewer than two norms are above zero.</exception>
    public static IsotropicNull Compute(DriftAxis axis, IReadOnlyList<double> norms, int seed = 0, int draws = DefaultDraws)
    {
        ArgumentNullException.ThrowIfNull(axis);
        ArgumentNullException.ThrowIfNull(norms);
        ArgumentOutOfRangeException.ThrowIfLessThan(draws, 1);
        if (norms.Count != axis.Runs) throw new ArgumentException($"There are {norms.Count} norms for {axis.Runs} runs.", nameof(norms));
        if (norms.Any(norm => !(norm >= 0) || double.IsInfinity(norm)))
            throw new ArgumentException("A norm is negative or not finite.", nameof(norms));
        if (norms.Count(norm => norm > 0) < 2)
            throw new EmScanException("Fewer than two runs have moved at all, so chance has nothing to turn.");

        int traits = axis.Traits.Count;
        if (traits == 1) return new IsotropicNull(draws, 1, 1, 1);
        var random = new Random(seed);
        var drift = new double[traits];
        var builder = new DriftAxisBuilder(axis.Traits);
        var shares = new double[draws];
        for (int draw = 0; draw < draws; draw++)
        {
            builder.Clear();
            foreach (double norm in norms)
            {
                Normal.Direction(random, drift);
                TensorPrimitives.Multiply(drift, norm, drift);
                builder.Add(drift);
            }

            shares[draw] = builder.Fit().Shares[0];
        }

        double observed = axis.Shares[0];
        Array.Sort(shares);
        int reached = shares.Count(share => share >= observed);
        return new IsotropicNull(draws, shares.Average(), Quantile.OfSorted(shares, 0.95), (1.0 + reached) / (1.0 + draws));
    }
}
