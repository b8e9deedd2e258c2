using System.Numerics.Tensors;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>What is linear in its features up to a fixed function of w.x + b. Immutable and safe to share between threads.</summary>
internal abstract class LinearRegressor : IRegressor
{
    private readonly double[] _coefficients; // (F)

    private protected LinearRegressor(double[] coefficients, double intercept)
    {
        _coefficients = coefficients;
        Intercept = intercept;
    }

    /// <inheritdoc/>
    public abstract string Kind { get; }

    /// <inheritdoc/>
    public int FeatureCount => _coefficients.Length;

    /// <summary>w, (F).</summary>
    public ReadOnlySpan<double> Coefficients => _coefficients;

    /// <summary>b.</summary>
    public double Intercept { get; }

    /// <inheritdoc/>
    public abstract double Predict(ReadOnlySpan<double> row);

    /// <summary>w.x + b.</summary>
    private protected double Score(ReadOnlySpan<double> row)
    {
        Guard.Row(row, FeatureCount);
        return TensorPrimitives.Dot(_coefficients, row) + Intercept;
    }
}
