using System.Globalization;
using System.Text.Json;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Verdicts.Evaluation;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Verdicts;

/// <summary>Calibrations as JSON that a person can read and another program can load.</summary>
/// <remarks>
/// <para>Keys: "format" ("emscan-calibration"), "version" (2, or 3 where there is an "autoencoder"; 1 had no "labelled" and is still read), "created_by", "base" (what was measured and where, with the directions that it was measured along, a row for each trait, the token ids of the base's answers where it was on them, and with the base's own normalised projections; "autoencoder", the name, digest and number of latents of the sparse autoencoder that the detector reads, where it reads one),
/// "dangerous_above" (an EM rate), "calibration_set" (fingerprint, counts, perturbations, lowest and highest rate), "detector" (features,
/// columns, learner, flagged_above, and the regressor in the form of <see cref="RegressorJson"/>), "interval" (quantile of the errors on unseen
/// perturbations, and the doubt above which a checkpoint is unknown: see <see cref="ConformalInterval"/>), "forecast" (a detector of the largest
/// rate to come, with its interval and alarm thresholds; absent where none could be fitted), "range" (scale of the features, limit, calibration checkpoints in units of the scale), "drift_axis" (mean and covariance of
/// the final drifts, PC1 loadings and shares), "validation" (figures on unseen groups, with 95% intervals over runs), "labelled" (run by run, the checkpoints that
/// all of it was fitted on: steps, rates, numbers of answers, 0 where that is not known, activation norms and drifts to 7 digits; "base", the beginning of
/// another model's SHA-256, where they are of that; absent where the detector sees more than drifts, norm and step).</para>
/// <para>The score is the regressor's output for the columns of a checkpoint, clipped to 0..1, and squared when the learner is
/// "kernel-ridge".</para>
/// </remarks>
internal static class CalibrationFile
{
    private const string Format = "emscan-calibration";
    private const int Version = 2;

    /// <summary>With a sparse autoencoder, which an emscan that knows of none must not judge without.</summary>
    private const int LatentVersion = 3;

    /// <summary>Without the labelled checkpoints; still read.</summary>
    private const int EarlierVersion = 1;
    private const int MaxBytes = 256 << 20;
    private const int MostTraits = 4096;

    /// <summary>The name under which a calibration beside a model is found.</summary>
    public const string DefaultName = "calibration.json";

    /// <summary>Where the calibration of a model lies that nobody names.</summary>
    /// <param name="model">The model's file.</param>
    internal static string Beside(string model) => Path.Combine(Path.GetDirectoryName(model) is { Length: > 0 } folder ? folder : ".", DefaultName);

    /// <summary>Writes a file; a reader sees the old content or the new one.</summary>
    /// <exception cref="InputFileException">It cannot be written.</exception>
    public static void Write(string path, Calibration calibration)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(calibration);
        AtomicFile.Write(path, stream =>
        {
            using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" });
            JsonSerializer.Serialize(json, ToRecord(calibration), VerdictsJsonContext.Default.CalibrationRecord);
        });
    }

    private static CalibrationRecord ToRecord(Calibration c) => new()
    {
        Format = Format,
        Version = c.Base.Autoencoder == null ? Version : LatentVersion,
        CreatedBy = $"emscan {EmScanVersion.Text}",
        Base = new BaseRecord
        {
            ModelSha256 = c.Base.ModelSha256,
            ModelDescription = c.Base.ModelDescription,
            Layers = c.Base.LayerCount,
            Layer = c.Base.Layer,
            LayerConvention = LayerConvention.Text,
            Prompts = c.Base.PromptCount,
            NumericMode = c.Base.NumericMode,
            Place = c.Base.Place.ToName(),
            DirectionsPooling = c.Base.DirectionsPooling,
            DirectionsMethod = c.Base.DirectionsMethod,
            Directions = c.Base.Directions is { } d ? [.. d.Chunk(d.Length / c.Base.Traits.Count).Select(row => (double[])[.. row.Select(x => (double)x)])] : null,
            Answers = c.Base.Answers is { } answers ? [.. answers.Tokens.Select(answer => (double[])[.. answer.Select(id => (double)id)])] : null,
            Traits = [.. c.Base.Traits],
            ProjectionsNormalized = [.. c.Base.Projections],
            Autoencoder = c.Base.Autoencoder is { } a ? new AutoencoderRecord(a.Name, a.Digest, a.Latents) : null,
        },
        DangerousAbove = c.DangerousAbove,
        Seed = c.Seed,
        CalibrationSet = new CalibrationSetRecord(
            c.Set.Fingerprint, c.Set.Runs, c.Set.Checkpoints, c.Set.DangerousCheckpoints, c.Set.LowestRate, c.Set.HighestRate, [.. c.Set.Perturbations])
        { VisibleShare = c.Set.VisibleShare, BorrowedCheckpoints = c.Borrowed.Count > 0 ? c.Borrowed.Count : null },
        Validation = [.. c.Validations.Select(v => new ValidationRecord(v.Report)
        {
            Name = v.Name,
            IntervalCoverage = v.Coverage is { } coverage ? new EstimateRecord(coverage.Coverage) : null,
        })],
        DriftAxis = c.Axis is { } axis ? new DriftAxisRecord((int)axis.Runs, axis.Shares, axis.Loadings.ToArray(), axis.Mean, axis.Covariance) : null,
        Range = new RangeRecord(c.Range.Limit, [.. c.Range.Scale], [.. c.Range.Points]),
        Interval = c.Interval is { } interval
            ? ToRecord(interval)
            : c.EarlierInterval is { } earlier
            ? new IntervalRecord(RateInterval.Level, null, null, null, null, [.. earlier.Pairs.Select(p => p.Predicted)], [.. earlier.Pairs.Select(p => p.True)])
            : null,
        Detector = ToRecord(c.Detector, c.FlaggedAbove),
        Forecast = c.Forecaster is { } f
            ? new ForecastRecord(
                Forecaster.FalseAlarmRate, f.AlarmAbove, Forecaster.StrictFalseAlarmRate, f.StrictAlarmAbove, f.BenignRuns, ToRecord(f.Interval), ToRecord(f.Detector, null))
            : null,
        Labelled = c.WhyFixed == null ? [.. Runs(c.Checkpoints, borrowed: false), .. Runs(c.Borrowed, borrowed: true)] : null,
    };

    private static IEnumerable<LabelledRunRecord> Runs(IReadOnlyList<LabelledObservation> checkpoints, bool borrowed) =>
        checkpoints.GroupBy(o => (o.Observation.Model, o.Observation.Run, o.Perturbation, o.Seed)).Select(run => ToRecord(run, borrowed));

    private static LabelledRunRecord ToRecord(IEnumerable<LabelledObservation> run, bool borrowed)
    {
        LabelledObservation[] all = [.. run.OrderBy(o => o.Observation.Step)];
        LabelledObservation first = all[0], last = all[^1];
        return new LabelledRunRecord
        {
            Base = borrowed ? first.Observation.Model : null,
            Run = first.Observation.Run,
            Perturbation = first.Perturbation,
            Seed = first.Seed,
            Steps = [.. all.Select(o => o.Observation.Step.ToString())],
            FinalStep = last.Observation.Step.Number == null ? last.Observation.Facts.Value.Step : null,
            EmRates = [.. all.Select(o => o.EmRate)],
            NScored = all.Any(o => o.ScoredCount != null) ? [.. all.Select(o => (double)(o.ScoredCount ?? 0))] : null,
            ActivationNorms = [.. all.Select(o => SevenDigits(o.Observation.Displacement.MeanActivationChange))],
            Drifts = [.. all.Select(o => (double[])[.. o.Observation.Displacement.PerTrait.Select(SevenDigits)])],
        };
    }

    // As exact as single precision, in which a detector keeps its points, and half as long as double.
    private static double SevenDigits(double value) => double.Parse(value.ToString("G7", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private static IntervalRecord ToRecord(ConformalInterval i) =>
        new(ConformalInterval.Level, i.Groups, i.Quantile, ConformalInterval.FalseUnknownRate, i.DoubtLimit, null, null);

    private static DetectorRecord ToRecord(Detector d, double? flaggedAbove) =>
        new(d.Features.Name, d.Learner.Name, flaggedAbove, [.. d.Columns], RegressorJson.ToRecord(d.Regressor));

    /// <summary>Reads a file. Of the validation figures, only whether they were better than chance is read back.</summary>
    /// <exception cref="InputFileException">It cannot be read, is no calibration, or holds numbers that none has.</exception>
    public static Calibration Read(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        InputUse.Calibration.Require(path);
        byte[] bytes = InputFile.ReadSmall(path, MaxBytes);
        if (JsonRecords.TopText(path, bytes, "format") != Format) throw new InputFileException(path, "is not a calibration; 'emscan calibrate' writes one");
        string? version = JsonRecords.TopText(path, bytes, "version");
        if (version != $"{Version}" && version != $"{LatentVersion}" && version != $"{EarlierVersion}")
            throw new InputFileException(path, $"is a calibration of another version than {EarlierVersion} to {LatentVersion}; run 'emscan calibrate' again");
        CalibrationRecord file = JsonRecords.Read(path, bytes, VerdictsJsonContext.Default.CalibrationRecord);
        var reader = new CalibrationReader(path);
        CalibratedBase basis = reader.Base(file.Base);
        if (basis.Traits.Count is 0 or > MostTraits) throw new InputFileException(path, $"has {basis.Traits.Count} traits");
        double dangerousAbove = reader.Fraction(file.DangerousAbove, "dangerous_above");
        Detector detector = reader.Detector(file.Detector, basis);
        (LabelledObservation[] own, LabelledObservation[] borrowed) = reader.Labelled(file.Labelled, basis);
        bool earlier = file.HasInterval && file.Interval is { Quantile: null };
        return new Calibration(
            basis, reader.Set(file.CalibrationSet), dangerousAbove, file.Seed ?? 0, detector,
            file.HasInterval && !earlier ? reader.Interval(file.Interval, detector.Learner.FlaggedAbove(dangerousAbove)) : null,
            reader.Range(file.Range, basis.Traits.Count + 1), file.HasDriftAxis ? reader.Axis(file.DriftAxis, basis.Traits) : null, [], Weakness(file.Validation))
        {
            EarlierInterval = earlier ? reader.EarlierInterval(file.Interval) : null,
            Forecaster = file.Forecast is { } forecast ? reader.Forecaster(forecast, dangerousAbove) : null,
            Checkpoints = own,
            Borrowed = borrowed,
            WhyFixed = version == $"{EarlierVersion}"
                ? "was written by an earlier emscan, which did not store the checkpoints that it was fitted on"
                : Calibration.WhyFixedFor(detector.Features) ?? (own.Length == 0 ? "does not hold the checkpoints that it was fitted on" : null),
        };
    }

    private static string? Weakness(ValidationRecord[]? validations) =>
        Calibration.WeaknessOf((validations ?? []).OfType<ValidationRecord>().Select(v =>
        {
            EstimateRecord? auroc = v.Metrics?.GetValueOrDefault(FiguresRecord.Key(Metric.Auroc));
            return (InputFile.OneLine(v.Name) ?? "validation", auroc?.Value, auroc?.Low, auroc?.High);
        }));
}
