using System.Numerics.Tensors;

namespace EmScan.Kernels;

/// <summary>
/// Mean and covariance over a stream of rows of width D: count n, mean m and co-moments M = sum of (x - m)(x - m)^T. Mergeable. Memory is
/// 4 D^2 bytes for the upper half of M in float64, 4 KB x D for rows that wait, and twice as much from the shared array pool while a block
/// is joined; it does not grow with n.
/// </summary>
/// <remarks>
/// <para>Rows collect into blocks of <see cref="BlockRows"/>. A full block B is centred on its own mean and joined to what came before, A,
/// by the pairwise update of Chan, Golub and LeVeque (1979, "Updating formulae and a pairwise algorithm for computing sample variances",
/// Stanford STAN-CS-79-773; in matrix form Schubert and Gertz 2018, doi 10.1145/3221269.3223036):</para>
/// <code>
/// delta = m_B - m_A
/// m = m_A + delta n_B / (n_A + n_B)
/// M = M_A + M_B + delta delta^T n_A n_B / (n_A + n_B)
/// </code>
/// <para>No step subtracts large equal numbers, so a mean far from zero costs no digits, and float32 only ever holds deviations of one
/// block: the error of cov[i, j] stays below 2e-6 * sqrt(cov[i, i] * cov[j, j]) for any n, and near 1e-9 of it for n = 10^6;
/// the reference set works in float64 throughout. Deviations must lie within 2e18.</para>
/// <para>How the rows are cut into calls of <see cref="Add"/> changes nothing, to the bit. Reading a result or merging closes the block at
/// hand, which moves later block borders: results then differ by rounding. A NaN or an infinity in column j makes mean[j] and the
/// row and column j of the covariance not finite, and touches nothing else.</para>
/// <para>Allocates only in the constructor (and once in the shared array pool). Not thread safe, for reading neither: give each
/// thread its own and <see cref="Merge"/> them.</para>
/// </remarks>
public sealed class RunningMoments
{
    /// <summary>Rows in a block: one pass over M.</summary>
    public const int BlockRows = KernelSet.OuterProductRows;

    private readonly KernelSet _kernels;
    private readonly float[] _block; // (BlockRows, D)
    private readonly double[] _mean; // (D), of the closed blocks
    private readonly double[] _centre; // (D), scratch: the mean of a block
    private readonly double[] _delta; // (D), scratch
    private readonly double[] _upper; // (D (D + 1) / 2), of the closed blocks
    private long _closed; // rows in closed blocks
    private int _open; // rows in the open block

    /// <summary>Starts with no rows.</summary>
    /// <param name="dimension">D, from 1 to 65535.</param>
    /// <param name="kernels">Kernel set, or null for <see cref="KernelSets.Default"/>.</param>
    /// <exception cref="ArgumentException">D is out of range.</exception>
    /// <exception cref="KernelSelectionException">No kernel set is given and the environment names one that cannot run.</exception>
    public RunningMoments(int dimension, KernelSet? kernels = null)
    {
        long length = Shape.CoMoments(dimension);
        _kernels = kernels ?? KernelSets.Default;
        _block = new float[checked(BlockRows * dimension)];
        _mean = new double[dimension];
        _centre = new double[dimension];
        _delta = new double[dimension];
        _upper = new double[length];
    }

    /// <summary>Width of a row, D.</summary>
    public int Dimension => _mean.Length;

    /// <summary>Number of rows so far.</summary>
    public long Count => _closed + _open;

    /// <summary>Adds rows.</summary>
    /// <param name="states">(T, D) float32, row-major; T may be 0.</param>
    /// <exception cref="ArgumentException">The length is not a whole number of rows.</exception>
    public void Add(ReadOnlySpan<float> states)
    {
        int rows = Shape.Rows(states.Length, Dimension, nameof(states));
        while (rows > 0)
        {
            int taken = Math.Min(rows, BlockRows - _open);
            ReadOnlySpan<float> part = states[..(taken * Dimension)];
            if (taken == BlockRows)
            {
                AddBlock(part);
            }
            else
            {
                part.CopyTo(_block.AsSpan(_open * Dimension));
                _open += taken;
                if (_open == BlockRows)
                    CloseBlock();
            }

            states = states[part.Length..];
            rows -= taken;
        }
    }

    /// <summary>Adds the rows that another object has seen, whose results stay the same.</summary>
    /// <exception cref="ArgumentException">The other has a different D.</exception>
    public void Merge(RunningMoments other)
    {
        ArgumentNullException.ThrowIfNull(other);
        Shape.RequireLength(other.Dimension, Dimension, "(D)", nameof(other));
        CloseBlock();
        other.CloseBlock();
        TensorPrimitives.Subtract(other._mean, _mean, _delta);
        double weight = MoveMean(other._closed);
        TensorPrimitives.Add(_upper, other._upper, _upper);
        if (weight == 0)
            return;
        for (int i = 0; i < Dimension; i++)
        {
            Span<double> row = _upper.AsSpan((int)PackedUpper.RowStart(i, Dimension), Dimension - i);
            TensorPrimitives.MultiplyAdd(_delta.AsSpan(i), weight * _delta[i], row, row);
        }
    }

    /// <summary>Writes the mean; NaN everywhere when there are no rows.</summary>
    /// <param name="mean">(D) float64.</param>
    /// <exception cref="ArgumentException">The length is not D.</exception>
    public void CopyMean(Span<double> mean)
    {
        Shape.RequireLength(mean.Length, Dimension, "(D)", nameof(mean));
        CloseBlock();
        if (_closed == 0)
            mean.Fill(double.NaN);
        else
            _mean.CopyTo(mean);
    }

    /// <summary>
    /// Writes the covariance, both halves; NaN everywhere when there are too few rows (fewer than 2 for the unbiased one).
    /// </summary>
    /// <param name="covariance">(D, D) float64, row-major.</param>
    /// <param name="kind">Divisor n - 1 or n.</param>
    /// <exception cref="ArgumentException">The length is not D * D, or the kind is unknown.</exception>
    public void CopyCovariance(Span<double> covariance, VarianceKind kind = VarianceKind.Unbiased)
    {
        Shape.RequireLength(covariance.Length, (long)Dimension * Dimension, "(D, D)", nameof(covariance));
        double scale = Divisor.Reciprocal(kind, Count);
        CloseBlock();
        for (int i = 0; i < Dimension; i++)
        {
            ReadOnlySpan<double> stored = _upper.AsSpan((int)PackedUpper.RowStart(i, Dimension), Dimension - i);
            Span<double> row = covariance.Slice(i * Dimension, Dimension);
            TensorPrimitives.Multiply(stored, scale, row[i..]);
            for (int j = 0; j < i; j++)
                row[j] = covariance[j * Dimension + i];
        }
    }

    /// <summary>Forgets all rows and keeps the memory.</summary>
    public void Clear()
    {
        Array.Clear(_mean);
        Array.Clear(_upper);
        _closed = 0;
        _open = 0;
    }

    /// <summary>Joins the open block to the closed ones.</summary>
    private void CloseBlock()
    {
        if (_open == 0)
            return;
        AddBlock(_block.AsSpan(0, _open * Dimension));
        _open = 0;
    }

    /// <summary>Joins a block of rows to the closed ones.</summary>
    private void AddBlock(ReadOnlySpan<float> rows)
    {
        int count = rows.Length / Dimension;
        Array.Clear(_centre);
        _kernels.AddRows(rows, _centre);
        TensorPrimitives.Divide(_centre, (double)count, _centre);
        TensorPrimitives.Subtract(_centre, _mean, _delta);
        double weight = MoveMean(count);
        _kernels.AddOuterProducts(rows, _centre, _delta, weight, _upper);
    }

    /// <summary>Moves the mean and the count for n_B more rows whose mean is <see cref="_delta"/> away.</summary>
    /// <returns>The weight of delta delta^T, n_A n_B / (n_A + n_B); 0 when either side is empty.</returns>
    private double MoveMean(long added)
    {
        if (added == 0)
            return 0;
        double share = (double)added / (_closed + added);
        double weight = _closed * share;
        TensorPrimitives.MultiplyAdd(_delta, share, _mean, _mean);
        _closed += added;
        return weight;
    }
}
