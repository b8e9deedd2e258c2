using System.Numerics.Tensors;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Drift;

/// <summary>Gram matrix G = V V^T of K trait directions V, (K, D), decomposed: what whitening and the view of the native space
/// need.</summary>
internal sealed class TraitGram
{
    /// <summary>Eigenvalues below this share of the largest are rounding of float32 directions.</summary>
    private const double SmallestEigenvalue = 1e-6;

    private readonly int _traits;
    private readonly double[] _directions; // (K, D)
    private readonly SymmetricEigen _eigen;

    /// <param name="directions">V, (K, D) row-major, unit rows.</param>
    /// <param name="traits">K.</param>
    /// <exception cref="ArgumentException">The length is not a multiple of K.</exception>
    /// <exception cref="EmScanException">A value is not finite, or all are zero.</exception>
    public TraitGram(ReadOnlySpan<float> directions, int traits)
    {
        if (directions.IsEmpty || directions.Length % traits != 0)
            throw new ArgumentException($"There are {directions.Length} values for {traits} directions.", nameof(directions));
        if (!TensorPrimitives.IsFiniteAll(directions) || TensorPrimitives.MaxMagnitude(directions) == 0)
            throw new EmScanException("The trait directions are zero or not finite; extract them again.");
        _traits = traits;
        _directions = new double[directions.Length];
        TensorPrimitives.ConvertTruncating(directions, _directions.AsSpan());
        Width = directions.Length / traits;
        var gram = new double[traits * traits];
        for (int i = 0; i < traits; i++)
        {
            for (int j = 0; j <= i; j++) gram[i * traits + j] = gram[j * traits + i] = TensorPrimitives.Dot(Direction(i), Direction(j));
        }

        _eigen = new SymmetricEigen(gram, traits);
    }

    /// <summary>D.</summary>
    public int Width { get; }

    /// <summary>V u, (K): what the traits see of a vector of the residual stream.</summary>
    public double[] View(ReadOnlySpan<double> vector)
    {
        var seen = new double[_traits];
        for (int k = 0; k < _traits; k++) seen[k] = TensorPrimitives.Dot(Direction(k), vector);
        return seen;
    }

    /// <summary>||P u||^2 where P projects on the span of the directions, from c = V u: c^T G^+ c.</summary>
    public double SquaredNormInSpan(ReadOnlySpan<double> seen)
    {
        double sum = 0;
        for (int i = 0; i < _traits && IsPositive(i); i++)
            sum += Math.Pow(TensorPrimitives.Dot(_eigen.Vector(i), seen), 2) / _eigen.Values[i];
        return sum;
    }

    /// <summary>G^(-1/2), (K, K) row-major, symmetric.</summary>
    /// <exception cref="EmScanException">The directions are linearly dependent.</exception>
    public double[] InverseSquareRoot()
    {
        if (!IsPositive(_traits - 1))
        {
            throw new EmScanException(
                "The trait directions are linearly dependent, so that drifts cannot be whitened; leave out traits that repeat others.");
        }

        var root = new double[_traits * _traits];
        for (int i = 0; i < _traits; i++)
        {
            ReadOnlySpan<double> vector = _eigen.Vector(i);
            double factor = 1 / Math.Sqrt(_eigen.Values[i]);
            for (int row = 0; row < _traits; row++)
            {
                Span<double> target = root.AsSpan(row * _traits, _traits);
                TensorPrimitives.MultiplyAdd(vector, factor * vector[row], target, target);
            }
        }

        return root;
    }

    private bool IsPositive(int i) => _eigen.Values[i] > SmallestEigenvalue * _eigen.Values[0];

    private ReadOnlySpan<double> Direction(int k) => _directions.AsSpan(k * Width, Width);
}
