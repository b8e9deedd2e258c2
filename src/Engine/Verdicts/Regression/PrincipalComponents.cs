using EmScan.Engine.Numerics;

namespace EmScan.Engine.Verdicts.Regression;

/// <summary>Scores on the first M principal components of the centred rows: scikit-learn's PCA. Features are not scaled.</summary>
/// <remarks>Components are unit vectors by descending variance; the largest entry of each is positive. They come from the products of the
/// features (F, F), or of the rows (N, N) where that is smaller.</remarks>
internal sealed class PrincipalComponents : ITransform
{
    internal const string KindName = "principal_components";

    /// <summary>Below this share of the first component's variance an eigenvector of a matrix of products is rounding.</summary>
    private const double SmallestShare = 1e-11;

    private readonly ComponentBasis _basis;

    internal PrincipalComponents(ComponentBasis basis) => _basis = basis;

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int InputCount => _basis.Mean.Length;

    /// <inheritdoc/>
    public int OutputCount => _basis.Rows.Length;

    internal ComponentBasis Basis => _basis;

    /// <summary>Means, (F).</summary>
    public ReadOnlySpan<double> Mean => _basis.Mean;

    /// <summary>Component m, (F).</summary>
    public ReadOnlySpan<double> Component(int m) => _basis.Rows[m];

    /// <summary>Finds the components.</summary>
    /// <param name="x">(N, F); F may exceed N.</param>
    /// <param name="components">M, at most min(N - 1, F).</param>
    /// <exception cref="ArgumentException">M is below 1.</exception>
    /// <exception cref="EmScanException">The rows vary in fewer than M directions.</exception>
    public static PrincipalComponents Fit(FeatureMatrix x, int components)
    {
        Guard.Components(x, components);
        var principal = new PrincipalAxes(x.CentredColumns(out double[] means));
        int dimension = principal.SumsOfSquares.Count(value => value > SmallestShare * principal.SumsOfSquares[0]);
        if (dimension < components)
        {
            throw new EmScanException(
                $"{components} principal components were asked for; the dimension in which the {x.RowCount} rows vary is {dimension}.");
        }

        double[][] axes = [.. Enumerable.Range(0, components).Select(principal.Axis)];
        foreach (double[] axis in axes) ComponentBasis.Orient(axis);
        return new PrincipalComponents(new ComponentBasis(means, axes));
    }

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> row, Span<double> result) => _basis.Project(row, result);
}
