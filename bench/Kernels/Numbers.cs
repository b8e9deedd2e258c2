using System.Runtime.InteropServices;

namespace EmScan.Bench.Kernels;

/// <summary>Float32 numbers that look like hidden states, outside the managed heap and on a cache line, as llama.cpp's are.</summary>
/// <remarks>Zeros would be too easy: pages of zeros may share memory, and multiplying them takes less power.</remarks>
internal sealed unsafe class Numbers : IDisposable
{
    /// <summary>Makes numbers of mean 0 and variance 1, each a sum of uniform ones.</summary>
    public Numbers(int length, int seed)
    {
        Length = length;
        Start = (float*)NativeMemory.AlignedAlloc((nuint)length * sizeof(float), 64);
        Random random = new(seed);
        foreach (ref float number in Span)
            number = (float)(2 * (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5));
    }

    public float* Start { get; }

    public int Length { get; }

    public Span<float> Span => new(Start, Length);

    public void Dispose() => NativeMemory.AlignedFree(Start);
}
