using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Personas;

/// <summary>Is the same persona in several groups more alike than several personas in one, and can they be told apart?</summary>
/// <remarks>Definitions: docs/personas.md. A persona is what a finetuning data set makes of the model: its final drift.</remarks>
internal static class PersonaStudy
{
    private const double Significant = 0.05;
    private static readonly string[] Parts = ["perturbation", "group", "residual"];

    /// <summary>Compares personas.</summary>
    /// <param name="scans">One of each base model, with final checkpoints.</param>
    /// <param name="by">What a group is; null for models where there are several, else seeds.</param>
    /// <param name="draws">Permutations.</param>
    /// <param name="seed">Their seed.</param>
    /// <exception cref="EmScanException">There are too few groups or personas, or the scans cannot be compared.</exception>
    internal static Findings Conclude(IReadOnlyList<DriftScan> scans, PersonaGrouping? by, int draws, int seed)
    {
        var table = PersonaTable.Of(scans, by);
        List<Remark> notes = [.. table.Notes];
        double[][][]? unit = table.UnitNorm();
        if (table.Drifts.All(p => p.All(x => PersonaTable.Norm(x) == 0))) throw new EmScanException("No adapter has any drift at this layer, so that there are no personas to compare.");
        if (unit == null) notes.Add(new Remark("no-direction", "A drift is exactly zero and has no direction; what is said of directions is null."));
        double least = PersonaStatistics.LeastP(table.Personas.Count, table.Groups.Count, draws);
        if (least > Significant)
            notes.Add(new Remark("few-relabellings", string.Create(CultureInfo.InvariantCulture, $"{table.Personas.Count} personas in {table.Groups.Count} groups can be relabelled in so few ways that no p below {least:0.##} is possible.")));
        notes.Add(new Remark("not-independent", "Groups share data, prompts and directions; what all of them have in common is not tested."));

        Reading raw = new(table.Drifts, draws, seed);
        Reading? directions = unit == null ? null : new(unit, draws, seed);
        Cosines? cosines = unit == null ? null : new(table, unit, draws, seed);
        if (cosines is { Families: null }) notes.Add(new Remark("no-families", "Personas are no more alike to themselves in other groups than to others, or that may be chance; no families are told."));
        return new Findings
        {
            Header = scans[0].Header,
            Conclusion = Conclusion(table, raw, directions, cosines),
            Data = Data(scans, table, raw, directions, cosines, draws, seed),
            Tables = [VarianceTable(raw, directions), ClassifierTable(table, raw, directions, cosines), PersonaRows(table, raw, cosines), .. cosines?.Pairs.Any(p => p.Indistinguishable) == true ? [PairTable(cosines)] : (FindingsTable[])[]],
            Grids = cosines == null ? [] :
            [
                new FindingsGrid("cosine of drifts across groups", "persona, by its number in the table", "persona", [.. table.Personas.Select((_, i) => i + 1.0)], [.. table.Personas.Select((_, i) => i + 1.0)], cosines.Across),
            ],
            Notes = notes,
        };
    }

    private static string Conclusion(PersonaTable table, Reading raw, Reading? directions, Cosines? cosines)
    {
        (double persona, double group, _) = TwoWayVariance.Shares(raw.Variance.Components);
        string alike = cosines == null ? ""
            : string.Create(CultureInfo.InvariantCulture,
                $"A persona in different groups is {(cosines.Same.P > Significant ? "no more alike than chance" : cosines.Same.Value > cosines.Different ? "more alike than different personas in one group" : "alike, but less so than different personas in one group")}: cosine {cosines.Same.Value:0.00} against {cosines.Different:0.00} (p = {cosines.Same.P:0.000}). ");
        string told = string.Create(CultureInfo.InvariantCulture,
            $"{100 * persona:0}% of the variance is between personas and {100 * group:0}% between groups; the nearest centroid names {100 * raw.Accuracy.Value:0}% of {table.Personas.Count} personas in a group that was left out (chance {100.0 / table.Personas.Count:0}%, p = {raw.Accuracy.P:0.000})")
            + (directions == null ? "." : string.Create(CultureInfo.InvariantCulture, $", {100 * directions.Accuracy.Value:0}% by direction alone."));
        if (cosines?.Families == null) return alike + told;
        string[] families = [.. cosines.Families.Where(f => f.Length > 1).Select(f => string.Join(", ", f.Select(i => table.Personas[i])))];
        return alike + told + (families.Length == 0 ? " No two share a persona." : $" Alike across groups are {string.Join("; ", families.Take(4))}{(families.Length > 4 ? $"; and {families.Length - 4} more" : "")}.");
    }

    private static JsonObject Data(IReadOnlyList<DriftScan> scans, PersonaTable table, Reading raw, Reading? directions, Cosines? cosines, int draws, int seed)
    {
        var data = new JsonObject
        {
            ["models"] = new JsonArray([.. scans.Select(s => (JsonNode?)new JsonObject
            {
                ["model"] = s.Model, ["source"] = s.Source, ["layer"] = s.Header.Layer < 0 ? null : s.Header.Layer, ["n0"] = FindingsData.Number(s.Header.Step0Norm), ["place"] = s.Place,
            })]),
            ["personas"] = FindingsData.Texts(table.Personas),
            ["groups"] = FindingsData.Texts(table.Groups),
            ["final_drifts"] = new JsonArray([.. table.Drifts.Select(p => (JsonNode?)new JsonArray([.. p.Select(x => (JsonNode?)FindingsData.Numbers(x))]))]),
            ["permutations"] = new JsonObject { ["draws"] = draws, ["seed"] = seed },
        };
        raw.AddVariance(data);
        data["nearest_centroid"] = raw.Classifier(table);
        data["nearest_centroid_unit_norm"] = directions?.Classifier(table);
        if (directions == null) data["unit_norm"] = null;
        else
        {
            var of = new JsonObject();
            directions.AddVariance(of);
            data["unit_norm"] = of;
        }

        data["cosines"] = cosines == null ? null : new JsonObject
        {
            ["same_persona_across_groups"] = FindingsData.Number(cosines.Same.Value),
            ["different_personas_within_group"] = FindingsData.Number(cosines.Different),
            ["permutation_p"] = FindingsData.Number(cosines.Same.P),
            ["permutation_mean"] = FindingsData.Number(cosines.Same.NullMean),
            ["across_groups"] = new JsonArray([.. cosines.Across.Select(row => (JsonNode?)FindingsData.Numbers(row))]),
        };
        data["pairs"] = cosines == null ? null : new JsonArray([.. cosines.Pairs.Select(p => (JsonNode?)new JsonObject
        {
            ["a"] = p.A, ["b"] = p.B, ["cosine"] = FindingsData.Number(p.Cosine), ["within_a"] = FindingsData.Number(p.WithinA), ["within_b"] = FindingsData.Number(p.WithinB), ["indistinguishable"] = p.Indistinguishable,
        })]);
        data["families"] = cosines?.Families == null ? null : new JsonArray([.. cosines.Families.Select(f => (JsonNode?)FindingsData.Texts(f.Select(i => table.Personas[i])))]);
        data["families_above_cosine"] = FindingsData.Number(cosines?.Families == null ? null : cosines.Cut);
        return data;
    }

    private static FindingsTable VarianceTable(Reading raw, Reading? directions)
    {
        return new FindingsTable(
            "what drifts differ by",
            [new("of"), new("source"), new("df", "0"), new("sum of squares", "G4"), new("share", "0.000"), new("component", "G4"), new("share", "0.000")],
            [.. Rows("drifts", raw.Variance), .. directions == null ? [] : Rows("directions", directions.Variance)]);

        static IEnumerable<IReadOnlyList<object?>> Rows(string of, TwoWayVariance v)
        {
            (double, double, double) shares = TwoWayVariance.Shares(v.Squares), components = TwoWayVariance.Shares(v.Components);
            yield return [of, Parts[0], (double)v.Freedom.Persona, v.Squares.Persona, shares.Item1, v.Components.Persona, components.Item1];
            yield return [of, Parts[1], (double)v.Freedom.Group, v.Squares.Group, shares.Item2, v.Components.Group, components.Item2];
            yield return [of, Parts[2], (double)v.Freedom.Residual, v.Squares.Residual, shares.Item3, v.Components.Residual, components.Item3];
        }
    }

    private static FindingsTable ClassifierTable(PersonaTable table, Reading raw, Reading? directions, Cosines? cosines)
    {
        return new FindingsTable(
            "beside what labels permuted within groups give",
            [new("statistic"), new("value", "0.000"), new("chance", "0.000"), new("permuted mean", "0.000"), new("permuted 95%", "0.000"), new("p", "0.0000")],
            [
                Row("nearest centroid, accuracy", raw.Accuracy, 1.0 / table.Personas.Count),
                .. directions == null ? [] : (IReadOnlyList<object?>[])[Row("nearest centroid on directions, accuracy", directions.Accuracy, 1.0 / table.Personas.Count)],
                Row("personas' share of the sum of squares", raw.PersonaShare, null),
                .. cosines == null ? [] : (IReadOnlyList<object?>[])[Row("cosine of a persona across groups", cosines.Same, null), ["cosine of personas within a group", cosines.Different, null, null, null, null]],
            ]);

        static IReadOnlyList<object?> Row(string name, PermutedStatistic s, double? chance) => [name, s.Value, chance, s.NullMean, s.Null95, s.P];
    }

    private static FindingsTable PersonaRows(PersonaTable table, Reading raw, Cosines? cosines) => new(
        "personas",
        [new("no.", "0"), new("persona"), new("family", "0"), new("|x|", "0.000"), new("named", "0%"), new("taken for"), new("cosine with itself", "0.00"), new("nearest other"), new("cosine with it", "0.00")],
        [
            .. table.Personas.Select((persona, i) =>
            {
                string[] taken = [.. raw.Nearest[i].Where(c => c != i).Distinct().Select(c => table.Personas[c])];
                int? other = cosines == null ? null : Enumerable.Range(0, table.Personas.Count).Where(j => j != i).MaxBy(j => cosines.Across[i][j]);
                return (IReadOnlyList<object?>)
                [
                    i + 1.0, persona, cosines?.Families is { } families ? Array.FindIndex(families, f => f.Contains(i)) + 1.0 : null, table.Drifts[i].Average(PersonaTable.Norm), raw.Nearest[i].Count(c => c == i) / (double)table.Groups.Count, taken.Length > 0 ? string.Join(", ", taken) : "",
                    cosines?.Across[i][i], other is { } o ? table.Personas[o] : null, other is { } n ? cosines!.Across[i][n] : null,
                ];
            }),
        ]);

    private static FindingsTable PairTable(Cosines cosines) => new(
        "pairs that are not told apart by direction: as alike across groups as the less constant of the two is to itself",
        [new("persona"), new("and"), new("cosine", "0.00"), new("first with itself", "0.00"), new("second with itself", "0.00")],
        [.. cosines.Pairs.Where(p => p.Indistinguishable).Select(p => (IReadOnlyList<object?>)[p.A, p.B, p.Cosine, p.WithinA, p.WithinB])]);

    private static JsonObject ByPart((double Persona, double Group, double Residual) of) => FindingsData.ByName(Parts, [of.Persona, of.Group, of.Residual]);

    private sealed record Pair(string A, string B, double Cosine, double WithinA, double WithinB, bool Indistinguishable);

    /// <summary>One table of drifts or directions.</summary>
    private sealed class Reading(double[][][] y, int draws, int seed)
    {
        internal TwoWayVariance Variance { get; } = TwoWayVariance.Of(y);

        internal int[][] Nearest { get; } = PersonaStatistics.NearestCentroids(y);

        internal PermutedStatistic Accuracy { get; } = PersonaStatistics.Permuted(y, t => PersonaStatistics.Accuracy(PersonaStatistics.NearestCentroids(t)), draws, seed);

        internal PermutedStatistic PersonaShare { get; } = PersonaStatistics.Permuted(y, t => TwoWayVariance.Shares(TwoWayVariance.Of(t).Squares).Persona, draws, seed);

        internal void AddVariance(JsonObject data)
        {
            data["sums_of_squares"] = ByPart(Variance.Squares);
            data["share"] = ByPart(TwoWayVariance.Shares(Variance.Squares));
            data["degrees_of_freedom"] = ByPart(Variance.Freedom);
            data["mean_squares"] = ByPart(Variance.MeanSquares);
            data["variance_components"] = ByPart(Variance.Components);
            data["variance_component_shares"] = ByPart(TwoWayVariance.Shares(Variance.Components));
            data["share_permutation_p"] = FindingsData.Number(PersonaShare.P);
        }

        internal JsonObject Classifier(PersonaTable table) => new()
        {
            ["accuracy"] = FindingsData.Number(Accuracy.Value),
            ["chance"] = 1.0 / table.Personas.Count,
            ["permutation_p"] = FindingsData.Number(Accuracy.P),
            ["permutation_mean"] = FindingsData.Number(Accuracy.NullMean),
            ["permutation_95"] = FindingsData.Number(Accuracy.Null95),
            ["predicted"] = new JsonArray([.. Nearest.Select(row => (JsonNode?)FindingsData.Texts(row.Select(c => table.Personas[c])))]),
        };
    }

    private sealed class Cosines
    {
        internal Cosines(PersonaTable table, double[][][] unit, int draws, int seed)
        {
            Across = PersonaStatistics.CosinesAcrossGroups(unit);
            Same = PersonaStatistics.Permuted(unit, PersonaStatistics.CosineOfSame, draws, seed);
            Different = PersonaStatistics.CosineOfDifferent(unit);

            // Halfway between what a persona has with itself and what two have with one another. Where that is upside down nothing is alike.
            Cut = (Same.Value + Different) / 2;
            Families = Same.Value > Different && Same.P <= Significant ? PersonaStatistics.Families(Across, Cut) : null;
            Pairs =
            [
                .. Enumerable.Range(0, Across.Length).SelectMany(i => Enumerable.Range(i + 1, Across.Length - i - 1).Select(j =>
                {
                    double least = Math.Min(Across[i][i], Across[j][j]);
                    return new Pair(table.Personas[i], table.Personas[j], Across[i][j], Across[i][i], Across[j][j], least > Cut && Across[i][j] >= least);
                })).OrderByDescending(p => p.Cosine),
            ];
        }

        /// <summary>Members of each family, the largest first; null where personas are not constant enough across groups to have any.</summary>
        internal int[][]? Families { get; }

        internal double Cut { get; }

        internal double[][] Across { get; }

        internal PermutedStatistic Same { get; }

        internal double Different { get; }

        internal IReadOnlyList<Pair> Pairs { get; }
    }
}
