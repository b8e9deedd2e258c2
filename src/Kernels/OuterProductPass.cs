namespace EmScan.Kernels;

/// <summary>
/// One pass over a symmetric sum: what <see cref="KernelSet.Pack"/> and <see cref="KernelSet.AddTile"/> work on. Plain pointers, so that
/// threads can share it; whoever makes it keeps the memory pinned.
/// </summary>
internal readonly unsafe struct OuterProductPass
{
    /// <summary>(T, D), the rows of this pass.</summary>
    public required float* Rows { get; init; }

    /// <summary>T, from 1 to <see cref="KernelSet.OuterProductRows"/>.</summary>
    public required int Count { get; init; }

    /// <summary>D.</summary>
    public required int Dimension { get; init; }

    /// <summary>(D), what is subtracted from every row, or null for nothing.</summary>
    public required double* Centre { get; init; }

    /// <summary>The rows as the set lays them out for itself, <see cref="KernelSet.PackedLength"/> numbers from a cache line on.</summary>
    public required float* Packed { get; init; }

    /// <summary>(D), or null for none.</summary>
    public required double* Shift { get; init; }

    /// <summary>Factor on the outer product of the shift.</summary>
    public required double Weight { get; init; }

    /// <summary>The sum, packed upper half.</summary>
    public required double* Upper { get; init; }
}
