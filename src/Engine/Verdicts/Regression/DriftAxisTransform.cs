using System.Numerics.Tensors;
using EmScan.Engine.Drift;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>What a <see cref="DriftAxisTransform"/> makes of the position on the drift axis.</summary>
internal enum DriftAxisOutput
{
    /// <summary>|x . PC1|, the paper's alarm signal.</summary>
    Magnitude,

    /// <summary>x . PC1.</summary>
    Position,

    /// <summary>100 |x . PC1|, step, 100 |x . PC1| / step: the paper's features for long runs. The step is the last input.</summary>
    StepAware,
}

/// <summary>Position of a drift on a drift axis, as features.</summary>
internal sealed class DriftAxisTransform : ITransform
{
    internal const string KindName = "drift_axis";

    private readonly double[] _loadings; // (K)

    /// <summary>Takes the loadings of an axis.</summary>
    public DriftAxisTransform(DriftAxis axis, DriftAxisOutput output)
        : this((axis ?? throw new ArgumentNullException(nameof(axis))).Loadings.ToArray(), output)
    {
    }

    internal DriftAxisTransform(double[] loadings, DriftAxisOutput output)
    {
        _loadings = loadings;
        Output = output;
    }

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <summary>What is made of the position.</summary>
    public DriftAxisOutput Output { get; }

    /// <summary>Loadings of PC1, a unit vector, (K).</summary>
    public ReadOnlySpan<double> Loadings => _loadings;

    /// <summary>K, and the step where the output needs it.</summary>
    public int InputCount => _loadings.Length + (Output == DriftAxisOutput.StepAware ? 1 : 0);

    /// <inheritdoc/>
    public int OutputCount => Output == DriftAxisOutput.StepAware ? 3 : 1;

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> row, Span<double> result)
    {
        Guard.Row(row, InputCount);
        Guard.Result(result, OutputCount);
        double position = TensorPrimitives.Dot(row[.._loadings.Length], _loadings);
        if (Output == DriftAxisOutput.Position)
        {
            result[0] = position;
            return;
        }

        result[0] = Math.Abs(position);
        if (Output == DriftAxisOutput.Magnitude) return;
        result[0] *= 100;
        result[1] = row[^1];

        // The base model has step 0 and no drift: no drift per step either.
        result[2] = row[^1] > 0 ? result[0] / row[^1] : 0;
    }
}
