using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Drift;

/// <summary>
/// The drift axis: the first principal component (PC1) of the drifts of N runs at their final checkpoints, in the space of K traits, and
/// the other components beside it.
/// </summary>
/// <remarks>
/// <para>Principal components are the eigenvectors of the covariance of the drifts (centred, divisor N - 1); the share of a component
/// is its eigenvalue over the sum of all. Source: arXiv 2606.07631 (Nghiem et al. 2026), section on geometry.</para>
/// <para>Sign of a component: its loading on <see cref="OrientingTrait"/> is positive; where there is no trait of that name, or its loading
/// is below 1e-9, the loading of largest magnitude is positive (the first of those that are equal).</para>
/// <para>Immutable as long as nobody writes to the arrays; thread safe.</para>
/// </remarks>
internal sealed class DriftAxis
{
    /// <summary>The trait whose loading is made positive.</summary>
    public const string OrientingTrait = "harmlessness";

    /// <summary>Two points always lie on one line: with fewer runs than this every share is 100%.</summary>
    public const int FewestRuns = 3;

    /// <summary>A loading below this is rounding, and its sign says nothing.</summary>
    private const double SmallestLoading = 1e-9;

    /// <summary>A deviation along PC1 below this share of the mean drift is the float32 rounding of equal drifts.</summary>
    private const double SmallestDeviation = 1e-6;

    private readonly double[] _components; // (K, K), row i is component i

    private DriftAxis(string[] traits, long runs, double[] mean, double[] covariance, SymmetricEigen eigen)
    {
        int count = traits.Length;
        (Traits, Runs, Mean, Covariance) = (traits, runs, mean, covariance);

        // Rounding can leave a variance that is zero a little below it.
        Variances = [.. eigen.Values.Select(value => Math.Max(0, value))];
        double total = TensorPrimitives.Sum<double>(Variances);
        Shares = [.. Variances.Select(value => value / total)];
        ParticipationRatio = 1 / TensorPrimitives.SumOfSquares<double>(Shares);
        _components = new double[count * count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<double> vector = eigen.Vector(i);
            TensorPrimitives.Multiply(vector, Sign(vector, Array.IndexOf(traits, OrientingTrait)), _components.AsSpan(i * count, count));
        }
    }

    /// <summary>The K trait names; entry k of every loading is that of trait k.</summary>
    public IReadOnlyList<string> Traits { get; }

    /// <summary>Number of runs that the axis was fitted on, N.</summary>
    public long Runs { get; }

    /// <summary>Mean drift of the runs, (K), in units of n0.</summary>
    public double[] Mean { get; }

    /// <summary>Covariance of the drifts, (K, K) row-major, divisor N - 1, in units of n0 squared.</summary>
    public double[] Covariance { get; }

    /// <summary>Variance along each component, (K), descending, in units of n0 squared.</summary>
    public double[] Variances { get; }

    /// <summary>Share of each component in the total variance, (K), descending, sums to 1.</summary>
    public double[] Shares { get; }

    /// <summary>
    /// 1 / sum of squared shares, from 1 (all variance on one component) to K (the same on all): the number of dimensions that the drifts
    /// use.
    /// </summary>
    public double ParticipationRatio { get; }

    /// <summary>Loadings of PC1, the drift axis itself: a unit vector, (K).</summary>
    public ReadOnlySpan<double> Loadings => Component(0);

    /// <summary>Loadings of a component, a unit vector, (K).</summary>
    /// <param name="index">From 0 (PC1) to K - 1.</param>
    public ReadOnlySpan<double> Component(int index) => _components.AsSpan(index * Traits.Count, Traits.Count);

    /// <summary>Position of a drift on the axis: x . PC1, in units of n0. The drift is not centred, so that the base model is at
    /// 0.</summary>
    /// <param name="drift">x, (K).</param>
    /// <exception cref="ArgumentException">The length is not K.</exception>
    public double Project(ReadOnlySpan<double> drift)
    {
        RequireLength(drift, Traits.Count);
        return TensorPrimitives.Dot(drift, Loadings);
    }

    /// <summary>The paper's scalar alarm signal |x . PC1|, in units of n0.</summary>
    /// <param name="drift">x, (K).</param>
    /// <exception cref="ArgumentException">The length is not K.</exception>
    public double Magnitude(ReadOnlySpan<double> drift) => Math.Abs(Project(drift));

    /// <summary>
    /// |cos| of the angle between this axis and another: 1 when both are the same line. Unsigned, because a line has no sign and the rule
    /// that gives one may decide differently on either side.
    /// </summary>
    /// <exception cref="EmScanException">The other has other traits.</exception>
    public double Cosine(DriftAxis other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (!Traits.SequenceEqual(other.Traits))
        {
            throw new EmScanException(
                $"A drift axis on the traits {string.Join(", ", other.Traits)} has no angle to one on {string.Join(", ", Traits)}.");
        }

        return Math.Min(1, Math.Abs(TensorPrimitives.Dot(Loadings, other.Loadings)));
    }

    /// <summary>
    /// Computes the axis from moments: all that has to be stored to have the same axis again, to the bit.
    /// </summary>
    /// <param name="traits">K distinct names.</param>
    /// <param name="runs">N.</param>
    /// <param name="mean">Mean drift, (K).</param>
    /// <param name="covariance">Covariance of the drifts, (K, K) row-major, symmetric, divisor N - 1. Copied, as is the mean.</param>
    /// <exception cref="ArgumentException">A shape does not fit, a trait occurs twice, or the covariance is not symmetric.</exception>
    /// <exception cref="EmScanException">There are fewer than <see cref="FewestRuns"/> runs, a moment is not finite, or all drifts are
    /// equal.</exception>
    public static DriftAxis FromMoments(IReadOnlyList<string> traits, long runs, ReadOnlySpan<double> mean, ReadOnlySpan<double> covariance)
    {
        ArgumentNullException.ThrowIfNull(traits);
        string[] names = [.. traits];
        RequireTraits(names);
        RequireLength(mean, names.Length);
        if (covariance.Length != names.Length * names.Length)
            throw new ArgumentException($"The covariance has {covariance.Length} values for {names.Length} traits.", nameof(covariance));
        if (runs < FewestRuns)
        {
            throw new EmScanException(
                $"A drift axis needs the final drifts of at least {FewestRuns} runs, there {(runs == 1 ? "is" : "are")} {runs}.");
        }

        if (!TensorPrimitives.IsFiniteAll(mean) || !TensorPrimitives.IsFiniteAll(covariance))
            throw new EmScanException("The mean or the covariance of the drifts is not finite, so that they have no drift axis.");
        for (int i = 0; i < names.Length; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (covariance[i * names.Length + j] != covariance[j * names.Length + i])
                    throw new ArgumentException($"The covariance is not symmetric for '{names[i]}' and '{names[j]}'.", nameof(covariance));
            }
        }

        var eigen = new SymmetricEigen(covariance, names.Length);
        if (eigen.Values[0] <= SmallestDeviation * SmallestDeviation * TensorPrimitives.SumOfSquares(mean))
        {
            throw new EmScanException(
                TensorPrimitives.MaxMagnitude(mean) == 0
                    ? $"All drifts of the {runs} runs are zero: the adapters change nothing that the traits see, so there is no drift axis."
                    : $"All {runs} runs have the same drift, so there is no direction along which they differ and no drift axis.");
        }

        return new DriftAxis(names, runs, mean.ToArray(), covariance.ToArray(), eigen);
    }

    /// <exception cref="ArgumentException">There is no trait, or a name occurs twice.</exception>
    internal static void RequireTraits(string[] traits)
    {
        if (traits.Length == 0 || traits.Distinct().Count() != traits.Length)
            throw new ArgumentException("There must be at least one trait, and each only once.", nameof(traits));
    }

    /// <exception cref="ArgumentException">The vector does not have one value per trait.</exception>
    internal static void RequireLength(ReadOnlySpan<double> vector, int traits)
    {
        if (vector.Length != traits) throw new ArgumentException($"There are {vector.Length} values for {traits} traits.", nameof(vector));
    }

    private static double Sign(ReadOnlySpan<double> vector, int orienting)
    {
        if (orienting >= 0 && Math.Abs(vector[orienting]) >= SmallestLoading) return Math.CopySign(1, vector[orienting]);

        // The first of equals, so that two loadings that differ in sign only do not leave the choice to rounding.
        double nearlyLargest = Math.Abs(TensorPrimitives.MaxMagnitude(vector)) - SmallestLoading;
        int first = 0;
        while (Math.Abs(vector[first]) < nearlyLargest) first++;
        return Math.CopySign(1, vector[first]);
    }
}
