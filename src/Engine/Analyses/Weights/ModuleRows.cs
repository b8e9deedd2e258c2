using System.Numerics.Tensors;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>Rows of dW = s B A of one weight, made as they are asked for: the matrix itself is never there.</summary>
/// <remarks>Float32 sums in the order of the rank: the same row comes out bit for bit the same every time.</remarks>
internal sealed class ModuleRows
{
    private readonly float[] _a; // (R, I)
    private readonly float[] _b; // (O, R), with s
    private readonly int _rank;

    internal ModuleRows(float[] a, float[] b, int rank, double scale)
    {
        (_a, _rank) = (a, rank);
        _b = Array.ConvertAll(b, v => (float)(scale * v));
        Inputs = a.Length / rank;
        Outputs = b.Length / rank;
    }

    internal static ModuleRows Of(LowRankFile file, LowRankModule module)
    {
        (float[] a, float[] b) = file.Read(module);
        return new ModuleRows(a, b, module.Rank, module.Scale);
    }

    internal int Inputs { get; }

    internal int Outputs { get; }

    /// <summary>Row o of dW, (I).</summary>
    internal void Row(int o, Span<float> row)
    {
        TensorPrimitives.Multiply(_a.AsSpan(0, Inputs), _b[o * _rank], row);
        for (int r = 1; r < _rank; r++) TensorPrimitives.MultiplyAdd(_a.AsSpan(r * Inputs, Inputs), _b[(o * _rank) + r], row, row);
    }
}
