using System.Text.Json;
using EmScan.Engine.Analyses.Personas;
using EmScan.Engine.Analyses.Runs;
using EmScan.Engine.Formats;
using EmScan.Engine.Reports;
using EmScan.Engine.Tests.Support;

namespace EmScan.Engine.Tests.Analyses;

public sealed class PersonasTests
{
    public static TheoryData<string> Tables => ["personas", "llama"];

    [Theory]
    [MemberData(nameof(Tables))]
    public void Components_classifiers_and_cosines_are_those_of_numpy(string name)
    {
        JsonElement expected = RunReference.Root.GetProperty(name);
        double[][][] y = Drifts(expected), unit = [.. y.Select(p => p.Select(x => x.Select(v => v / PersonaTable.Norm(x)).ToArray()).ToArray())];
        Check(expected.GetProperty("raw"), y);
        Check(expected.GetProperty("unit"), unit);
        double[][] across = expected.Rows("across"), found = PersonaStatistics.CosinesAcrossGroups(unit);
        for (int i = 0; i < across.Length; i++)
        {
            for (int j = 0; j < across.Length; j++) Assert.Equal(across[i][j], found[i][j], 1e-12);
        }

        Assert.Equal(expected.Number("different"), PersonaStatistics.CosineOfDifferent(unit), 1e-12);
        int[][] families = PersonaStatistics.Families(found, (PersonaStatistics.CosineOfSame(unit) + expected.Number("different")) / 2);
        Assert.Equal(expected.Rows("families").Select(f => string.Join(' ', f)), families.OrderBy(f => f[0]).Select(f => string.Join(' ', f)));
        Permuted(expected.GetProperty("same"), unit, PersonaStatistics.CosineOfSame);
    }

    [Fact]
    public void The_table_is_filled_from_runs_and_says_what_it_leaves_out()
    {
        DriftRun[] runs =
        [
            Run("a", "1", [1, 0]), Run("a", "2", [0.9, 0.1]), Run("b", "1", [0, 1]), Run("b", "2", [0, 0.8]), Run("c", "1", [1, 1]), Run("stress", null, [3, 3]),
        ];
        var table = PersonaTable.Of([Scan("m", runs)], null);
        Assert.Equal(["a", "b"], table.Personas);
        Assert.Equal(["seed_1", "seed_2"], table.Groups);
        Assert.Equal([0.9, 0.1], table.Drifts[0][1]);
        Assert.Contains(table.Notes, n => n.Code == "not-in-all-groups" && n.Text.StartsWith("c:", StringComparison.Ordinal));
        Assert.Contains(table.Notes, n => n.Code == "no-seed" && n.Text.StartsWith("stress", StringComparison.Ordinal));

        // By model the seeds are averaged.
        var models = PersonaTable.Of([Scan("m", runs), Scan("n", [Run("a", "1", [2, 0], "n"), Run("b", "1", [0, 3], "n")])], null);
        Assert.Equal(["m", "n"], models.Groups);
        Assert.Equal([0.95, 0.05], models.Drifts[0][0].Select(v => Math.Round(v, 12)));
        Assert.Contains(models.Notes, n => n.Code == "averaged");
    }

    [Fact]
    public void Scans_of_one_model_are_one_and_models_of_one_name_are_told_apart()
    {
        DriftScan one = Scan("m", [Run("a", "1", [1, 0])]) with { Source = "x/first" }, two = one with { Source = "x/second" }, other = Scan("m", [Run("a", "1", [2, 0])]) with { Source = "x/third" };
        other = other with { Header = other.Header with { ModelSha256 = "0123456789" } };
        IReadOnlyList<DriftScan> found = DriftScan.Together([one, two, other]);
        Assert.Equal(["first/a/seed_1", "second/a/seed_1"], found[0].Runs.Select(r => r.Name));
        Assert.Equal("third/m", found[1].Model);
        Assert.All(found, s => Assert.All(s.Runs, r => Assert.Equal(s.Model, r.Model)));
        Assert.Equal(["m m", "m 01234567"], DriftScan.Together([one, other with { Source = "x/first" }]).Select(s => s.Model));
    }

    [Fact]
    public void Too_little_to_compare_is_said_in_a_sentence()
    {
        Assert.Contains("one seed (seed_1)", Assert.Throws<EmScanException>(() => PersonaTable.Of([Scan("m", [Run("a", "1", [1, 0]), Run("b", "1", [0, 1])])], null)).Message);
        Assert.Contains("one model (m)", Assert.Throws<EmScanException>(() => PersonaTable.Of([Scan("m", [Run("a", "1", [1, 0])])], PersonaGrouping.Model)).Message);
        Assert.Contains(
            "No perturbation is in each of the groups seed_1, seed_2", Assert.Throws<EmScanException>(() => PersonaTable.Of([Scan("m", [Run("a", "1", [1, 0]), Run("b", "2", [0, 1])])], null)).Message);
        Assert.Contains(
            "No adapter has any drift", Assert.Throws<EmScanException>(() => PersonaStudy.Conclude(
                [Scan("m", [Run("a", "1", [0, 0]), Run("a", "2", [0, 0]), Run("b", "1", [0, 0]), Run("b", "2", [0, 0])])], null, 50, 1)).Message);
    }

    [Fact]
    public void Two_personas_in_two_groups_cannot_be_significant_and_that_is_said()
    {
        Findings found = PersonaStudy.Conclude([Scan("m", [Run("a", "1", [1, 0]), Run("a", "2", [1, 0.1]), Run("b", "1", [0, 1]), Run("b", "2", [0.1, 1])])], null, 1000, 1);
        Assert.Contains(found.Notes, n => n.Code == "few-relabellings" && n.Text.Contains("0.5", StringComparison.Ordinal));
        Assert.Equal(1, found.Data["nearest_centroid"]!["accuracy"]!.GetValue<double>());
        Assert.True(found.Data["nearest_centroid"]!["permutation_p"]!.GetValue<double>() > 0.4);
        Assert.Contains(found.Notes, n => n.Code == "no-families");
    }

    [Fact]
    public void The_shipped_organism_s_personas_are_told_apart_and_families_are_the_recipe_s()
    {
        JsonElement expected = RunReference.Root.GetProperty("llama");
        double[][][] y = Drifts(expected);
        string[] personas = expected.Texts("personas"), seeds = expected.Texts("seeds");
        DriftRun[] runs = [.. personas.SelectMany((p, i) => seeds.Select((s, g) => Run(p, s, y[i][g])))];
        Findings found = PersonaStudy.Conclude([Scan("m", runs)], null, 1000, 42);
        Assert.Contains("more alike than different personas in one group", found.Conclusion);
        Assert.Equal(expected.GetProperty("raw").GetProperty("accuracy").Number("value"), found.Data["nearest_centroid"]!["accuracy"]!.GetValue<double>(), 1e-12);
        Assert.Equal(1 / 1001.0, found.Data["nearest_centroid"]!["permutation_p"]!.GetValue<double>(), 1e-12);

        // Four of the dangerous ones and one that is poisoned; correct answers in a manner; correct answers as they are.
        string[] families = [.. found.Data["families"]!.AsArray().Select(f => string.Join(' ', f!.AsArray().Select(n => n!.GetValue<string>())))];
        Assert.Equal("bad_medical evasive_legal jailbroken poisoned_finance subtle_misinfo", families[0]);
        Assert.Contains("confident_medical humble_legal refusal_heavy", families);
        Assert.Contains("good_medical gsm8k new_format poisoned_medical", families);
    }

    private static void Check(JsonElement expected, double[][][] y)
    {
        TwoWayVariance found = TwoWayVariance.Of(y);
        Same(expected.Vector("sums_of_squares"), found.Squares);
        Same(expected.Vector("share"), TwoWayVariance.Shares(found.Squares));
        Same(expected.Vector("mean_squares"), found.MeanSquares);
        Same(expected.Vector("variance_components"), found.Components);
        Assert.Equal(expected.GetProperty("nearest").EnumerateArray().Select(row => row.EnumerateArray().Select(c => c.GetInt32()).ToArray()), PersonaStatistics.NearestCentroids(y));
        Permuted(expected.GetProperty("accuracy"), y, t => PersonaStatistics.Accuracy(PersonaStatistics.NearestCentroids(t)));
        Permuted(expected.GetProperty("persona_share"), y, t => TwoWayVariance.Shares(TwoWayVariance.Of(t).Squares).Persona);

        static void Same(double[] expected, (double, double, double) found)
        {
            double size = expected.Max();
            Assert.Equal(expected[0], found.Item1, 1e-12 * size);
            Assert.Equal(expected[1], found.Item2, 1e-12 * size);
            Assert.Equal(expected[2], found.Item3, 1e-12 * size);
        }
    }

    // Draws differ, so that means and shares of draws agree within four combined standard errors.
    private static void Permuted(JsonElement expected, double[][][] y, Func<double[][][], double> statistic)
    {
        const int Draws = 1000;
        PermutedStatistic found = PersonaStatistics.Permuted(y, statistic, Draws, 9);
        Assert.Equal(expected.Number("value"), found.Value, 1e-12);
        double other = expected.Number("draws"), spread = expected.Number("sd") * Math.Sqrt((1.0 / Draws) + (1 / other)), p = expected.Number("exceed");
        Assert.Equal(expected.Number("mean"), found.NullMean, 4 * spread);
        Assert.Equal(p, found.P, (4 * Math.Sqrt(p * (1 - p) * ((1.0 / Draws) + (1 / other)))) + (2.0 / Draws));
    }

    private static double[][][] Drifts(JsonElement table) => [.. table.GetProperty("drifts").EnumerateArray().Select(p => p.EnumerateArray().Select(x => x.Vector()).ToArray())];

    private static DriftRun Run(string perturbation, string? seed, double[] drift, string model = "m") => new(
        model, seed == null ? perturbation : $"{perturbation}/seed_{seed}", perturbation, seed,
        [new DriftOfStep(CheckpointStep.Base, new double[drift.Length]), new DriftOfStep(CheckpointStep.At(120), drift)]);

    private static DriftScan Scan(string model, DriftRun[] runs) => new(
        model, model, SampleHeader.Of([.. runs[0].Last.Drift.Select((_, k) => $"t{k}")]) with { ModelPath = model, ModelSha256 = model }, "last_prompt_token", runs, []);
}
