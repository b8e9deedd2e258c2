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
        foreach ((ModuleCensus census, Magnitudes own) in ModuleParallel.Select(modules, module => Take(file, module), cancellationToken))
        {
            all.Add(own);
            each.Add(census);
        }

        Magnitudes.Search[] global = Searches(all, all.Count);
        foreach (Magnitudes.Search[] found in ModuleParallel.Select(modules, module => Search(ModuleRows.Of(file, module), Searches(all, all.Count)), cancellationToken))
        {
            foreach ((Magnitudes.Search sum, Magnitudes.Search part) in global.Zip(found)) sum.Add(part);
        }

        return new WeightCensus(all, each, [.. global.Select(search => search.Border())]);
    }

    private static (ModuleCensus Census, Magnitudes Own) Take(LowRankFile file, LowRankModule module)
    {
        (float[] a, float[] b) = file.Read(module);
        var rows = new ModuleRows(a, b, module.Rank, module.Scale);
        var own = new Magnitudes();
        Visit(rows, row => own.Add(row));
        own.Close();
        Magnitudes.Search[] searches = Search(rows, Searches(own, module.Coordinates));
        return (new ModuleCensus(module, new LowRankSvd(b, a, module.Rank, module.Scale).Values, own.ShareHolding(0.9), [.. searches.Select(search => search.Border())]), own);
    }

    private static Magnitudes.Search[] Searches(Magnitudes magnitudes, long count) => [.. MaskShares.Select(share => new Magnitudes.Search(magnitudes, Kept(share, count)))];

    /// <summary>ceil(share N).</summary>
    internal static long Kept(double share, long count) => (long)Math.Ceiling(share * count);

    private static Magnitudes.Search[] Search(ModuleRows rows, Magnitudes.Search[] searches)
    {
        Visit(rows, row => Array.ForEach(searches, search => search.Add(row)));
        return searches;
    }

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
