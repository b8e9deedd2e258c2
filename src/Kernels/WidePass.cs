namespace EmScan.Kernels;

/// <summary>
/// One wide projection: what <see cref="KernelSet.ProjectStrip"/> works on. Plain pointers, so that threads can share it; whoever makes it
/// keeps the memory pinned.
/// </summary>
internal readonly unsafe struct WidePass
{
    /// <summary>The states as <see cref="KernelSet.PackStates"/> lays them out, from a cache line on.</summary>
    public required float* States { get; init; }

    /// <summary>T.</summary>
    public required int Rows { get; init; }

    /// <summary>(K, D).</summary>
    public required float* Directions { get; init; }

    /// <summary>K.</summary>
    public required int Count { get; init; }

    /// <summary>D.</summary>
    public required int Dimension { get; init; }

    /// <summary>(T, K).</summary>
    public required double* Projections { get; init; }
}
