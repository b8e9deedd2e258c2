using System.Runtime.InteropServices;

namespace EmScan.Engine.Running;

/// <summary>
/// Keeps memory flat over hundreds of checkpoints. Left alone, the collector lets garbage grow to the size of the processor's last-level
/// cache before it looks, and the C heap keeps what loading and freeing an adapter has left in pieces; beside a model that fills the
/// machine that is memory taken from the user. Giving both back takes a few milliseconds on heaps as small as ours.
/// </summary>
/// <remarks>Not thread safe.</remarks>
public sealed unsafe class HeapTrimmer
{
    private const long GarbageBytes = 1 << 20;

    // glibc's malloc_trim; other C libraries give memory back by themselves or not at all.
    private readonly delegate* unmanaged<nuint, int> _trim =
        OperatingSystem.IsLinux() && NativeLibrary.TryLoad("libc.so.6", out nint libc) && NativeLibrary.TryGetExport(libc, "malloc_trim", out nint trim)
            ? (delegate* unmanaged<nuint, int>)trim
            : null;

    // Zero: what preparing the scan has left behind goes at the first check.
    private long _allocatedAtCollection;

    /// <summary>Called between checkpoints. Trimming the C heap takes microseconds; the managed heap waits until there is something to collect.</summary>
    public void Trim()
    {
        if (_trim != null) _ = _trim(0);
        long allocated = GC.GetTotalAllocatedBytes();
        if (allocated - _allocatedAtCollection < GarbageBytes) return;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        _allocatedAtCollection = allocated;
    }
}
