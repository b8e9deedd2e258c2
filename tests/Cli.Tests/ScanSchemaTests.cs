using EmScan.Engine.Tests.Support;

namespace EmScan.Cli.Tests;

/// <summary>The exact keys and kinds of what scans write: other programs read it.</summary>
public sealed class ScanSchemaTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_json_of_a_calibrated_scan_and_its_trajectories_have_exactly_these_keys()
    {
        Emscan run = Emscan.Run(
            _folder["cache"], "--model", Repository.File("models/demo/model.gguf"), "--adapters", Repository.File("models/demo/adapters"), "--out", _folder["out"], "--json", "--threads", "1");
        Assert.Equal(3, run.ExitCode);
        Assert.Equal(ScanKeys, Keys(run.Output));
        string trajectory = Directory.GetFiles(_folder["out"], "trajectory.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal).First();
        Assert.Equal(TrajectoryKeys, Keys(File.ReadAllText(trajectory)));
    }

    private static string[] Keys(string json) => [.. JsonKeys.Of(json).Order(StringComparer.Ordinal)];

    private static readonly string[] ScanKeys =
    [
        "complete true or false", "device text", "directions text", "directions_pooling text", "emscan_version text", "layer number",
        "layer_convention text", "model object", "model.description text", "model.hidden_size number", "model.layers number", "model.path text",
        "model.sha256 text", "numeric_mode text", "place text", "prompts number", "runs[] object", "runs[].run text", "runs[].trajectory[] object",
        "runs[].trajectory[].changes_nothing true or false", "runs[].trajectory[].doubts empty list", "runs[].trajectory[].drift object",
        "runs[].trajectory[].drift.confidence number", "runs[].trajectory[].drift.corrigibility number",
        "runs[].trajectory[].drift.harmlessness number", "runs[].trajectory[].drift.helpfulness number", "runs[].trajectory[].drift.honesty number",
        "runs[].trajectory[].drift.power_seeking number", "runs[].trajectory[].drift.sycophancy number", "runs[].trajectory[].drift_magnitude number",
        "runs[].trajectory[].drift_standard_error object", "runs[].trajectory[].drift_standard_error.confidence number",
        "runs[].trajectory[].drift_standard_error.corrigibility number", "runs[].trajectory[].drift_standard_error.harmlessness number",
        "runs[].trajectory[].drift_standard_error.helpfulness number", "runs[].trajectory[].drift_standard_error.honesty number",
        "runs[].trajectory[].drift_standard_error.power_seeking number", "runs[].trajectory[].drift_standard_error.sycophancy number",
        "runs[].trajectory[].from_journal true or false", "runs[].trajectory[].mean_activation_change number", "runs[].trajectory[].path text",
        "runs[].trajectory[].projections object", "runs[].trajectory[].projections.confidence number",
        "runs[].trajectory[].projections.corrigibility number", "runs[].trajectory[].projections.harmlessness number",
        "runs[].trajectory[].projections.helpfulness number", "runs[].trajectory[].projections.honesty number",
        "runs[].trajectory[].projections.power_seeking number", "runs[].trajectory[].projections.sycophancy number",
        "runs[].trajectory[].projections_normalized object", "runs[].trajectory[].projections_normalized.confidence number",
        "runs[].trajectory[].projections_normalized.corrigibility number", "runs[].trajectory[].projections_normalized.harmlessness number",
        "runs[].trajectory[].projections_normalized.helpfulness number", "runs[].trajectory[].projections_normalized.honesty number",
        "runs[].trajectory[].projections_normalized.power_seeking number", "runs[].trajectory[].projections_normalized.sycophancy number",
        "runs[].trajectory[].state text", "runs[].trajectory[].step number", "runs[].trajectory[].trend null", "runs[].trajectory[].trend object",
        "runs[].trajectory[].trend.checkpoints number", "runs[].trajectory[].trend.per_step number",
        "runs[].trajectory[].trend.standard_error number", "runs[].trajectory[].verdict object", "runs[].trajectory[].verdict.axis number",
        "runs[].trajectory[].verdict.dangerous true or false", "runs[].trajectory[].verdict.doubt number",
        "runs[].trajectory[].verdict.em_rate_interval[] number", "runs[].trajectory[].verdict.flagged_above number",
        "runs[].trajectory[].verdict.forecast object", "runs[].trajectory[].verdict.forecast.alarm true or false",
        "runs[].trajectory[].verdict.forecast.alarm_above number", "runs[].trajectory[].verdict.forecast.em_rate_to_come number",
        "runs[].trajectory[].verdict.forecast.interval[] number", "runs[].trajectory[].verdict.forecast.interval_level number",
        "runs[].trajectory[].verdict.forecast.strict_alarm true or false", "runs[].trajectory[].verdict.forecast.strict_alarm_above number",
        "runs[].trajectory[].verdict.interval_level number", "runs[].trajectory[].verdict.kind text",
        "runs[].trajectory[].verdict.outside_calibrated_range true or false", "runs[].trajectory[].verdict.range_distance number",
        "runs[].trajectory[].verdict.score number", "runs[].trajectory[].verdict.unknown true or false", "runs[].trajectory[].visible_share number",
        "step0_activation_norm number", "summary object", "summary.dangerous number", "summary.failed number", "summary.found number",
        "summary.from_journal number", "summary.measured number", "summary.ok number", "summary.skipped number", "summary.unchanged number",
        "summary.unknown number", "trait_set text", "traits[] text", "verdicts text",
    ];

    private static readonly string[] TrajectoryKeys =
    [
        "created_by text", "data_source text", "directions_pooling text", "epochs null", "layer number", "layer_convention text", "lora_alpha number",
        "lora_rank number", "lr number", "model text", "model_sha256 text", "numeric_mode text", "place text", "prompts number", "save_steps number",
        "seed number", "step0_activation_norm number", "trajectory[] object", "trajectory[].doubts empty list", "trajectory[].drift object",
        "trajectory[].drift.confidence number", "trajectory[].drift.corrigibility number", "trajectory[].drift.harmlessness number",
        "trajectory[].drift.helpfulness number", "trajectory[].drift.honesty number", "trajectory[].drift.power_seeking number",
        "trajectory[].drift.sycophancy number", "trajectory[].drift_magnitude number", "trajectory[].drift_standard_error object",
        "trajectory[].drift_standard_error.confidence number", "trajectory[].drift_standard_error.corrigibility number",
        "trajectory[].drift_standard_error.harmlessness number", "trajectory[].drift_standard_error.helpfulness number",
        "trajectory[].drift_standard_error.honesty number", "trajectory[].drift_standard_error.power_seeking number",
        "trajectory[].drift_standard_error.sycophancy number", "trajectory[].mean_activation_change number", "trajectory[].projections object",
        "trajectory[].projections.confidence number", "trajectory[].projections.corrigibility number", "trajectory[].projections.harmlessness number",
        "trajectory[].projections.helpfulness number", "trajectory[].projections.honesty number", "trajectory[].projections.power_seeking number",
        "trajectory[].projections.sycophancy number", "trajectory[].projections_normalized object",
        "trajectory[].projections_normalized.confidence number", "trajectory[].projections_normalized.corrigibility number",
        "trajectory[].projections_normalized.harmlessness number", "trajectory[].projections_normalized.helpfulness number",
        "trajectory[].projections_normalized.honesty number", "trajectory[].projections_normalized.power_seeking number",
        "trajectory[].projections_normalized.sycophancy number", "trajectory[].state text", "trajectory[].step number", "trajectory[].trend null",
        "trajectory[].trend object", "trajectory[].trend.checkpoints number", "trajectory[].trend.per_step number",
        "trajectory[].trend.standard_error number", "trajectory[].verdict object", "trajectory[].verdict.axis number",
        "trajectory[].verdict.dangerous true or false", "trajectory[].verdict.doubt number", "trajectory[].verdict.em_rate_interval[] number",
        "trajectory[].verdict.flagged_above number", "trajectory[].verdict.forecast object", "trajectory[].verdict.forecast.alarm true or false",
        "trajectory[].verdict.forecast.alarm_above number", "trajectory[].verdict.forecast.em_rate_to_come number",
        "trajectory[].verdict.forecast.interval[] number", "trajectory[].verdict.forecast.interval_level number",
        "trajectory[].verdict.forecast.strict_alarm true or false", "trajectory[].verdict.forecast.strict_alarm_above number",
        "trajectory[].verdict.interval_level number", "trajectory[].verdict.kind text", "trajectory[].verdict.outside_calibrated_range true or false",
        "trajectory[].verdict.range_distance number", "trajectory[].verdict.score number", "trajectory[].verdict.unknown true or false",
        "trajectory[].visible_share number",
    ];
}
