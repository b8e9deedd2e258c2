using System.Text.Json;
using EmScan.Engine.Detection.Regression;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Detection;

/// <summary>Calibrations as JSON that a person can read and another program can load.</summary>
/// <remarks>
/// <para>Keys: "format" ("emscan-calibration"), "version" (1), "created_by", "base" (what was measured and where, with the token ids of the base's answers where it was on them, and with the base's own normalised projections),
/// "dangerous_above" (an EM rate), "calibration_set" (fingerprint, counts, perturbations, lowest and highest rate), "detector" (features,
/// columns, learner, flagged_above, and the regressor in the form of <see cref="RegressorJson"/>), "interval" (out-of-sample pairs of predicted
/// and true rates), "range" (scale of the features, limit, calibration checkpoints in units of the scale), "drift_axis" (mean and covariance of
/// the final drifts, PC1 loadings and shares), "validation" (figures on unseen groups, with 95% intervals over runs).</para>
/// <para>The score is the regressor's output for the columns of a checkpoint, clipped to 0..1, and squared when the learner is
/// "kernel-ridge".</para>
/// </remarks>
public static class CalibrationFile
{
    private const string Format = "emscan-calibration";
    private const int Version = 1;
    private const int MaxBytes = 256 << 20;
    private const int MostTraits = 4096;

    /// <summary>The name under which a calibration beside a model is found.</summary>
    public const string DefaultName = "calibration.json";

    /// <summary>Writes a file; a reader sees the old content or the new one.</summary>
    /// <exception cref="InputFileException">It cannot be written.</exception>
    public static void Write(string path, Calibration calibration)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(calibration);
        AtomicFile.Write(path, stream =>
        {
            using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
            Write(json, calibration);
        });
    }

    private static void Write(Utf8JsonWriter json, Calibration c)
    {
        json.WriteStartObject();
        json.WriteString("format", Format);
        json.WriteNumber("version", Version);
        json.WriteString("created_by", $"emscan {EmScanVersion.Text}");

        json.WriteStartObject("base");
        json.WriteString("model_sha256", c.Base.ModelSha256);
        json.WriteString("model_description", c.Base.ModelDescription);
        json.WriteNumber("layers", c.Base.LayerCount);
        json.WriteNumber("layer", c.Base.Layer);
        json.WriteString("layer_convention", LayerConvention.Text);
        json.WriteNumber("prompts", c.Base.PromptCount);
        json.WriteString("numeric_mode", c.Base.NumericMode);
        json.WriteString("place", c.Base.Place.ToName());
        if (c.Base.DirectionsPooling != null) json.WriteString("directions_pooling", c.Base.DirectionsPooling);
        if (c.Base.Answers is { } answers)
        {
            json.WriteStartArray("answers");
            foreach (int[] answer in answers.Tokens) JsonLines.Write(json, [.. answer.Select(id => (double)id)]);
            json.WriteEndArray();
        }

        Texts(json, "traits", c.Base.Traits);
        JsonLines.Write(json, "projections_normalized", [.. c.Base.Projections]);
        json.WriteEndObject();

        json.WriteNumber("dangerous_above", c.DangerousAbove);
        json.WriteNumber("seed", c.Seed);

        json.WriteStartObject("calibration_set");
        json.WriteString("fingerprint", c.Set.Fingerprint);
        json.WriteNumber("runs", c.Set.Runs);
        json.WriteNumber("checkpoints", c.Set.Checkpoints);
        json.WriteNumber("dangerous_checkpoints", c.Set.DangerousCheckpoints);
        json.WriteNumber("lowest_em_rate", c.Set.LowestRate);
        json.WriteNumber("highest_em_rate", c.Set.HighestRate);
        Texts(json, "perturbations", c.Set.Perturbations);
        json.WriteEndObject();

        json.WriteStartArray("validation");
        foreach (Validation validation in c.Validations) Write(json, validation);
        json.WriteEndArray();

        if (c.Axis is { } axis)
        {
            json.WriteStartObject("drift_axis");
            json.WriteNumber("runs", axis.Runs);
            JsonLines.Write(json, "shares", axis.Shares);
            JsonLines.Write(json, "loadings", axis.Loadings);
            JsonLines.Write(json, "mean", axis.Mean);
            JsonLines.Write(json, "covariance", axis.Covariance);
            json.WriteEndObject();
        }

        json.WriteStartObject("range");
        json.WriteNumber("limit", c.Range.Limit);
        JsonLines.Write(json, "scale", c.Range.Scale);
        json.WriteStartArray("checkpoints");
        foreach (double[] point in c.Range.Points) JsonLines.Write(json, point);
        json.WriteEndArray();
        json.WriteEndObject();

        if (c.Interval is { } interval)
        {
            json.WriteStartObject("interval");
            json.WriteNumber("level", RateInterval.Level);
            JsonLines.Write(json, "predicted", [.. interval.Pairs.Select(p => p.Predicted)]);
            JsonLines.Write(json, "true", [.. interval.Pairs.Select(p => p.True)]);
            json.WriteEndObject();
        }

        json.WriteStartObject("detector");
        json.WriteString("features", c.Detector.Features.Name);
        json.WriteString("learner", c.Detector.Learner.Name);
        json.WriteNumber("flagged_above", c.FlaggedAbove);
        Texts(json, "columns", c.Detector.Columns);
        json.WritePropertyName("regressor");
        RegressorJson.Write(json, c.Detector.Regressor);
        json.WriteEndObject();
        json.WriteEndObject();
        json.Flush();
    }

    private static void Write(Utf8JsonWriter json, Validation validation)
    {
        json.WriteStartObject();
        json.WriteString("name", validation.Name);
        EvaluationJson.WriteFigures(json, validation.Report);
        if (validation.Coverage is { } coverage) EvaluationJson.WriteEstimate(json, "interval_coverage", coverage.Coverage);
        json.WriteEndObject();
    }

    /// <summary>Reads a file. The validation figures are not read back.</summary>
    /// <exception cref="InputFileException">It cannot be read, is no calibration, or holds numbers that none has.</exception>
    public static Calibration Read(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        InputUse.Calibration.Require(path);
        return JsonInput.Parse(path, InputFile.ReadSmall(path, MaxBytes), root =>
        {
            if (JsonInput.Text(path, root, "format") != Format) throw new InputFileException(path, "is not a calibration; 'emscan calibrate' writes one");
            if (JsonInput.Integer(path, root, "version") is not Version)
                throw new InputFileException(path, $"is a calibration of another version than {Version}; run 'emscan calibrate' again");
            var reader = new CalibrationReader(path);
            CalibratedBase basis = reader.Base(root);
            if (basis.Traits.Count is 0 or > MostTraits) throw new InputFileException(path, $"has {basis.Traits.Count} traits");
            double dangerousAbove = reader.Fraction(root, "dangerous_above");
            return new Calibration(
                basis, reader.Set(root), dangerousAbove, JsonInput.Int32(path, root, "seed") ?? 0, reader.Detector(root), reader.Interval(root), reader.Range(root, basis.Traits.Count + 1),
                reader.Axis(root, basis.Traits), []);
        });
    }

    private static void Texts(Utf8JsonWriter json, string key, IEnumerable<string> texts)
    {
        json.WriteStartArray(key);
        foreach (string text in texts) json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
