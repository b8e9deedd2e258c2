using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using EmScan.Kernels;

namespace EmScan.Bench.Kernels;

/// <summary>
/// What the machine gives at most, on as many threads as the kernel has and with vectors of the same width: a loop that only reads (as
/// STREAM does), and one that only multiplies and adds.
/// </summary>
public abstract unsafe class Ceiling : IDisposable
{
    private readonly WorkerThreads _threads;
    private readonly Action<int, int> _read;
    private readonly Action<int, int> _multiplyAdd;
    private readonly float[] _results;
    private float* _numbers;
    private long _count;

    private protected Ceiling(int threads)
    {
        _threads = new WorkerThreads(threads);
        _read = (part, _) => _results![part * 16] = ReadPart(_numbers + _count / Parts * part, _count / Parts);
        _multiplyAdd = (part, _) => _results![part * 16] = MultiplyAddPart(_count / Parts);
        _results = new float[Parts * 16];
    }

    private int Parts => 8 * _threads.Threads;

    /// <summary>The ceiling for a kernel set; the plain one is measured against the narrowest vectors.</summary>
    public static Ceiling For(KernelSet set, int threads) => set.Name switch
    {
        "vector512" => new Ceiling<Vector512Lanes, Vector512<float>, Vector512<double>>(threads),
        "vector256" => new Ceiling<Vector256Lanes, Vector256<float>, Vector256<double>>(threads),
        _ => new Ceiling<Vector128Lanes, Vector128<float>, Vector128<double>>(threads),
    };

    /// <summary>Reads all numbers once.</summary>
    /// <returns>Something that depends on all of them.</returns>
    public float Read(ReadOnlySpan<float> numbers)
    {
        fixed (float* start = numbers)
        {
            _numbers = start;
            return Run(_read, numbers.Length);
        }
    }

    /// <summary>Does so many multiplications and as many additions, in registers.</summary>
    /// <returns>Something that depends on all of them.</returns>
    public float MultiplyAdd(long count) => Run(_multiplyAdd, count);

    public void Dispose()
    {
        _threads.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected abstract float ReadPart(float* numbers, long count);

    private protected abstract float MultiplyAddPart(long count);

    private float Run(Action<int, int> job, long count)
    {
        _count = count;
        _threads.Run(job, Parts);
        return _results.Sum();
    }
}

internal sealed unsafe class Ceiling<TLanes, TFloat, TDouble>(int threads) : Ceiling(threads)
    where TLanes : struct, ILanes<TFloat, TDouble>
    where TFloat : struct
    where TDouble : struct
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private protected override float ReadPart(float* numbers, long count)
    {
        TFloat a = default, b = default, c = default, d = default;
        float* end = numbers + count / (4 * TLanes.Width) * (4 * TLanes.Width);
        for (; numbers < end; numbers += 4 * TLanes.Width)
        {
            a = TLanes.Add(a, TLanes.Load(numbers));
            b = TLanes.Add(b, TLanes.Load(numbers + TLanes.Width));
            c = TLanes.Add(c, TLanes.Load(numbers + 2 * TLanes.Width));
            d = TLanes.Add(d, TLanes.Load(numbers + 3 * TLanes.Width));
        }

        return Sum(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private protected override float MultiplyAddPart(long count)
    {
        // 12 chains keep two units of latency up to 6 busy; the values move towards 1 and never overflow.
        TFloat half = TLanes.Broadcast(0.5f);
        TFloat a = half, b = half, c = half, d = half, e = half, f = half, g = half, h = half, i = half, j = half, k = half, l = half;
        for (long n = count / (12 * TLanes.Width); n > 0; n--)
        {
            a = TLanes.MultiplyAdd(a, half, half);
            b = TLanes.MultiplyAdd(b, half, half);
            c = TLanes.MultiplyAdd(c, half, half);
            d = TLanes.MultiplyAdd(d, half, half);
            e = TLanes.MultiplyAdd(e, half, half);
            f = TLanes.MultiplyAdd(f, half, half);
            g = TLanes.MultiplyAdd(g, half, half);
            h = TLanes.MultiplyAdd(h, half, half);
            i = TLanes.MultiplyAdd(i, half, half);
            j = TLanes.MultiplyAdd(j, half, half);
            k = TLanes.MultiplyAdd(k, half, half);
            l = TLanes.MultiplyAdd(l, half, half);
        }

        TFloat abcd = TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d));
        TFloat efgh = TLanes.Add(TLanes.Add(e, f), TLanes.Add(g, h));
        TFloat ijkl = TLanes.Add(TLanes.Add(i, j), TLanes.Add(k, l));
        return Sum(TLanes.Add(TLanes.Add(abcd, efgh), ijkl));
    }

    private static float Sum(TFloat value) => (float)TLanes.Sum(TLanes.Add(TLanes.WidenLower(value), TLanes.WidenUpper(value)));
}
