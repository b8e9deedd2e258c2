using System.Numerics.Tensors;
using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses.Diff;

/// <summary>What the change is on one class of rows at one layer, and how findings say it.</summary>
internal sealed class ChangeOfRows
{
    internal ChangeOfRows(CellResult sizes, CellResult? positions, CellResult? tokens, CellResult? spectrum, CellResult? shift, LensView lens, bool lensOfMean, bool groups)
    {
        Rows = (int)sizes["rows"][0];
        BaseNorm = sizes["base_norm"][0];
        RelativeNorm = sizes["mean_norm"][0] / BaseNorm;
        Mean = sizes["mean"];
        Energy = sizes["energy"][0];
        GlobalMean = TensorPrimitives.SumOfSquares<double>(Mean) / Energy;
        Positions = positions;
        Tokens = tokens;
        Spectrum = spectrum;
        Data = new JsonObject
        {
            ["rows"] = Rows,
            ["base_norm"] = FindingsData.Number(BaseNorm),
            ["mean_norm"] = FindingsData.Number(sizes["mean_norm"][0]),
            ["relative_norm"] = FindingsData.Number(RelativeNorm),
            ["mean_vector_relative_norm"] = FindingsData.Number(TensorPrimitives.Norm<double>(Mean) / BaseNorm),
            ["energy_share_global_mean"] = FindingsData.Number(GlobalMean),
        };
        if (spectrum == null)
        {
            if (Rows == 1 || lensOfMean) Data["lens"] = lensOfMean && Energy > 0 ? lens.Normed(Mean, out _) : null;
            if (lensOfMean && Data["lens"] is JsonObject view) TopTokens = Texts(view);
            return;
        }

        Data["position"] = Groups(positions, "");
        Data["token"] = Groups(tokens, "");
        Data["uncentred"] = Shape("uncentred");
        Data["centred"] = Shape("centred");
        if (groups) Data["position_centred"] = Shape("position_centred");
        if (spectrum.Find("whitened.uncentred.energy_share") != null)
        {
            Data["whitened"] = new JsonObject
            {
                ["energy_share_global_mean"] = FindingsData.Number(spectrum.Number("whitened.energy_share_global_mean")),
                ["uncentred"] = Shape("whitened.uncentred"),
                ["centred"] = Shape("whitened.centred"),
                ["position"] = Groups(spectrum, "whitened.position."),
            };
        }

        if (Energy > 0) Data["lens"] = Lens(lens, shift!, groups);
    }

    /// <summary>N.</summary>
    internal int Rows { get; }

    /// <summary>Mean norm of the base's rows.</summary>
    internal double BaseNorm { get; }

    /// <summary>Mean norm of the change over that.</summary>
    internal double RelativeNorm { get; }

    /// <summary>E, the mean squared norm.</summary>
    internal double Energy { get; }

    /// <summary>m, (D).</summary>
    internal double[] Mean { get; }

    /// <summary>Share of the energy that the common vector m holds; NaN without a change.</summary>
    internal double GlobalMean { get; }

    internal CellResult? Positions { get; }

    internal CellResult? Tokens { get; }

    internal CellResult? Spectrum { get; }

    /// <summary>The tokens that m speaks for.</summary>
    internal IReadOnlyList<string> TopTokens { get; private set; } = [];

    /// <summary>All of it under the keys that programs read.</summary>
    internal JsonObject Data { get; }

    private JsonObject Lens(LensView lens, CellResult shift, bool groups)
    {
        double[] first = Spectrum!["first_direction"];
        JsonObject normed = lens.Normed(Mean, out LensReading? ofMean)!, ofFirst = lens.Normed(first, out LensReading? firstReading)!;
        TopTokens = Texts(normed);
        var data = new JsonObject
        {
            ["normed"] = normed,
            ["no_weight"] = lens.AsIs(Mean, bottom: true),
            ["logit_difference"] = lens.AsIs(shift["shift"], bottom: false),
            ["domain_probability_base"] = FindingsData.Number(shift.Number("group_base")),
            ["domain_probability_finetuned"] = FindingsData.Number(shift.Number("group")),
            ["domain_share_of_vocabulary"] = FindingsData.Number(lens.DomainShare),
        };
        if (groups)
        {
            double[]? behind = Spectrum.Find("position_centred.first_direction");
            data["after_position_mean_pc1_plus"] = lens.Normed(behind, out _);
            data["after_position_mean_pc1_minus"] = lens.Normed(behind == null ? null : Array.ConvertAll(behind, v => -v), out _);
        }

        data["first_direction"] = ofFirst;
        data["cosine_first_direction_mean"] = FindingsData.Number(FindingsData.Cosine(first, Mean));
        data["top10_overlap_mean_first_direction"] = ofMean!.Top.Select(t => t.Token).Intersect(firstReading!.Top.Select(t => t.Token)).Count();
        return data;
    }

    private static JsonObject? Groups(CellResult? result, string prefix) => result?.Number(prefix + "groups") is not { } groups ? null : new JsonObject
    {
        ["groups"] = (int)groups,
        ["energy_share"] = FindingsData.Number(result.Number(prefix + "energy_share")),
        ["variance_share"] = FindingsData.Number(result.Number(prefix + "variance_share")),
        ["variance_share_adjusted"] = FindingsData.Number(result.Number(prefix + "variance_share_adjusted")),
    };

    private JsonObject? Shape(string name) => Spectrum!.Find($"{name}.energy_share") is not { } shares ? null : new JsonObject
    {
        ["energy_share"] = FindingsData.Numbers(shares),
        ["participation_ratio"] = FindingsData.Number(Spectrum.Number($"{name}.participation_ratio")),
        ["directions_90"] = (int)Spectrum[$"{name}.directions_90"][0],
    };

    private static string[] Texts(JsonObject view) => [.. view["tokens"]!.AsArray().Select(token => token!.GetValue<string>())];
}
