using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>What the weight changes of two adapters have in common.</summary>
internal sealed record PairWeights(string Name, AdapterSource A, AdapterSource B, double Cosine, PairMasks[] Masks, List<PairSubspaces> Subspaces)
{
    // Row spaces that overlap more were drawn from the same seed: LoRA's A hardly moves.
    internal const double SameInitialisation = 0.9;

    internal double ColumnOverlap => Mean(s => s.ColumnOverlap);

    internal double RowOverlap => Mean(s => s.RowOverlap);

    internal double ChanceColumn => Mean(s => s.ChanceColumn);

    internal double ChanceRow => Mean(s => s.ChanceRow);

    internal string Sentence() => string.Create(CultureInfo.InvariantCulture,
        $"{Name}: cosine {Cosine:0.00}; the largest 10% of the coordinates overlap by {Masks[^1].Jaccard:0.000} (chance {Masks[^1].Chance:0.000}, permuted {Masks[^1].Null.Average():0.000}), column spaces by {ColumnOverlap:0.00} (chance {ChanceColumn:0.00}){(RowOverlap > SameInitialisation ? "; same initialisation" : "")}.");

    internal JsonObject ToJson(bool withModules)
    {
        var modules = withModules ? new JsonObject(Subspaces.Select(s => KeyValuePair.Create(s.Module, (JsonNode?)new JsonObject
        {
            ["column_cosines"] = FindingsData.Numbers(s.ColumnCosines),
            ["row_cosines"] = FindingsData.Numbers(s.RowCosines),
        }))) : null;
        return new JsonObject
        {
            ["name"] = Name,
            ["a_path"] = A.Path,
            ["b_path"] = B.Path,
            ["cosine"] = FindingsData.Number(Cosine),
            ["jaccard"] = new JsonObject(Masks.Select(m => KeyValuePair.Create(Key(m), (JsonNode?)new JsonObject
            {
                ["value"] = FindingsData.Number(m.Jaccard),
                ["chance"] = FindingsData.Number(m.Chance),
                ["k"] = m.Kept,
                ["permuted_null_mean"] = FindingsData.Number(m.Null.Average()),
                ["permuted_null_sd"] = FindingsData.Number(Sample.Deviation(m.Null)),
                ["permuted_null_draws"] = m.Null.Length,
                ["per_module_mean"] = FindingsData.Number(m.PerModule),
            }))),
            ["signs"] = new JsonObject(Masks.Select(m => KeyValuePair.Create(Key(m), FindingsData.Number(m.Signs)))),
            ["subspaces"] = new JsonObject
            {
                ["mean_column_overlap"] = FindingsData.Number(ColumnOverlap),
                ["mean_row_overlap"] = FindingsData.Number(RowOverlap),
                ["chance_column"] = FindingsData.Number(ChanceColumn),
                ["chance_row"] = FindingsData.Number(ChanceRow),
                ["mean_top_direction_column"] = FindingsData.Number(Mean(s => s.TopColumn)),
                ["mean_top_direction_row"] = FindingsData.Number(Mean(s => s.TopRow)),
                ["same_initialisation"] = RowOverlap > SameInitialisation,
                ["modules"] = modules,
            },
        };
    }

    private double Mean(Func<PairSubspaces, double> value) => Subspaces.Count == 0 ? double.NaN : Subspaces.Average(value);

    private static string Key(PairMasks mask) => mask.Share.ToString(CultureInfo.InvariantCulture);
}
