using System.Numerics.Tensors;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Detection.Regression;

/// <summary>Scores on the first M principal components of the centred rows: scikit-learn's PCA. Features are not scaled.</summary>
/// <remarks>Components are unit vectors by descending variance; the largest entry of each is positive. They come from the products of the
/// features (F, F), or of the rows (N, N) where that is smaller, one eigenvector after another, each taken out of the matrix.</remarks>
public sealed class PrincipalComponents : ITransform
{
    internal const string KindName = "principal_components";

    /// <summary>Below this share of the first component's variance an eigenvector of a matrix of products is rounding.</summary>
    private const double SmallestShare = 1e-11;

    private readonly Axes _axes;

    internal PrincipalComponents(Axes axes) => _axes = axes;

    /// <inheritdoc/>
    public string Kind => KindName;

    /// <inheritdoc/>
    public int InputCount => _axes.Mean.Length;

    /// <inheritdoc/>
    public int OutputCount => _axes.Rows.Length;

    internal Axes Axes => _axes;

    /// <summary>Means, (F).</summary>
    public ReadOnlySpan<double> Mean => _axes.Mean;

    /// <summary>Component m, (F).</summary>
    public ReadOnlySpan<double> Component(int m) => _axes.Rows[m];

    /// <summary>Finds the components.</summary>
    /// <param name="x">(N, F); F may exceed N.</param>
    /// <param name="components">M, at most min(N - 1, F).</param>
    /// <exception cref="ArgumentException">M is below 1.</exception>
    /// <exception cref="EmScanException">The rows vary in fewer than M directions.</exception>
    public static PrincipalComponents Fit(FeatureMatrix x, int components)
    {
        Guard.Components(x, components);
        double[][] columns = x.CentredColumns(out double[] means);
        bool wide = x.FeatureCount > x.RowCount;
        int n = wide ? x.RowCount : x.FeatureCount;
        double[] products = wide ? RowProducts(columns, n) : ColumnProducts(columns);
        var axes = new double[components][];
        double first = 0;
        for (int m = 0; m < components; m++)
        {
            double[] vector = DominantEigenvector.Find(products, n);
            double variance = Deflate(products, vector);
            if (m == 0) first = variance;
            if (!(variance > SmallestShare * first))
            {
                throw new EmScanException(
                    $"{components} principal components were asked for; the dimension in which the {x.RowCount} rows vary is {m}.");
            }

            axes[m] = wide ? [.. columns.Select(column => TensorPrimitives.Dot<double>(column, vector))] : vector;
            TensorPrimitives.Divide(axes[m], TensorPrimitives.Norm<double>(axes[m]), axes[m]);
            Axes.Orient(axes[m]);
        }

        return new PrincipalComponents(new Axes(means, axes));
    }

    /// <inheritdoc/>
    public void Apply(ReadOnlySpan<double> row, Span<double> result) => _axes.Project(row, result);

    private static double[] ColumnProducts(double[][] columns)
    {
        int n = columns.Length;
        var products = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
                products[(i * n) + j] = products[(j * n) + i] = TensorPrimitives.Dot<double>(columns[i], columns[j]);
        }

        return products;
    }

    private static double[] RowProducts(double[][] columns, int n)
    {
        var products = new double[n * n];
        foreach (double[] column in columns)
        {
            for (int i = 0; i < n; i++)
            {
                Span<double> row = products.AsSpan(i * n, n);
                TensorPrimitives.MultiplyAdd(column, column[i], row, row);
            }
        }

        return products;
    }

    /// <summary>Takes an eigenvector out of a symmetric matrix; returns its eigenvalue.</summary>
    private static double Deflate(double[] matrix, double[] vector)
    {
        int n = vector.Length;
        double eigenvalue = 0;
        for (int i = 0; i < n; i++) eigenvalue += vector[i] * TensorPrimitives.Dot<double>(matrix.AsSpan(i * n, n), vector);
        for (int i = 0; i < n; i++)
        {
            Span<double> row = matrix.AsSpan(i * n, n);
            TensorPrimitives.MultiplyAdd(vector, -eigenvalue * vector[i], row, row);
        }

        return eigenvalue;
    }
}
