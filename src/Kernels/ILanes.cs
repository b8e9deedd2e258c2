namespace EmScan.Kernels;

/// <summary>
/// One SIMD width, as the operations that <see cref="SimdKernelSet{TLanes, TFloat, TDouble}"/> is written in. All members are static and
/// resolved at compile time: the JIT makes a separate, fully inlined body of each algorithm for each width.
/// </summary>
/// <typeparam name="TFloat">Vector of <see cref="Width"/> float32 lanes.</typeparam>
/// <typeparam name="TDouble">Vector of as many bits, half as many float64 lanes.</typeparam>
internal interface ILanes<TFloat, TDouble>
    where TFloat : struct
    where TDouble : struct
{
    /// <summary>Name of the kernel set of this width.</summary>
    static abstract string Name { get; }

    /// <summary>Whether the processor has vectors of this width.</summary>
    static abstract bool IsSupported { get; }

    /// <summary>Float32 lanes per vector.</summary>
    static abstract int Width { get; }

    /// <summary>Vectors that the processor's registers hold, at least.</summary>
    static abstract int Registers { get; }

    /// <summary>Reads <see cref="Width"/> consecutive numbers.</summary>
    static abstract unsafe TFloat Load(float* source);

    /// <summary>Reads half of <see cref="Width"/> consecutive numbers.</summary>
    static abstract unsafe TDouble Load(double* source);

    /// <summary>Writes <see cref="Width"/> consecutive numbers.</summary>
    static abstract unsafe void Store(TFloat value, float* target);

    /// <summary>Writes half of <see cref="Width"/> consecutive numbers.</summary>
    static abstract unsafe void Store(TDouble value, double* target);

    /// <summary>The same number in every lane.</summary>
    static abstract TFloat Broadcast(float value);

    /// <summary>The same number in every lane.</summary>
    static abstract TDouble Broadcast(double value);

    /// <summary>
    /// left * right + addend, lane by lane, rounded once where the processor has a fused instruction and twice where not.
    /// </summary>
    static abstract TFloat MultiplyAdd(TFloat left, TFloat right, TFloat addend);

    /// <summary>
    /// left * right + addend, lane by lane, rounded once where the processor has a fused instruction and twice where not.
    /// </summary>
    static abstract TDouble MultiplyAdd(TDouble left, TDouble right, TDouble addend);

    /// <summary>left + right, lane by lane.</summary>
    static abstract TFloat Add(TFloat left, TFloat right);

    /// <summary>left + right, lane by lane.</summary>
    static abstract TDouble Add(TDouble left, TDouble right);

    /// <summary>left - right, lane by lane.</summary>
    static abstract TDouble Subtract(TDouble left, TDouble right);

    /// <summary>The first half of the lanes, exactly.</summary>
    static abstract TDouble WidenLower(TFloat value);

    /// <summary>The second half of the lanes, exactly.</summary>
    static abstract TDouble WidenUpper(TFloat value);

    /// <summary>The lanes of both, rounded to float32.</summary>
    static abstract TFloat Narrow(TDouble lower, TDouble upper);

    /// <summary>The lanes in another order.</summary>
    /// <param name="value">What to reorder.</param>
    /// <param name="lanes"><see cref="Width"/> numbers: from which lane each comes.</param>
    static abstract unsafe TFloat Shuffle(TFloat value, int* lanes);

    /// <summary>Sum over the lanes.</summary>
    static abstract double Sum(TDouble value);
}
