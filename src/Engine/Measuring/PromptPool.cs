using EmScan.Kernels;

namespace EmScan.Engine.Measuring;

/// <summary>The mean over the positions of a prompt.</summary>
internal sealed class PromptPool(int width, bool paired)
{
    private readonly double[] _sum = new double[width];
    private readonly double[] _baseSum = paired ? new double[width] : [];

    internal int Count { get; private set; }

    internal void Add(ReadOnlySpan<float> states, ReadOnlySpan<float> beside)
    {
        KernelSets.Default.AddRows(states, _sum);
        if (_baseSum.Length > 0) KernelSets.Default.AddRows(beside, _baseSum);
        Count += states.Length / width;
    }

    internal float[] Mean() => Array.ConvertAll(_sum, s => (float)(s / Count));

    internal float[] BaseMean() => Array.ConvertAll(_baseSum, s => (float)(s / Count));
}
