using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using EmScan.Engine.Tests.Formats;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Tests.Verdicts.Regression;

public sealed class RegressorJsonTests
{
    internal static string Text(IRegressor regressor, bool indented = true)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = indented })) RegressorJson.Write(json, regressor);
        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    public static TheoryData<string> Kinds =>
        ["ridge", "logistic", "random_forest", "gradient_boosting", "kernel_ridge", "partial_least_squares", "pipeline"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Reading_gives_the_same_function_to_the_bit(string kind)
    {
        (FeatureMatrix x, _) = Fixtures.Random(60, 5, seed: 1);
        IRegressor regressor = Fitted(kind);
        foreach (string text in new[] { Text(regressor), Text(regressor, indented: false) })
        {
            IRegressor read = RegressorJson.Parse("memory", Encoding.UTF8.GetBytes(text));
            Assert.Equal(kind, read.Kind);
            Assert.Equal(5, read.FeatureCount);
            Assert.Equal(regressor.PredictAll(x), read.PredictAll(x));
            Assert.Equal(Text(regressor), Text(read));
        }
    }

    [Fact]
    public void The_text_is_for_people()
    {
        string ridge = Text(new RidgeRegression([0.1, -1e-7, 3], 0.5));
        Assert.Equal(
            """
            {
              "kind": "ridge",
              "feature_count": 3,
              "coefficients": [0.1,-1E-07,3],
              "intercept": 0.5
            }
            """.ReplaceLineEndings("\n"),
            ridge.ReplaceLineEndings("\n"));
        var tree = new RegressionTree([1, -1, -1], [0.25, 0, 0], [1, -1, -1], [2, -1, -1], [0, 0.1, 0.2]);
        Assert.Equal(
            """
            {
              "kind": "random_forest",
              "feature_count": 2,
              "trees": [
                {"feature":[1,-1,-1],"threshold":[0.25,0,0],"left":[1,-1,-1],"right":[2,-1,-1],"value":[0,0.1,0.2]},
                {"feature":[1,-1,-1],"threshold":[0.25,0,0],"left":[1,-1,-1],"right":[2,-1,-1],"value":[0,0.1,0.2]}
              ]
            }
            """.ReplaceLineEndings("\n"),
            Text(new RandomForestRegressor(2, [tree, tree])).ReplaceLineEndings("\n"));
    }

    [Fact]
    public void A_forest_as_the_paper_grows_it_is_a_small_file()
    {
        // 156 checkpoints: what one base model has in the paper's calibration.
        (FeatureMatrix x, double[] y) = Fixtures.Random(156, 7, seed: 2);
        Assert.InRange(Text(RandomForestRegressor.Fit(x, y)).Length, 1, 100_000);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Truncated_and_damaged_files_are_refused_or_read_and_nothing_else(string kind)
    {
        byte[] valid = Encoding.UTF8.GetBytes(Text(Fitted(kind)));
        HostileInput.EveryTruncationIsRefused(valid, Parse);
        Assert.True(HostileInput.BitFlipsAreSurvived(valid, Parse, rounds: 500, seed: 9) > 100);
    }

    [Theory]
    [InlineData("""{}""", "has a regressor without a \"kind\"")]
    [InlineData("""[]""", "is not a JSON object")]
    [InlineData("""{"kind": "ridge"}""", "has a regressor without a \"feature_count\"")]
    [InlineData("""{"kind": "oracle", "feature_count": 1}""",
        "has a regressor of the unknown kind \"oracle\"; a newer emscan may have written it")]
    [InlineData("""{"kind": "ridge", "feature_count": 0}""", "has a regressor with a \"feature_count\" of 0")]
    [InlineData("""{"kind": "ridge", "feature_count": 2000000000}""", "has a regressor with a \"feature_count\" of 2000000000")]
    [InlineData("""{"kind": "ridge", "feature_count": 2, "coefficients": [1], "intercept": 0}""",
        "has 1 numbers in a list \"coefficients\" that needs 2")]
    [InlineData("""{"kind": "ridge", "feature_count": 1, "coefficients": {}, "intercept": 0}""",
        "has no list \"coefficients\" in a regressor")]
    [InlineData("""{"kind": "ridge", "feature_count": 1, "coefficients": [1e999], "intercept": 0}""",
        "has a \"coefficients\" with an entry that is no number")]
    [InlineData("""{"kind": "ridge", "feature_count": 1, "coefficients": ["1"], "intercept": 0}""",
        "has a \"coefficients\" with an entry that is no number")]
    [InlineData("""{"kind": "ridge", "feature_count": 1, "coefficients": [1]}""", "has no \"intercept\" in a regressor")]
    [InlineData("""{"kind": "ridge", "feature_count": 1, "coefficients": [1], "intercept": -1e999}""",
        "has a \"intercept\" that is not a number")]
    [InlineData("""{"kind": "random_forest", "feature_count": 1, "trees": []}""", "has an empty list \"trees\"")]
    [InlineData("""{"kind": "random_forest", "feature_count": 1, "trees": [7]}""", "has a tree 0 that is not an object")]
    [InlineData("""{"kind": "partial_least_squares", "feature_count": 1, "mean": [0], "axes": [], "target_mean": 0, "loadings": []}""",
        "has an empty list \"axes\"")]
    [InlineData("""{"kind": "partial_least_squares", "feature_count": 1, "mean": [0], "axes": [3], "target_mean": 0, "loadings": [1]}""",
        "has a \"axes\" that is not a list")]
    [InlineData("""{"kind": "pipeline", "feature_count": 1, "transforms": []}""", "has a pipeline without a \"regressor\"")]
    [InlineData("""{"kind": "pipeline", "feature_count": 1, "transforms": [], "regressor": {"kind": "pipeline", "feature_count": 1}}""",
        "has a pipeline inside a pipeline")]
    [InlineData(
        """
        {"kind": "pipeline", "feature_count": 2, "transforms": [],
         "regressor": {"kind": "ridge", "feature_count": 1, "coefficients": [1], "intercept": 0}}
        """,
        "has a pipeline with a \"feature_count\" of 2 whose first part takes 1")]
    [InlineData(
        """
        {"kind": "pipeline", "feature_count": 1,
         "transforms": [{"kind": "standardizer", "feature_count": 1, "mean": [0], "scale": [0]}]}
        """,
        "has a \"scale\" that is not positive")]
    [InlineData("""{"kind": "pipeline", "feature_count": 1, "transforms": [{"kind": "ridge", "feature_count": 1}]}""",
        "has a transform of the unknown kind \"ridge\"; a newer emscan may have written it")]
    public void Wrong_files_are_named_with_what_is_wrong(string json, string problem)
    {
        var failure = Assert.Throws<InputFileException>(() => RegressorJson.Parse("calibration.json", Encoding.UTF8.GetBytes(json)));
        Assert.Equal($"calibration.json: {problem}", failure.Message);
    }

    [Theory]
    [InlineData("value", "[]", "has a tree 0 without nodes")]
    [InlineData("threshold", "[0, 0]", "has 2 numbers in a list \"threshold\" that needs 3")]
    [InlineData("feature", "[2, -1, -1]", "has a tree 0 whose node 0 looks at feature 2 of 2")]
    [InlineData("feature", "[-1, -1, -1]", "has a tree 0 whose node 0 looks at feature -1 of 2")]
    [InlineData("feature", "[0, 1, -1]", "has a tree 0 whose node 1 of 3 has children -1 and -1; they must be later nodes")]
    [InlineData("left", "[0, -1, -1]", "has a tree 0 whose node 0 of 3 has children 0 and 2; they must be later nodes")]
    [InlineData("left", "[3, -1, -1]", "has a tree 0 whose node 0 of 3 has children 3 and 2; they must be later nodes")]
    [InlineData("left", "[2, -1, -1]", "has a tree 0 whose node 1 has 0 parents; it must have one")]
    [InlineData("left", "[-1, -1, -1]", "has a tree 0 whose node 0 of 3 has children -1 and 2; they must be later nodes")]
    [InlineData("left", "[1.5, -1, -1]", "has a \"left\" with an entry that is no number")]
    [InlineData("left", "[99999999999, -1, -1]", "has a \"left\" with an entry that is no number")]
    public void Trees_that_are_none_are_refused(string key, string list, string problem)
    {
        var tree = new RegressionTree([1, -1, -1], [0.25, 0, 0], [1, -1, -1], [2, -1, -1], [0, 0.1, 0.2]);
        JsonNode json = JsonNode.Parse(Text(new RandomForestRegressor(2, [tree])))!;
        json["trees"]![0]![key] = JsonNode.Parse(list);
        var failure = Assert.Throws<InputFileException>(() => RegressorJson.Parse("f", Encoding.UTF8.GetBytes(json.ToJsonString())));
        Assert.Equal($"f: {problem}", failure.Message);
    }

    [Fact]
    public void A_kind_that_somebody_else_made_has_no_form()
    {
        using var json = new Utf8JsonWriter(new MemoryStream());
        Assert.Throws<ArgumentException>(() => RegressorJson.Write(json, new Constant()));
    }

    private static void Parse(string path) => RegressorJson.Parse(path, File.ReadAllBytes(path));

    internal static IRegressor Fitted(string kind)
    {
        (FeatureMatrix x, double[] y) = Fixtures.Random(30, 5, seed: 4);
        switch (kind)
        {
            case "ridge":
                return RidgeRegression.Fit(x, y);
            case "logistic":
                return LogisticRegression.Fit(x, [.. y.Select(v => v > 0)]);
            case "random_forest":
                return RandomForestRegressor.Fit(x, y, new RandomForestOptions { Trees = 2 });
            case "gradient_boosting":
                return GradientBoostingRegressor.Fit(x, y, new GradientBoostingOptions { Trees = 2 });
            case "kernel_ridge":
                return KernelRidgeRegression.Fit(x, y);
            case "partial_least_squares":
                return PartialLeastSquares.Fit(x, y, 2);
            default:
                Standardizer standardizer = Standardizer.Fit(x);
                FeatureMatrix standard = x.Apply(standardizer);
                PrincipalComponents components = PrincipalComponents.Fit(standard, 4);
                FeatureMatrix scores = standard.Apply(components);
                PartialLeastSquares squares = PartialLeastSquares.Fit(scores, y, 2);
                return new Pipeline([standardizer, components, squares], RidgeRegression.Fit(scores.Apply(squares), y));
        }
    }

    private sealed class Constant : IRegressor
    {
        public string Kind => "constant";

        public int FeatureCount => 1;

        public double Predict(ReadOnlySpan<double> row) => 1;
    }
}
