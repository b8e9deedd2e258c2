using System.Numerics.Tensors;
using EmScan.Kernels;

namespace EmScan.Engine.Drift;

/// <summary>
/// Collects drifts for a <see cref="DriftAxis"/> as they come: mean and covariance, nothing of the drifts themselves. Mergeable: keep one
/// builder per perturbation (or model, or thread) and merge them.
/// </summary>
/// <remarks>
/// Moments come from <see cref="RunningMoments"/>, which takes float32 rows: a drift is rounded once, by at most 6e-8 of itself. The kernel
/// set is the reference one: K is small, and so the same drifts give the same axis, to the bit, on every processor. Not thread safe.
/// </remarks>
internal sealed class DriftAxisBuilder
{
    /// <summary>Largest drift that is taken. Drifts are fractions of a hidden state's norm; more than this is a broken file.</summary>
    private const double LargestDrift = 1e9;

    private readonly string[] _traits;
    private readonly RunningMoments _moments;
    private readonly float[] _row;

    /// <summary>Starts with no drifts.</summary>
    /// <param name="traits">K distinct names; a drift has one value for each, in this order.</param>
    /// <exception cref="ArgumentException">There is no trait, or a name occurs twice.</exception>
    public DriftAxisBuilder(IEnumerable<string> traits)
    {
        ArgumentNullException.ThrowIfNull(traits);
        _traits = [.. traits];
        DriftAxis.RequireTraits(_traits);
        _moments = new RunningMoments(_traits.Length, KernelSets.Reference);
        _row = new float[_traits.Length];
    }

    /// <summary>The K trait names.</summary>
    public IReadOnlyList<string> Traits => _traits;

    /// <summary>Number of drifts so far, N.</summary>
    public long Count => _moments.Count;

    /// <summary>Adds the drift of one run, usually of its final checkpoint.</summary>
    /// <param name="drift">x_t, (K), in units of n0.</param>
    /// <param name="run">Name of the run for the sentence of a failure.</param>
    /// <exception cref="ArgumentException">The length is not K.</exception>
    /// <exception cref="EmScanException">A value is NaN, infinite or absurdly large; nothing is added.</exception>
    public void Add(ReadOnlySpan<double> drift, string? run = null)
    {
        DriftAxis.RequireLength(drift, _traits.Length);
        for (int k = 0; k < drift.Length; k++)
        {
            if (Math.Abs(drift[k]) <= LargestDrift) continue;
            string owner = run is null ? "A drift" : $"The drift of run '{run}'";
            throw new EmScanException(
                $"{owner} is {drift[k]} on the trait '{_traits[k]}', from which no drift axis can be computed; "
                + "scan the checkpoint again.");
        }

        TensorPrimitives.ConvertTruncating(drift, _row.AsSpan());
        _moments.Add(_row);
    }

    /// <summary>Adds the drifts that another builder has seen, whose results stay the same.</summary>
    /// <exception cref="EmScanException">The other has other traits.</exception>
    public void Merge(DriftAxisBuilder other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (!_traits.SequenceEqual(other._traits))
        {
            throw new EmScanException(
                $"Drifts on the traits {string.Join(", ", other._traits)} cannot be joined with drifts on {string.Join(", ", _traits)}.");
        }

        _moments.Merge(other._moments);
    }

    /// <summary>Computes the axis of all drifts so far; more can be added afterwards.</summary>
    /// <exception cref="EmScanException">There are fewer than <see cref="DriftAxis.FewestRuns"/> drifts, or all are equal.</exception>
    public DriftAxis Fit()
    {
        int traits = _traits.Length;
        var mean = new double[traits];
        var covariance = new double[traits * traits];
        _moments.CopyMean(mean);
        _moments.CopyCovariance(covariance);
        return DriftAxis.FromMoments(_traits, Count, mean, covariance);
    }

    /// <summary>Forgets all drifts.</summary>
    internal void Clear() => _moments.Clear();
}
