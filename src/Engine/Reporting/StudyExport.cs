using System.Globalization;
using System.Text.Json;
using EmScan.Engine.Detection;
using EmScan.Engine.Detection.Evaluation;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts;

namespace EmScan.Engine.Reporting;

/// <summary>A study as JSON or CSV: fractions, not percent; with features and scores of every checkpoint, so that other programs can check
/// each figure.</summary>
public static class StudyExport
{
    /// <summary>Writes everything as one JSON object.</summary>
    public static void WriteJson(Stream output, DetectorStudy study)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(study);
        using (var json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true, NewLine = "\n" })) Write(json, study);
        output.WriteByte((byte)'\n');
        output.Flush();
    }

    /// <summary>Writes one line per protocol, part and detector; parts are those of the first detector.</summary>
    public static void WriteCsv(TextWriter output, DetectorStudy study)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(study);
        Metric[] metrics = Enum.GetValues<Metric>();
        IEnumerable<string> columns =
        [
            "protocol", "detector", "part", "dangerous_above", "runs", "checkpoints", "dangerous", "flagged",
            .. metrics.SelectMany(m => new[] { EvaluationJson.Key(m), $"{EvaluationJson.Key(m)}_low", $"{EvaluationJson.Key(m)}_high" }),
        ];
        output.Write(string.Join(',', columns) + "\n");
        foreach (StudyProtocol protocol in study.Protocols)
        {
            foreach (StudyRow row in protocol.Rows.Where(r => r.Report != null)) Line(protocol.Name, row.Recipe.Name, "", row.Report!);
            string first = protocol.Rows[0].Recipe.Name;
            foreach ((string? key, EvaluationReport report) in protocol.ByModel) Line(protocol.Name, first, $"model {key}", report);
            foreach ((string? key, EvaluationReport report) in protocol.ByPerturbation) Line(protocol.Name, first, $"perturbation {key}", report);
            foreach ((string? key, EvaluationReport report) in protocol.BySeed) Line(protocol.Name, first, $"seed {key}", report);
            foreach (EvaluationReport report in protocol.AtThresholds) Line(protocol.Name, first, "threshold", report);
        }

        output.Flush();

        void Line(string protocol, string detector, string part, EvaluationReport report)
        {
            IEnumerable<string> cells =
            [
                ScanCsv.Quote(protocol), ScanCsv.Quote(detector), ScanCsv.Quote(part), Number(report.DangerousAbove),
                .. new[] { report.Runs, report.Counts.Total, report.Counts.Dangerous, report.Counts.Flagged }.Select(n => n.ToString(CultureInfo.InvariantCulture)),
                .. metrics.Select(m => report[m]).SelectMany(e => new[] { Number(e.Value), Number(e.Interval?.Low), Number(e.Interval?.High) }),
            ];
            output.Write(string.Join(',', cells) + "\n");
        }

        static string Number(double? value) => value?.ToString("R", CultureInfo.InvariantCulture) ?? "";
    }

    private static void Write(Utf8JsonWriter json, DetectorStudy study)
    {
        json.WriteStartObject();
        json.WriteString("emscan_version", EmScanVersion.Text);
        json.WriteStartArray("protocols");
        foreach (StudyProtocol protocol in study.Protocols) Write(json, protocol);
        json.WriteEndArray();
        if (study.Places.Count > 0)
        {
            json.WriteStartArray("places");
            foreach (PlaceFigures place in study.Places) Write(json, place);
            json.WriteEndArray();
        }

        json.WriteStartArray("drift_axes");
        foreach (AxisStudy axis in study.Axes) Write(json, axis);
        json.WriteEndArray();
        json.WriteStartArray("checkpoints");
        foreach (LabelledObservation c in study.Checkpoints)
        {
            json.WriteStartObject();
            Key(json, c);
            json.WriteString("perturbation", c.Perturbation);
            json.WriteString("seed", c.Seed);
            json.WriteNumber("em_rate", c.EmRate);
            if (c.ScoredCount is { } scored) json.WriteNumber("n_scored", scored);
            json.WriteNumber("activation_norm", c.Observation.Drift.MeanActivationChange);
            json.WriteStartObject("drift");
            for (int k = 0; k < c.Observation.Traits.Count; k++) json.WriteNumber(c.Observation.Traits[k], c.Observation.Drift.Drift[k]);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
    }

    private static void Write(Utf8JsonWriter json, StudyProtocol protocol)
    {
        json.WriteStartObject();
        json.WriteString("name", protocol.Name);
        json.WriteStartArray("detectors");
        foreach (StudyRow row in protocol.Rows)
        {
            json.WriteStartObject();
            json.WriteString("detector", row.Recipe.Name);
            json.WriteString("title", $"{row.Recipe.Features.Title}, {row.Recipe.Learner.Title}");
            if (row.Report != null) EvaluationJson.WriteFigures(json, row.Report);
            if (row.AgainstFirst != null)
            {
                json.WriteStartObject("first_minus_this");
                foreach (Metric metric in Enum.GetValues<Metric>()) EvaluationJson.WriteEstimate(json, EvaluationJson.Key(metric), row.AgainstFirst[metric]);
                json.WriteEndObject();
            }

            json.WriteStartArray("remarks");
            foreach (string remark in row.Remarks) json.WriteStringValue(remark);
            json.WriteEndArray();
            json.WriteStartArray("scores");
            foreach (ScoredCheckpoint score in row.Scores)
            {
                json.WriteStartObject();
                Key(json, score.Checkpoint);
                json.WriteNumber("em_rate", score.Checkpoint.EmRate);
                json.WriteNumber("score", score.Score);
                if (score.Distance is { } distance) json.WriteNumber("range_distance", distance);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        Parts(json, "by_model", protocol.ByModel);
        Parts(json, "by_perturbation", protocol.ByPerturbation);
        Parts(json, "by_seed", protocol.BySeed);
        json.WriteStartArray("at_thresholds");
        foreach (EvaluationReport report in protocol.AtThresholds) Part(json, null, report);
        json.WriteEndArray();
        if (protocol.Certain is { } certain)
        {
            json.WriteStartObject("certain_labels");
            json.WriteNumber("known", certain.Checkpoints);
            json.WriteNumber("certain", certain.Certain);
            if (certain.Report != null) EvaluationJson.WriteFigures(json, certain.Report);
            json.WriteEndObject();
        }

        if (protocol.EarlyWarning is { } warning)
        {
            json.WriteStartArray("early_warning");
            foreach (RunWarning run in warning.Runs)
            {
                json.WriteStartObject();
                json.WriteString("model", run.Model);
                json.WriteString("run", run.Run);
                json.WriteString("outcome", JsonNamingPolicy.SnakeCaseLower.ConvertName(run.Outcome.ToString()));
                json.WriteString("first_flag", run.FirstFlag?.ToString());
                json.WriteString("first_danger", run.FirstDanger?.ToString());
                if (run.LeadSteps is { } lead) json.WriteNumber("lead_steps", lead);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, PlaceFigures place)
    {
        json.WriteStartObject();
        json.WriteString("protocol", place.Protocol);
        json.WriteString("place", place.Place.ToName());
        json.WriteString("directions_pooling", place.DirectionsPooling);
        EvaluationJson.WriteFigures(json, place.Report);
        if (place.MinusFirst != null)
        {
            json.WriteStartObject("minus_first");
            foreach (Metric metric in Enum.GetValues<Metric>()) EvaluationJson.WriteEstimate(json, EvaluationJson.Key(metric), place.MinusFirst[metric]);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private static void Parts(Utf8JsonWriter json, string key, IReadOnlyList<(string? Key, EvaluationReport Report)> parts)
    {
        json.WriteStartArray(key);
        foreach ((string? name, EvaluationReport report) in parts) Part(json, name, report);
        json.WriteEndArray();
    }

    private static void Part(Utf8JsonWriter json, string? name, EvaluationReport report)
    {
        json.WriteStartObject();
        if (name != null) json.WriteString("name", name);
        EvaluationJson.WriteFigures(json, report);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, AxisStudy study)
    {
        json.WriteStartObject();
        json.WriteString("model", study.Model);
        json.WriteNumber("runs", study.Axis.Runs);
        JsonLines.Write(json, "shares", study.Axis.Shares);
        json.WriteNumber("participation_ratio", study.Axis.ParticipationRatio);
        json.WriteStartObject("loadings");
        for (int k = 0; k < study.Axis.Traits.Count; k++) json.WriteNumber(study.Axis.Traits[k], study.Axis.Loadings[k]);
        json.WriteEndObject();
        if (study.LeaveOneOut is { } left)
        {
            json.WriteStartObject("without_one_perturbation");
            foreach (Drift.LeftOutGroup group in left.Groups)
            {
                if (group.Cosine is { } cosine) json.WriteNumber(group.Group, cosine);
                else json.WriteNull(group.Group);
            }

            json.WriteEndObject();
        }

        if (study.Whitened is { } whitened)
        {
            json.WriteStartObject("whitened");
            JsonLines.Write(json, "shares", whitened.Axis.Shares);
            json.WriteNumber("cosine", whitened.Cosine);
            json.WriteEndObject();
        }

        if (study.Native is { } native)
        {
            json.WriteStartObject("native");
            json.WriteNumber("share", native.Share);
            json.WriteNumber("participation_ratio", native.ParticipationRatio);
            if (native.Cosine is { } cosine) json.WriteNumber("cosine", cosine);
            json.WriteNumber("visible_share", native.VisibleShare);
            json.WriteEndObject();
        }

        if (study.Chance is { } chance)
        {
            json.WriteStartObject("isotropic_null");
            json.WriteNumber("draws", chance.Draws);
            json.WriteNumber("mean_share", chance.MeanShare);
            json.WriteNumber("share_95", chance.Share95);
            json.WriteNumber("p_value", chance.PValue);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private static void Key(Utf8JsonWriter json, LabelledObservation c)
    {
        json.WriteString("model", c.Observation.Model);
        json.WriteString("run", c.Observation.Run);
        if (c.Observation.Step.Number is { } number) json.WriteNumber("step", number);
        else json.WriteString("step", c.Observation.Step.ToString());
    }
}
