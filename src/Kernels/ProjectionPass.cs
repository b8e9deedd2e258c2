namespace EmScan.Kernels;

/// <summary>
/// One projection: what <see cref="KernelSet.ProjectRows"/> works on. Plain pointers, so that threads can share it; whoever makes it keeps
/// the memory pinned.
/// </summary>
internal readonly unsafe struct ProjectionPass
{
    /// <summary>(T, D).</summary>
    public required float* States { get; init; }

    /// <summary>T.</summary>
    public required int Rows { get; init; }

    /// <summary>(K, D).</summary>
    public required float* Directions { get; init; }

    /// <summary>K.</summary>
    public required int Count { get; init; }

    /// <summary>D.</summary>
    public required int Dimension { get; init; }

    /// <summary>
    /// The directions as <see cref="KernelSet.CopyDirections"/> lays them out, from a cache line on, or null for not at all.
    /// </summary>
    public required float* Panels { get; init; }

    /// <summary>(T, K).</summary>
    public required double* Projections { get; init; }
}
