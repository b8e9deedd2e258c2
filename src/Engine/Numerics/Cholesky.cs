using MathNet.Numerics.Providers.LinearAlgebra;

namespace EmScan.Engine.Numerics;

/// <summary>Cholesky factorisation L L' of a symmetric positive definite matrix, float64, by MathNet.Numerics' managed provider.
/// Immutable; thread safe.</summary>
internal sealed class Cholesky
{
    private readonly int _n;
    private readonly double[] _factor; // (n, n)

    private Cholesky(double[] factor, int n) => (_factor, _n) = (factor, n);

    /// <summary>Factorises in place.</summary>
    /// <param name="matrix">(n, n) row-major, of which only the lower triangle is read; overwritten, and kept.</param>
    /// <param name="n">Order, at least 1.</param>
    /// <returns>Null where the matrix is not positive definite or not finite.</returns>
    public static Cholesky? TryFactor(double[] matrix, int n)
    {
        // The provider stores columns: its lower triangle is the upper one here.
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < i; j++) matrix[((long)j * n) + i] = matrix[((long)i * n) + j];
        }

        try
        {
            ManagedLinearAlgebraProvider.Instance.CholeskyFactor(matrix, n);
        }
        catch (ArgumentException)
        {
            return null;
        }

        return new Cholesky(matrix, n);
    }

    /// <summary>Solves L L' x = <paramref name="vector"/>, (n), in place.</summary>
    public void Solve(double[] vector) => ManagedLinearAlgebraProvider.Instance.CholeskySolveFactored(_factor, _n, vector, 1);
}
