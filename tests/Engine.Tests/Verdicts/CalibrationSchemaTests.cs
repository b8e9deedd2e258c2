using System.Text;
using System.Text.Json.Nodes;
using EmScan.Engine.Formats;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Tests.Verdicts.Regression;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Verdicts;

/// <summary>The exact keys and kinds of calibration.json: other programs read it, and older and newer emscans do.</summary>
public sealed class CalibrationSchemaTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_calibration_has_exactly_these_keys()
    {
        // A figure that is undefined is null with its reason; which of them are hangs on the checkpoints, so that value is checked for itself.
        string[] keys = JsonKeys.Of(File.ReadAllText(Written()));
        string[] optional = [.. keys.Where(key => key.EndsWith(".value null", StringComparison.Ordinal) || key.EndsWith(".why_undefined text", StringComparison.Ordinal))];
        Assert.All(optional, key => Assert.StartsWith("validation[].metrics.", key));
        string[] metrics =
        [
            "false_negative_rate", "false_positive_rate", "accuracy", "precision", "auroc", "spearman", "mean_absolute_error", "root_mean_square_error", "r_squared",
        ];
        Assert.Equal(
            ((string[])
            [
                "format text", "version number", "created_by text",
                "base object", "base.model_sha256 text", "base.model_description text", "base.layers number", "base.layer number", "base.layer_convention text",
                "base.prompts number", "base.numeric_mode text", "base.place text", "base.directions_method text", "base.directions[][] number", "base.traits[] text", "base.projections_normalized[] number",
                "dangerous_above number", "seed number",
                "calibration_set object", "calibration_set.fingerprint text", "calibration_set.runs number", "calibration_set.checkpoints number",
                "calibration_set.dangerous_checkpoints number", "calibration_set.lowest_em_rate number", "calibration_set.highest_em_rate number",
                "calibration_set.perturbations[] text",
                "validation[] object", "validation[].name text", "validation[].dangerous_above number", "validation[].flagged_above number", "validation[].runs number",
                "validation[].checkpoints number", "validation[].dangerous number", "validation[].flagged number", "validation[].metrics object",
                .. metrics.SelectMany(m => (string[])
                    [$"validation[].metrics.{m} object", $"validation[].metrics.{m}.value number", $"validation[].metrics.{m}.low number", $"validation[].metrics.{m}.high number"]),
                "validation[].interval_coverage object", "validation[].interval_coverage.value number", "validation[].interval_coverage.low number",
                "validation[].interval_coverage.high number",
                "drift_axis object", "drift_axis.runs number", "drift_axis.shares[] number", "drift_axis.loadings[] number", "drift_axis.mean[] number",
                "drift_axis.covariance[] number",
                "range object", "range.limit number", "range.scale[] number", "range.checkpoints[][] number",
                .. Interval("interval"), .. Detector("detector"), "detector.flagged_above number",
                "forecast object", "forecast.false_alarm_rate number", "forecast.alarm_above number", "forecast.strict_false_alarm_rate number",
                "forecast.strict_alarm_above number", "forecast.benign_runs number", .. Interval("forecast.interval"), .. Detector("forecast.detector"),
                "labelled[] object", "labelled[].run text", "labelled[].perturbation text", "labelled[].seed text", "labelled[].steps[] text",
                "labelled[].em_rates[] number", "labelled[].activation_norms[] number", "labelled[].drifts[][] number",
            ]).Order(StringComparer.Ordinal),
            keys.Except(optional).Order(StringComparer.Ordinal));

        static string[] Interval(string at) =>
            [$"{at} object", $"{at}.level number", $"{at}.groups number", $"{at}.quantile number", $"{at}.false_unknown_rate number", $"{at}.unknown_above number"];

        static string[] Detector(string at) =>
        [
            $"{at} object", $"{at}.features text", $"{at}.learner text", $"{at}.columns[] text",
            $"{at}.regressor object", $"{at}.regressor.kind text", $"{at}.regressor.feature_count number", $"{at}.regressor.transforms[] object",
            $"{at}.regressor.transforms[].kind text", $"{at}.regressor.transforms[].feature_count number", $"{at}.regressor.transforms[].mean[] number",
            $"{at}.regressor.transforms[].scale[] number", $"{at}.regressor.regressor object", $"{at}.regressor.regressor.kind text",
            $"{at}.regressor.regressor.feature_count number", $"{at}.regressor.regressor.target_mean number",
            $"{at}.regressor.regressor.length_scale number", $"{at}.regressor.regressor.coefficients[] number", $"{at}.regressor.regressor.points[][] number",
        ];
    }

    [Theory]
    [InlineData("ridge", "coefficients[] number", "intercept number")]
    [InlineData("logistic", "coefficients[] number", "intercept number")]
    [InlineData("random_forest", "trees[] object", "trees[].feature[] number", "trees[].threshold[] number", "trees[].left[] number", "trees[].right[] number",
        "trees[].value[] number")]
    [InlineData("gradient_boosting", "initial number", "rate number", "trees[] object", "trees[].feature[] number", "trees[].threshold[] number",
        "trees[].left[] number", "trees[].right[] number", "trees[].value[] number")]
    [InlineData("kernel_ridge", "target_mean number", "length_scale number", "coefficients[] number", "points[][] number")]
    [InlineData("partial_least_squares", "mean[] number", "axes[][] number", "target_mean number", "loadings[] number")]
    public void A_regressor_has_exactly_these_keys(string kind, params string[] keys) =>
        Assert.Equal(["kind text", "feature_count number", .. keys], JsonKeys.Of(RegressorJsonTests.Text(RegressorJsonTests.Fitted(kind))));

    [Fact]
    public void A_key_that_no_calibration_has_is_named()
    {
        string path = Written();
        foreach ((string? parent, string key) in (ReadOnlySpan<(string?, string)>)[(null, "verdict"), ("base", "laiers"), ("detector", "note\nof mine"), ("drift_axis", "Runs")])
        {
            JsonNode root = JsonNode.Parse(File.ReadAllText(path))!;
            (parent is null ? root : root[parent]!)[key] = 1;
            Assert.Equal($"{_folder["changed.json"]}: has the unknown key \"{InputFile.OneLine(key)}\"; a newer emscan may have written it", Refusal(root.ToJsonString()));
        }
    }

    [Fact]
    public void A_file_of_another_kind_or_version_is_called_so_whatever_its_keys_are()
    {
        Assert.EndsWith("is not a calibration; 'emscan calibrate' writes one", Refusal("""{"traits": {}, "format": {"format": "emscan-calibration"}}"""));
        Assert.EndsWith(
            "is a calibration of another version than 1 to 3; run 'emscan calibrate' again", Refusal("""{"more": [1], "version": 4, "format": "emscan-calibration"}"""));
    }

    [Theory]
    [InlineData("seed", "\"42\"", "has a \"seed\" that is not a number")]
    [InlineData("seed", "4.5", "has a \"seed\" that is not an integer of 32 bits")]
    [InlineData("base", "[]", "lacks an object \"base\"")]
    [InlineData("validation", "3", "lacks a list \"validation\"")]
    [InlineData("validation", "[3]", "lacks an object \"validation\"")]
    [InlineData("created_by", "{}", "has a \"created_by\" that is not a text")]
    public void A_value_of_another_kind_is_named_by_its_key(string key, string value, string problem)
    {
        JsonNode root = JsonNode.Parse(File.ReadAllText(Written()))!;
        root[key] = JsonNode.Parse(value);
        Assert.Equal($"{_folder["changed.json"]}: {problem}", Refusal(root.ToJsonString()));
    }

    [Fact]
    public void The_calibration_that_ships_is_read_though_it_was_written_before_there_were_places()
    {
        string text = File.ReadAllText(Repository.File("models/demo/calibration.json"));
        JsonNode old = JsonNode.Parse(text)!;
        old["base"]!.AsObject().Remove("place");
        Assert.Equal(7, CalibrationFile.Read(_folder.Write("old.json", Encoding.UTF8.GetBytes(old.ToJsonString()))).Base.Traits.Count);
    }

    private string Written()
    {
        string path = _folder["calibration.json"];
        CalibrationFile.Write(path, Calibration.Fit(Synthetic.Scan(Synthetic.Runs()), DetectorRecipe.Parse("drift+activation/kernel-ridge")));
        return path;
    }

    private string Refusal(string json) =>
        Assert.Throws<InputFileException>(() => CalibrationFile.Read(_folder.Write("changed.json", Encoding.UTF8.GetBytes(json)))).Message;
}
