using System.Numerics.Tensors;
using EmScan.Engine.Formats;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>The sizes of an adapter's coordinates, over all of its weights and in each, and the borders of its masks.</summary>
/// <param name="All">Over all weights.</param>
/// <param name="Modules">In each weight.</param>
/// <param name="Borders">Of the masks over all weights together, one for each share.</param>
internal sealed record WeightCensus(Magnitudes All, IReadOnlyList<ModuleCensus> Modules, IReadOnlyList<MaskBorder> Borders)
{
    /// <summary>Shares of coordinates that masks keep.</summary>
    internal static readonly double[] MaskShares = [0.01, 0.05, 0.1];

    /// <summary>Takes it, going through the rows three times: for sizes, for the borders in each weight, and for those over all of them.</summary>
    internal static WeightCensus Take(LowRankFile file, IReadOnlyList<LowRankModule> modules, CancellationToken cancellationToken)
    {
        var all = new Magnitudes();
        var each = new List<ModuleCensus>();
        foreach (LowRankModule module in modules)
        {
            cancellationToken.ThrowIfCancellationRequested();
            (float[] a, float[] b) = file.Read(module);
            var rows = new ModuleRows(a, b, module.Rank, module.Scale);
            var own = new Magnitudes();
            Visit(rows, row => own.Add(row));
            own.Close();
            all.Add(own);
            Magnitudes.Search[] searches = [.. MaskShares.Select(share => new Magnitudes.Search(own, Kept(share, module.Coordinates)))];
            Search(rows, searches);
            each.Add(new ModuleCensus(
                module, new LowRankSvd(b, a, module.Rank, module.Scale).Values, own.ShareHolding(0.9), [.. searches.Select(search => search.Border())]));
        }

        Magnitudes.Search[] global = [.. MaskShares.Select(share => new Magnitudes.Search(all, Kept(share, all.Count)))];
        foreach (LowRankModule module in modules)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Search(ModuleRows.Of(file, module), global);
        }

        return new WeightCensus(all, each, [.. global.Select(search => search.Border())]);
    }

    /// <summary>ceil(share N).</summary>
    internal static long Kept(double share, long count) => (long)Math.Ceiling(share * count);

    private static void Search(ModuleRows rows, Magnitudes.Search[] searches) => Visit(rows, row => Array.ForEach(searches, search => search.Add(row)));

    private static void Visit(ModuleRows rows, Action<float[]> visitor)
    {
        float[] row = new float[rows.Inputs];
        for (int o = 0; o < rows.Outputs; o++)
        {
            rows.Row(o, row);
            visitor(row);
        }
    }
}

/// <summary>One weight of an adapter.</summary>
/// <param name="Module">Which.</param>
/// <param name="SingularValues">Of dW, (min(R, O, I)), descending.</param>
/// <param name="ShareOfCoordinates90">Least share of its coordinates that holds 90% of its squared norm; NaN when it is zero.</param>
/// <param name="Borders">Of the masks within this weight, one for each share.</param>
internal sealed record ModuleCensus(LowRankModule Module, double[] SingularValues, double ShareOfCoordinates90, IReadOnlyList<MaskBorder> Borders)
{
    internal double Square => TensorPrimitives.SumOfSquares<double>(SingularValues);

    /// <summary>||dW||_F^2 / s1^2; NaN when it is zero.</summary>
    internal double StableRank => Square / (SingularValues[0] * SingularValues[0]);

    /// <summary>(sum s^2)^2 / sum s^4; NaN when it is zero.</summary>
    internal double ParticipationRank => Square * Square / SingularValues.Sum(s => s * s * s * s);
}
