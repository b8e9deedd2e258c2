using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;

namespace EmScan.Engine.Analyses.Weights;

/// <summary>How sparse the weight changes of one adapter are.</summary>
internal sealed class SingleWeights(string name, AdapterSource source, WeightCensus census)
{
    internal string Name => name;

    internal WeightCensus Census => census;

    internal double Share90 { get; } = census.All.ShareHolding(0.9);

    internal double Share50 { get; } = census.All.ShareHolding(0.5);

    /// <summary>||dW||_F^2, from the factors in float64.</summary>
    internal double Square { get; } = census.Modules.Sum(m => m.Square);

    /// <summary>The one rank of all weights, or null.</summary>
    internal int? Rank { get; } = census.Modules.Select(m => m.Module.Rank).Distinct().ToArray() is [var one] ? one : null;

    internal string Sentence(double random)
    {
        if (Rank is { } rank) random = GaussianEnergyShare.Of(0.9, rank);
        return string.Create(CultureInfo.InvariantCulture,
            $"{name}: {(Share90 < random / 2 ? "a sparse ticket" : "no ticket")}: 90% of the squared norm needs {100 * Share90:0.#}% of the coordinates, {(Share90 < 0.9 * random ? "where" : "as")} a random matrix{(Rank is { } r ? $" of rank {r}" : "")} {(Share90 < 0.9 * random ? "needs" : "does with")} {100 * random:0.#}%.");
    }

    internal JsonObject ToJson() => new()
    {
        ["path"] = source.Path,
        ["coordinates"] = census.All.Count,
        ["norm"] = FindingsData.Number(Math.Sqrt(Square)),
        ["share_coordinates_90"] = FindingsData.Number(Share90),
        ["share_coordinates_50"] = FindingsData.Number(Share50),
        ["modules"] = new JsonObject(census.Modules.Select(m => KeyValuePair.Create(m.Module.Name, (JsonNode?)new JsonObject
        {
            ["norm"] = FindingsData.Number(Math.Sqrt(m.Square)),
            ["share_coordinates_90"] = FindingsData.Number(m.ShareOfCoordinates90),
            ["stable_rank"] = FindingsData.Number(m.StableRank),
            ["participation_rank"] = FindingsData.Number(m.ParticipationRank),
            ["singular_values"] = FindingsData.Numbers(m.SingularValues),
        }))),
    };
}
