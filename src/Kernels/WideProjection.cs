using System.Buffers;

namespace EmScan.Kernels;

/// <summary>
/// Dot products of a block of states with many directions (a vocabulary, the latents of an autoencoder), as a matrix product:
/// <c>projections[t, k] = sum over d of states[t, d] * directions[k, d]</c>. The states are laid out once, in the constructor, and then
/// meet any number of blocks of directions, which may be made as they are needed.
/// </summary>
/// <remarks>
/// <para>Pays from some 16 states and 256 directions on; below that use <see cref="KernelSet.Project"/>. SIMD sets multiply and add in
/// float32 with at most <see cref="SimdLimits.Float32RowRun"/> roundings at a time, and sum in float64. The error is below 1.5e-6 *
/// ||state|| * ||direction|| for every input and every D; random states of D = 4096 stay below 5e-8. Exact to this bound as long as
/// |state element * direction element| lies between 1e-30 and 2e36.</para>
/// <para>The same set gives the same bits for the same row, whatever the other rows are and however many threads work; where a direction
/// stands in its block may change the last bits, so blocks should start at multiples of 16. NaN and infinity follow IEEE 754: they reach
/// exactly the outputs that their inputs take part in.</para>
/// <para>Holds 4 T D bytes and a little more, from the shared array pool until it is disposed of. Thread safe after construction: any
/// number of threads may project at a time.</para>
/// </remarks>
public sealed unsafe class WideProjection : IResidentStates
{
    /// <summary>Numbers that are worth a thread of their own while they are laid out, 0.1 ms.</summary>
    private const int LeastPart = 1 << 17;

    private readonly KernelSet _kernels;
    private readonly int _start; // on a cache line: arrays of this size are not moved
    private float[]? _packed;

    /// <summary>Lays the states out.</summary>
    /// <param name="states">(T, D) float32, copied.</param>
    /// <param name="dimension">D.</param>
    /// <param name="kernels">Kernel set, or null for <see cref="KernelSets.Default"/>.</param>
    /// <param name="threads">Most threads that work on it, the caller's among them.</param>
    /// <exception cref="ArgumentException">The shapes do not agree, or D is below 1.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no thread.</exception>
    /// <exception cref="KernelSelectionException">No kernel set is given and the environment names one that cannot run.</exception>
    public WideProjection(ReadOnlySpan<float> states, int dimension, KernelSet? kernels = null, int threads = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Rows = Shape.Rows(states.Length, dimension, nameof(states));
        Dimension = dimension;
        _kernels = kernels ?? KernelSets.Default;

        _packed = ArrayPool<float>.Shared.Rent(
            checked((int)_kernels.PackedStatesLength(Rows, dimension) + KernelSet.CacheLine / sizeof(float)));
        fixed (float* statesAt = states, packedAt = _packed)
        {
            float* start = (float*)KernelSet.Align(packedAt);
            _start = (int)(start - packedAt);
            int parts = Math.Min(threads, (int)((long)Rows * dimension / LeastPart));
            if (parts <= 1)
                _kernels.PackStates(statesAt, Rows, dimension, start);
            else
                PackOnThreads(statesAt, start, parts);
        }
    }

    /// <summary>Number of states, T.</summary>
    public int Rows { get; }

    /// <summary>Width of a state, D.</summary>
    public int Dimension { get; }

    /// <summary>Projects all states on a block of directions.</summary>
    /// <param name="directions">(K, D) float32.</param>
    /// <param name="projections">(T, K) float64, overwritten.</param>
    /// <param name="threads">Most threads that work on it, the caller's among them.</param>
    /// <exception cref="ArgumentException">The shapes do not agree.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no thread.</exception>
    /// <exception cref="ObjectDisposedException">It has been disposed of.</exception>
    public void Project(ReadOnlySpan<float> directions, Span<double> projections, int threads = 1)
    {
        ObjectDisposedException.ThrowIf(_packed == null, this);
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        int count = Shape.Rows(directions.Length, Dimension, nameof(directions));
        Shape.RequireLength(projections.Length, (long)Rows * count, "(T, K)", nameof(projections));
        if (projections.IsEmpty)
            return;
        fixed (float* packedAt = _packed, directionsAt = directions)
        fixed (double* projectionsAt = projections)
        {
            WidePass pass = new()
            {
                States = packedAt + _start,
                Rows = Rows,
                Directions = directionsAt,
                Count = count,
                Dimension = Dimension,
                Projections = projectionsAt,
            };
            int strips = (count - 1) / _kernels.StripDirections + 1;
            if (threads == 1 || strips == 1)
                ProjectStrips(pass, 0, strips);
            else
                ProjectOnThreads(pass, strips, Math.Min(threads, strips));
        }
    }

    void IResidentStates.Project(ReadOnlySpan<float> directions, Span<double> projections) => Project(directions, projections);

    /// <summary>Gives the memory back. No call may be at work.</summary>
    public void Dispose()
    {
        if (_packed != null)
            ArrayPool<float>.Shared.Return(_packed);
        _packed = null;
    }

    // Whole panels for each thread: they lie side by side.
    private void PackOnThreads(float* states, float* packed, int parts)
    {
        int panel = _kernels.PanelStates, panels = (Rows - 1) / panel + 1;
        Parallel.For(0, parts, new ParallelOptions { MaxDegreeOfParallelism = parts }, part =>
        {
            int first = panels * part / parts * panel, end = Math.Min(panels * (part + 1) / parts * panel, Rows);
            _kernels.PackStates(states + (nint)first * Dimension, end - first, Dimension, packed + _kernels.PackedStatesLength(first, Dimension));
        });
    }

    private void ProjectOnThreads(WidePass pass, int strips, int threads)
    {
        // Strips are short beside a thread's start; whoever is done takes the next one.
        int next = 0;
        Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, _ =>
        {
            for (int strip; (strip = Interlocked.Increment(ref next) - 1) < strips;)
                ProjectStrips(pass, strip, 1);
        });
    }

    private void ProjectStrips(in WidePass pass, int first, int count)
    {
        int length = _kernels.StripScratch(Rows, Dimension);
        float[] scratch = ArrayPool<float>.Shared.Rent(length + KernelSet.CacheLine / sizeof(float));
        fixed (float* scratchAt = scratch)
        {
            for (int strip = first; strip < first + count; strip++)
                _kernels.ProjectStrip(pass, strip, (float*)KernelSet.Align(scratchAt));
        }

        ArrayPool<float>.Shared.Return(scratch);
    }
}
