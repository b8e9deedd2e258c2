using System.Numerics.Tensors;
using EmScan.Engine.Runtime;
using EmScan.Kernels;

namespace EmScan.Engine.Scanning;

/// <summary>
/// Reduces the hidden states of one layer as they arrive: projections and norms per prompt, each the mean over the prompt's positions, and the
/// mean over prompts of those means. Nothing of size (P, D) is kept.
/// </summary>
internal sealed class MeasurementSink : IHiddenStateSink
{
    private readonly KernelSet _kernels;
    private readonly float[] _directions;
    private readonly int _hiddenSize;
    private readonly int _traits;
    private readonly int[] _positions; // (P), positions of each prompt
    private readonly double[] _projections;
    private readonly double[] _norms;
    private readonly double[] _sum;
    private readonly double[] _rows; // (D), what several rows of one prompt add up to
    private double[] _some = []; // projections or norms of the rows at hand

    internal MeasurementSink(KernelSet kernels, float[] directions, int traits, int hiddenSize, IReadOnlyList<CapturePrompt> prompts)
    {
        _kernels = kernels;
        _directions = directions;
        _traits = traits;
        _hiddenSize = hiddenSize;
        _positions = [.. prompts.Select(p => p.Positions.Length)];
        _projections = new double[checked(prompts.Count * traits)];
        _norms = new double[prompts.Count];
        _sum = new double[hiddenSize];
        _rows = new double[hiddenSize];
    }

    internal void Reset()
    {
        Array.Clear(_sum);
        Array.Clear(_projections);
        Array.Clear(_norms);
    }

    public void Accept(int promptIndex, int layer, int firstPosition, ReadOnlySpan<float> states)
    {
        Span<double> projections = _projections.AsSpan(promptIndex * _traits, _traits);
        if (_positions[promptIndex] == 1)
        {
            _kernels.Project(states, _directions, _hiddenSize, projections);
            _kernels.RowNorms(states, _hiddenSize, _norms.AsSpan(promptIndex, 1));
            _kernels.AddRows(states, _sum);
            return;
        }

        int rows = states.Length / _hiddenSize;
        double share = 1.0 / _positions[promptIndex];
        if (_some.Length < rows * _traits) _some = new double[rows * _traits];
        _kernels.Project(states, _directions, _hiddenSize, _some.AsSpan(0, rows * _traits));
        for (int r = 0; r < rows; r++) TensorPrimitives.MultiplyAdd(_some.AsSpan(r * _traits, _traits), share, projections, projections);
        _kernels.RowNorms(states, _hiddenSize, _some.AsSpan(0, rows));
        _norms[promptIndex] += share * TensorPrimitives.Sum<double>(_some.AsSpan(0, rows));
        Array.Clear(_rows);
        _kernels.AddRows(states, _rows);
        TensorPrimitives.MultiplyAdd(_rows, share, _sum, _sum);
    }

    /// <summary>The measurement of the prompts seen since <see cref="Reset"/>.</summary>
    /// <exception cref="EmScanException">A hidden state held NaN or infinity.</exception>
    internal Measurement Result()
    {
        int prompts = _norms.Length;
        int broken = _norms.Count(n => !double.IsFinite(n));
        if (broken > 0)
            throw new EmScanException($"the hidden states of {broken} of {prompts} prompts hold NaN or infinity; the weights are damaged or overflow.");
        float[] mean = new float[_hiddenSize];
        for (int i = 0; i < mean.Length; i++) mean[i] = (float)(_sum[i] / prompts);
        return new Measurement([.. _projections], [.. _norms], mean);
    }
}
