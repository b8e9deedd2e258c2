namespace EmScan.Kernels;

/// <content>
/// How a projection on many directions is cut: the states are laid out once, then the directions are taken in strips of a fixed width, in
/// any order and any number at a time; each number of the result belongs to one strip.
/// </content>
public abstract partial class KernelSet
{
    /// <summary>Directions in a strip.</summary>
    internal abstract int StripDirections { get; }

    /// <summary>States in a panel: what <see cref="PackStates"/> writes for some states begins anew at each multiple of it.</summary>
    internal abstract int PanelStates { get; }

    /// <summary>Float32 numbers that <see cref="PackStates"/> writes.</summary>
    internal abstract long PackedStatesLength(int rows, int dimension);

    /// <summary>Lays states (T, D) out in the order in which <see cref="ProjectStrip"/> reads them.</summary>
    internal abstract unsafe void PackStates(float* states, int rows, int dimension, float* packed);

    /// <summary>Float32 numbers, an even number of them, that <see cref="ProjectStrip"/> needs to itself, from a cache line on.</summary>
    internal abstract int StripScratch(int rows, int dimension);

    /// <summary>Projects all states on the directions of one strip.</summary>
    internal abstract unsafe void ProjectStrip(in WidePass pass, int strip, float* scratch);
}
