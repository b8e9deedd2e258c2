using System.Text.Json;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;
using EmScan.Engine.Verdicts.Evaluation;

namespace EmScan.Engine.Reports;

/// <summary>A study as one JSON object: fractions, not percent; with features and scores of every checkpoint, so that other programs can check
/// each figure.</summary>
internal static class DetectorStudyJson
{
    /// <summary>Writes everything, ending with a new line.</summary>
    public static void Write(Stream output, DetectorStudy study)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(study);
        using (var json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
            JsonSerializer.Serialize(json, ToRecord(study), DetectorStudyJsonContext.Default.DetectorStudyRecord);
        output.WriteByte((byte)'\n');
        output.Flush();
    }

    private static DetectorStudyRecord ToRecord(DetectorStudy study) => new(
        EmScanVersion.Text,
        [.. study.Protocols.Select(ToRecord)],
        study.Places.Count > 0 ? [.. study.Places.Select(ToRecord)] : null,
        [.. study.Axes.Select(ToRecord)],
        [.. study.Checkpoints.Select(c => new StudyCheckpointRecord(
            c.Observation.Model, c.Observation.Run, c.Observation.Step, c.Perturbation, c.Seed, c.EmRate, c.ScoredCount,
            c.Observation.Displacement.MeanActivationChange, ByTrait(c.Observation.Traits, c.Observation.Displacement.PerTrait.AsSpan())))]);

    private static ProtocolRecord ToRecord(StudyProtocol protocol) => new(
        protocol.Name,
        [.. protocol.Rows.Select(ToRecord)],
        Parts(protocol.ByModel),
        Parts(protocol.ByPerturbation),
        Parts(protocol.BySeed),
        [.. protocol.AtThresholds.Select(report => new PartRecord(null, report))],
        protocol.Certain is { } certain ? new CertainLabelsRecord(certain) : null,
        protocol.Coverage is { } coverage ? ToRecord(null, coverage) : null,
        protocol.CoverageByPerturbation.Count > 0 ? [.. protocol.CoverageByPerturbation.Select(c => ToRecord(c.Key, c.Coverage))] : null,
        protocol.Unknown is { } u ? new UnknownRecord(ConformalInterval.FalseUnknownRate, u.Harmless, u.HarmlessUnknown, u.Missed, u.MissedUnknown) : null,
        protocol.EarlyWarning is { } warning ? Runs(warning) : null,
        protocol.Forecasts.Count > 0
            ? [.. protocol.Forecasts.Select(f => new ForecastStudyRecord(
                f.FalseAlarmRate, new EstimateRecord(f.MedianLead), new EstimateRecord(f.Missed), new EstimateRecord(f.FalseAlarms), Runs(f.Warning), [.. f.Remarks]))]
            : null);

    private static CoverageRecord ToRecord(string? name, IntervalCoverage c) =>
        new(name, c.Checkpoints, new EstimateRecord(c.Coverage), new EstimateRecord(c.MeanWidth));

    private static RunWarningRecord[] Runs(EarlyWarning warning) =>
    [
        .. warning.Runs.Select(run => new RunWarningRecord(
            run.Model, run.Run, JsonNamingPolicy.SnakeCaseLower.ConvertName(run.Outcome.ToString()), run.FirstFlag?.ToString(), run.FirstDanger?.ToString(),
            run.LeadSteps)),
    ];

    private static StudyRowRecord ToRecord(StudyRow row) => new(row.Report)
    {
        Detector = row.Recipe.Name,
        Title = $"{row.Recipe.Features.Title}, {row.Recipe.Learner.Title}",
        FirstMinusThis = row.AgainstFirst is { } comparison ? FiguresRecord.All(metric => comparison[metric]) : null,
        Remarks = [.. row.Remarks],
        Scores = [.. row.Scores.Select(s => new ScoreRecord(
            s.Checkpoint.Observation.Model, s.Checkpoint.Observation.Run, s.Checkpoint.Observation.Step, s.Checkpoint.EmRate, s.Score, s.Distance))],
    };

    private static PlaceRecord ToRecord(PlaceFigures place) => new(place.Report)
    {
        Protocol = place.Protocol,
        Place = place.Place.ToName(),
        DirectionsPooling = place.DirectionsPooling,
        MinusFirst = place.MinusFirst is { } comparison ? FiguresRecord.All(metric => comparison[metric]) : null,
    };

    private static AxisStudyRecord ToRecord(AxisStudy study) => new(
        study.Model,
        study.Axis.Runs,
        study.Axis.Shares,
        study.Axis.ParticipationRatio,
        ByTrait(study.Axis.Traits, study.Axis.Loadings),
        study.LeaveOneOut?.Groups.ToDictionary(group => group.Group, group => group.Cosine),
        study.Whitened is { } whitened ? new WhitenedRecord(whitened.Axis.Shares, whitened.Cosine) : null,
        study.Native is { } native ? new NativeRecord(native.Share, native.ParticipationRatio, native.Cosine, native.VisibleShare) : null,
        study.Chance is { } chance ? new ChanceRecord(chance.Draws, chance.MeanShare, chance.Share95, chance.PValue) : null);

    private static PartRecord[] Parts(IReadOnlyList<(string? Key, EvaluationReport Report)> parts) =>
        [.. parts.Select(part => new PartRecord(part.Key, part.Report))];

    private static Dictionary<string, double> ByTrait(IReadOnlyList<string> traits, ReadOnlySpan<double> values)
    {
        var byTrait = new Dictionary<string, double>(traits.Count);
        for (int k = 0; k < traits.Count; k++) byTrait.Add(traits[k], values[k]);
        return byTrait;
    }
}
