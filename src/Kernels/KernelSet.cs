namespace EmScan.Kernels;

/// <summary>
/// The reductions over hidden states that the engine streams its data through, in one implementation (plain scalar, or SIMD of one width).
/// This class checks the shapes; a derived class only computes. Numbers over spans: nothing here knows of models.
/// </summary>
/// <remarks>
/// <para>Symbols: T rows (tokens or prompts), D columns (width of the residual stream), K directions. Every matrix is row-major, dense, its
/// last axis contiguous. D is at least 1; T and K may be 0.</para>
/// <para>NaN and infinity follow IEEE 754: they reach exactly the outputs that their inputs take part in, and no others.</para>
/// <para>The same set gives the same bits for the same row, whatever the other rows and directions of the call are; only the outer products
/// sum over rows. Different sets, and the same set on different processors, differ by rounding.</para>
/// <para>Thread safe: a set has no state, any number of threads may use one at a time. No call allocates managed memory once the shared
/// array pool is warm.</para>
/// </remarks>
public abstract partial class KernelSet
{
    /// <summary>
    /// Rows that the outer products take in one pass over their sum. A caller that has fewer rows at hand pays the same memory traffic for
    /// the D x D sum, so it should collect this many first, as <see cref="RunningMoments"/> does.
    /// </summary>
    internal const int OuterProductRows = 960;

    /// <summary>Bytes on a cache line.</summary>
    internal const int CacheLine = 64;

    private protected KernelSet()
    {
    }

    /// <summary>Lower-case name, the value that <see cref="KernelSets.EnvironmentVariable"/> takes.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// Whether this processor runs it in hardware. An unsupported set still computes the same, only slower than the others.
    /// </summary>
    public abstract bool IsSupported { get; }

    /// <summary>
    /// Dot products of every state with every direction: <c>projections[t, k] = sum over d of states[t, d] * directions[k, d]</c>.
    /// </summary>
    /// <remarks>
    /// SIMD sets multiply and add in float32 for at most <see cref="SimdLimits.Float32Run"/> * <see cref="SimdLimits.Float32Runs"/>
    /// products per lane, and sum these in float64. The error is below 1e-6 * ||state|| * ||direction|| for every input and every D;
    /// random states of D = 4096 stay below 5e-8. Such a sum must not leave float32: exact to this bound as long as |state element *
    /// direction element| lies between 1e-30 and 5e36.
    /// </remarks>
    /// <param name="states">(T, D) float32.</param>
    /// <param name="directions">(K, D) float32, of any length; not normalised here.</param>
    /// <param name="dimension">D.</param>
    /// <param name="projections">(T, K) float64, overwritten.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or D is below 1.</exception>
    public void Project(ReadOnlySpan<float> states, ReadOnlySpan<float> directions, int dimension, Span<double> projections)
    {
        int rows = Shape.Rows(states.Length, dimension, nameof(states));
        int count = Shape.Rows(directions.Length, dimension, nameof(directions));
        Shape.RequireLength(projections.Length, (long)rows * count, "(T, K)", nameof(projections));
        ProjectCore(states, directions, dimension, projections);
    }

    /// <summary>Euclidean norms of the rows: <c>norms[t] = sqrt(sum over d of states[t, d]^2)</c>.</summary>
    /// <remarks>Squares and sums are float64, so no finite float32 overflows or underflows; relative error near 1e-15. A row with an
    /// infinity and no NaN gives positive infinity, a row with a NaN gives NaN.</remarks>
    /// <param name="states">(T, D) float32.</param>
    /// <param name="dimension">D.</param>
    /// <param name="norms">(T) float64, overwritten.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or D is below 1.</exception>
    public void RowNorms(ReadOnlySpan<float> states, int dimension, Span<double> norms)
    {
        int rows = Shape.Rows(states.Length, dimension, nameof(states));
        Shape.RequireLength(norms.Length, rows, "(T)", nameof(norms));
        RowNormsCore(states, dimension, norms);
    }

    /// <summary>Adds every row to a running sum: <c>sum[d] += states[t, d]</c> for t = 0 .. T - 1, in that order.</summary>
    /// <remarks>Every addition is float64 and in row order, so all sets give the same bits, however the rows are cut into calls.</remarks>
    /// <param name="states">(T, D) float32.</param>
    /// <param name="sum">(D) float64; its length gives D.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or D is below 1.</exception>
    public void AddRows(ReadOnlySpan<float> states, Span<double> sum)
    {
        AddRowsCore(states, Shape.Rows(states.Length, sum.Length, nameof(states)), sum.Length, sum);
    }

    /// <summary>Adds one row to a running sum: <see cref="AddRows"/> for T = 1.</summary>
    /// <param name="row">(D) float32.</param>
    /// <param name="sum">(D) float64.</param>
    /// <exception cref="ArgumentException">The lengths differ, or D is below 1.</exception>
    public void AddRow(ReadOnlySpan<float> row, Span<double> sum)
    {
        Shape.RequireLength(row.Length, sum.Length, "(D)", nameof(row));
        AddRows(row, sum);
    }

    /// <summary>
    /// Adds the outer product of every row with itself to a symmetric sum, upper half only: <c>sum[i, j] += states[t, i] * states[t,
    /// j]</c> for i &lt;= j: the rank-T update of an uncentred co-moment matrix.
    /// </summary>
    /// <remarks>
    /// SIMD sets multiply and add in float32 with at most <see cref="SimdLimits.Float32RowRun"/> roundings at a time, and sum in float64.
    /// The error of element (i, j) is below 1.5e-6 * sqrt(S[i, i] * S[j, j]), where S is what the call adds; random rows stay below 2e-7,
    /// and the more rows there are, the smaller it is. Accurate for magnitudes between 1e-15 and 1e18.
    /// </remarks>
    /// <param name="states">(T, D) float32.</param>
    /// <param name="dimension">D.</param>
    /// <param name="upper">Packed upper half, float64, D (D + 1) / 2 elements in the layout of <see cref="PackedUpper"/>.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or D is below 1.</exception>
    public void AddOuterProducts(ReadOnlySpan<float> states, int dimension, Span<double> upper)
    {
        _ = Shape.Rows(states.Length, dimension, nameof(states));
        Shape.RequireLength(upper.Length, PackedUpper.Length(dimension), "(D (D + 1) / 2)", nameof(upper));
        AddOuterProductsCore(states, dimension, [], [], 0, upper);
    }

    /// <summary>
    /// Does <see cref="AddOuterProducts(ReadOnlySpan{float}, int, Span{double})"/> for <c>states[t] - centre</c>, and adds <c>weight *
    /// shift[i] * shift[j]</c> in the same pass over the sum: the update of the co-moments for a block of rows with mean <c>centre</c>,
    /// which differs from the mean before by the shift.
    /// </summary>
    /// <remarks>
    /// The deviation from the centre is formed in float64; SIMD sets round it to float32, once, so a large common offset costs no digits,
    /// and the error of element (i, j) is below 1.6e-6 * sqrt(S[i, i] * S[j, j]): two roundings more. The shift's product is all float64.
    /// </remarks>
    /// <param name="states">(T, D) float32; T at least 1.</param>
    /// <param name="centre">(D) float64; its length gives D.</param>
    /// <param name="shift">(D) float64.</param>
    /// <param name="weight">Factor on the outer product of the shift.</param>
    /// <param name="upper">Packed upper half, float64, D (D + 1) / 2 elements in the layout of <see cref="PackedUpper"/>.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, D is below 1, or there is no row.</exception>
    public void AddOuterProducts(
        ReadOnlySpan<float> states, ReadOnlySpan<double> centre, ReadOnlySpan<double> shift, double weight, Span<double> upper)
    {
        if (Shape.Rows(states.Length, centre.Length, nameof(states)) == 0)
            throw new ArgumentException("states holds no row.", nameof(states));
        Shape.RequireLength(shift.Length, centre.Length, "(D)", nameof(shift));
        Shape.RequireLength(upper.Length, PackedUpper.Length(centre.Length), "(D (D + 1) / 2)", nameof(upper));
        AddOuterProductsCore(states, centre.Length, centre, shift, weight, upper);
    }

    internal abstract void RowNormsCore(ReadOnlySpan<float> states, int dimension, Span<double> norms);

    /// <param name="states">The first (D) of T rows that start a stride apart; what follows the last of them may be missing.</param>
    /// <param name="rows">T.</param>
    /// <param name="stride">Distance from row to row.</param>
    /// <param name="sum">(D).</param>
    internal abstract void AddRowsCore(ReadOnlySpan<float> states, int rows, int stride, Span<double> sum);

    /// <summary>The first byte at or after this one where a cache line starts.</summary>
    internal static unsafe void* Align(void* address) => (void*)(((nuint)address + CacheLine - 1) / CacheLine * CacheLine);
}
