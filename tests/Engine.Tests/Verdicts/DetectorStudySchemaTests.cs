using System.Text;
using System.Text.Json;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;
using EmScan.Engine.Tests.Support;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Tests.Verdicts;

/// <summary>The exact keys and kinds of <c>evaluate --json</c>, and its columns as CSV.</summary>
public sealed class DetectorStudySchemaTests
{
    private static readonly string[] Metrics =
    [
        "false_negative_rate", "false_positive_rate", "accuracy", "precision", "auroc", "spearman", "mean_absolute_error", "root_mean_square_error", "r_squared",
    ];

    [Fact]
    public void A_study_has_exactly_these_keys()
    {
        using var buffer = new MemoryStream();
        DetectorStudyJson.Write(buffer, Study());
        string text = Encoding.UTF8.GetString(buffer.ToArray());
        Assert.EndsWith("\n}\n", text);
        string[] keys = JsonKeys.Of(text);

        // A figure that is undefined is null with its reason; which of them are hangs on the checkpoints.
        string[] undefined = [.. keys.Where(key => key.EndsWith(".value null", StringComparison.Ordinal) || key.EndsWith(".why_undefined text", StringComparison.Ordinal))];
        Assert.All(undefined, key => Assert.Contains(key.Split('.')[^2], Metrics));
        Assert.Equal(
            ((string[])
            [
                "emscan_version text",
                "protocols[] object", "protocols[].name text",
                "protocols[].detectors[] object", "protocols[].detectors[].detector text", "protocols[].detectors[].title text",
                .. Figures("protocols[].detectors[]"), .. Estimates("protocols[].detectors[].first_minus_this"),
                "protocols[].detectors[].remarks empty list",
                "protocols[].detectors[].scores[] object", "protocols[].detectors[].scores[].model text", "protocols[].detectors[].scores[].run text",
                "protocols[].detectors[].scores[].step number", "protocols[].detectors[].scores[].step text", "protocols[].detectors[].scores[].em_rate number",
                "protocols[].detectors[].scores[].score number", "protocols[].detectors[].scores[].range_distance number",
                "protocols[].by_model[] object", "protocols[].by_model[].name text", .. Figures("protocols[].by_model[]"),
                "protocols[].by_perturbation[] object", "protocols[].by_perturbation[].name text", .. Figures("protocols[].by_perturbation[]"),
                "protocols[].by_seed[] object", "protocols[].by_seed[].name text", .. Figures("protocols[].by_seed[]"),
                "protocols[].at_thresholds[] object", .. Figures("protocols[].at_thresholds[]"),
                "protocols[].certain_labels object", "protocols[].certain_labels.known number", "protocols[].certain_labels.certain number",
                .. Figures("protocols[].certain_labels"),
                "protocols[].interval_coverage object", "protocols[].interval_coverage.checkpoints number", .. Coverage("protocols[].interval_coverage"),
                "protocols[].coverage_by_perturbation[] object", "protocols[].coverage_by_perturbation[].name text",
                "protocols[].coverage_by_perturbation[].checkpoints number", .. Coverage("protocols[].coverage_by_perturbation[]"),
                "protocols[].unknown object", "protocols[].unknown.false_unknown_rate number", "protocols[].unknown.harmless number",
                "protocols[].unknown.harmless_unknown number", "protocols[].unknown.missed number", "protocols[].unknown.missed_unknown number",
                "protocols[].forecasts[] object", "protocols[].forecasts[].false_alarm_rate number",
                .. ((string[])["median_lead", "missed", "false_alarms"]).SelectMany(f => Estimate($"protocols[].forecasts[].{f}")),
                "protocols[].forecasts[].remarks empty list",
                "protocols[].forecasts[].runs[] object", "protocols[].forecasts[].runs[].model text", "protocols[].forecasts[].runs[].run text",
                "protocols[].forecasts[].runs[].outcome text", "protocols[].forecasts[].runs[].first_flag text", "protocols[].forecasts[].runs[].first_flag null",
                "protocols[].forecasts[].runs[].first_danger text", "protocols[].forecasts[].runs[].first_danger null",
                "protocols[].forecasts[].runs[].lead_steps number",
                "protocols[].early_warning[] object", "protocols[].early_warning[].model text", "protocols[].early_warning[].run text",
                "protocols[].early_warning[].outcome text", "protocols[].early_warning[].first_flag text", "protocols[].early_warning[].first_flag null",
                "protocols[].early_warning[].first_danger text", "protocols[].early_warning[].first_danger null", "protocols[].early_warning[].lead_steps number",
                "places[] object", "places[].protocol text", "places[].place text", "places[].directions_pooling null", .. Figures("places[]"),
                .. Estimates("places[].minus_first"),
                "drift_axes[] object", "drift_axes[].model text", "drift_axes[].runs number", "drift_axes[].shares[] number", "drift_axes[].participation_ratio number",
                "drift_axes[].loadings object", .. Synthetic.Traits.Select(t => $"drift_axes[].loadings.{t} number"),
                "drift_axes[].without_one_perturbation object", .. Synthetic.Perturbations.Select(p => $"drift_axes[].without_one_perturbation.{p} number"),
                "drift_axes[].whitened object", "drift_axes[].whitened.shares[] number", "drift_axes[].whitened.cosine number",
                "drift_axes[].native object", "drift_axes[].native.share number", "drift_axes[].native.participation_ratio number",
                "drift_axes[].native.cosine number", "drift_axes[].native.visible_share number",
                "drift_axes[].isotropic_null object", "drift_axes[].isotropic_null.draws number", "drift_axes[].isotropic_null.mean_share number",
                "drift_axes[].isotropic_null.share_95 number", "drift_axes[].isotropic_null.p_value number",
                "checkpoints[] object", "checkpoints[].model text", "checkpoints[].run text", "checkpoints[].step number", "checkpoints[].step text",
                "checkpoints[].perturbation text", "checkpoints[].seed text", "checkpoints[].em_rate number", "checkpoints[].n_scored number",
                "checkpoints[].activation_norm number", "checkpoints[].drift object", .. Synthetic.Traits.Select(t => $"checkpoints[].drift.{t} number"),
            ]).Order(StringComparer.Ordinal),
            keys.Except(undefined).Order(StringComparer.Ordinal));

        static string[] Estimate(string at) => [$"{at} object", $"{at}.value number", $"{at}.low number", $"{at}.high number"];

        static string[] Coverage(string at) => [.. Estimate($"{at}.coverage"), .. Estimate($"{at}.mean_width")];
    }

    [Fact]
    public void A_figure_as_CSV_is_that_of_the_JSON_and_names_are_quoted_where_they_must_be()
    {
        DetectorStudy study = Study();
        using var csv = new StringWriter();
        DetectorStudyCsv.Write(csv, study with { Protocols = [study.Protocols[0] with { Name = "a \"b\", c" }] });
        string[] lines = csv.ToString().Split('\n');
        Assert.Equal("", lines[^1]);
        Assert.Equal(
            "protocol,detector,part,dangerous_above,runs,checkpoints,dangerous,flagged," + string.Join(',', Metrics.Select(m => $"{m},{m}_low,{m}_high")), lines[0]);
        Assert.All(lines[1..^1], line => Assert.StartsWith("\"a \"\"b\"\", c\",drift/", line));

        using var buffer = new MemoryStream();
        DetectorStudyJson.Write(buffer, study);
        using JsonDocument json = JsonDocument.Parse(buffer.ToArray());
        JsonElement auroc = json.RootElement.GetProperty("protocols")[0].GetProperty("detectors")[0].GetProperty("metrics").GetProperty("auroc");
        string[] cells = lines[1].Replace("\"a \"\"b\"\", c\"", "name", StringComparison.Ordinal).Split(',');
        int column = Array.IndexOf(lines[0].Split(','), "auroc");
        Assert.Equal([auroc.GetProperty("value").GetRawText(), auroc.GetProperty("low").GetRawText(), auroc.GetProperty("high").GetRawText()], cells[column..(column + 3)]);
    }

    /// <summary>Two detectors, two places, counted labels, one run that ends without a step.</summary>
    private static DetectorStudy Study()
    {
        LabelledObservation[] checkpoints = [.. Synthetic.Runs().Select((c, i) => c with
        {
            ScoredCount = 600,
            Observation = i == 5 ? c.Observation with { Step = CheckpointStep.Final } : c.Observation,
        })];
        LabelledSet scan = Synthetic.Scan(checkpoints);
        DetectorStudy study = DetectorStudy.Run([scan], new StudyOptions { Recipes = [DetectorRecipe.Parse("drift/ridge"), DetectorRecipe.Parse("drift/scaled-ridge")] });
        return study with
        {
            Places = PlaceFigures.Compare([(scan.Base, study), (scan.Base with { Place = MeasuredPlace.MeanAnswer }, study)], seed: 1),
        };
    }

    private static IEnumerable<string> Figures(string at) =>
        [
            $"{at}.dangerous_above number", $"{at}.flagged_above number", $"{at}.runs number", $"{at}.checkpoints number", $"{at}.dangerous number", $"{at}.flagged number",
            .. Estimates($"{at}.metrics"),
        ];

    private static IEnumerable<string> Estimates(string at) =>
        [$"{at} object", .. Metrics.SelectMany(m => (string[])[$"{at}.{m} object", $"{at}.{m}.value number", $"{at}.{m}.low number", $"{at}.{m}.high number"])];
}
