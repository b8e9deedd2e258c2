using System.Numerics.Tensors;
using EmScan.Engine.Formats;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>How alike the column and row spaces of two changes of one weight are.</summary>
/// <param name="Module">Which weight.</param>
/// <param name="ColumnCosines">Cosines of the principal angles between the column spaces, descending.</param>
/// <param name="RowCosines">The same of the row spaces.</param>
/// <param name="ChanceColumn">What the mean squared cosine of random subspaces is: R / O, R the larger of both ranks.</param>
/// <param name="ChanceRow">R / I.</param>
/// <param name="TopColumn">|cosine| of the first left singular vectors.</param>
/// <param name="TopRow">|cosine| of the first right singular vectors.</param>
/// <remarks>Singular values of Ua' Ub and Va' Vb (Bjorck and Golub 1973); subspace similarity of LoRA: arXiv 2106.09685, EM adapters: 2511.02022.</remarks>
internal sealed record PairSubspaces(
    string Module, double[] ColumnCosines, double[] RowCosines, double ChanceColumn, double ChanceRow, double TopColumn, double TopRow)
{
    // Singular values below this share of the largest are rounding of float32 factors, and have no direction of their own.
    private const double Negligible = 1e-6;

    /// <summary>mean cos^2 of the column spaces.</summary>
    internal double ColumnOverlap => TensorPrimitives.SumOfSquares<double>(ColumnCosines) / ColumnCosines.Length;

    /// <summary>mean cos^2 of the row spaces.</summary>
    internal double RowOverlap => TensorPrimitives.SumOfSquares<double>(RowCosines) / RowCosines.Length;

    /// <summary>Compares one weight of two adapters; null when one of the changes is zero.</summary>
    internal static PairSubspaces? Of((float[] A, float[] B) x, LowRankModule ofX, (float[] A, float[] B) y, LowRankModule ofY)
    {
        LowRankSvd first = new(x.B, x.A, ofX.Rank, ofX.Scale), second = new(y.B, y.A, ofY.Rank, ofY.Scale);
        int ranksX = Rank(first), ranksY = Rank(second);
        if (ranksX == 0 || ranksY == 0) return null;
        double[][] leftX = [.. Enumerable.Range(0, ranksX).Select(first.Left)], leftY = [.. Enumerable.Range(0, ranksY).Select(second.Left)];
        double[][] rightX = [.. Enumerable.Range(0, ranksX).Select(first.Right)], rightY = [.. Enumerable.Range(0, ranksY).Select(second.Right)];
        int larger = Math.Max(ranksX, ranksY);
        return new PairSubspaces(
            ofX.Name, Cosines(leftX, leftY), Cosines(rightX, rightY), Math.Min(1, (double)larger / ofX.Outputs), Math.Min(1, (double)larger / ofX.Inputs),
            Math.Abs(TensorPrimitives.Dot<double>(leftX[0], leftY[0])), Math.Abs(TensorPrimitives.Dot<double>(rightX[0], rightY[0])));
    }

    private static int Rank(LowRankSvd svd) => svd.Values.Count(value => value > Negligible * svd.Values[0]);

    private static double[] Cosines(double[][] x, double[][] y) =>
        [.. SingularValues.Of([.. y.Select(column => x.Select(other => TensorPrimitives.Dot<double>(column, other)).ToArray())]).Select(value => Math.Min(1, value))];
}
