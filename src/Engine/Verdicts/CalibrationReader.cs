using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Traits;
using EmScan.Engine.Verdicts.Features;
using EmScan.Engine.Verdicts.Regression;

namespace EmScan.Engine.Verdicts;

/// <summary>The parts of a calibration file, each checked as it is taken over.</summary>
internal sealed class CalibrationReader(string path)
{
    internal CalibratedBase Base(BaseRecord? file)
    {
        BaseRecord b = Object(file, "base");
        string[] traits = List(b.Traits, "traits");
        double[] projections = List(b.ProjectionsNormalized, "projections_normalized");
        if (projections.Length != traits.Length) throw Wrong($"has {projections.Length} projections of the base for {traits.Length} traits");
        if (traits.Distinct().Count() != traits.Length) throw Wrong("names a trait twice");
        return new CalibratedBase(
            Text(b.ModelSha256, "model_sha256"), Text(b.ModelDescription, "model_description"), Count(b.Layers, "layers"), Count(b.Layer, "layer"), traits,
            Count(b.Prompts, "prompts"), Text(b.NumericMode, "numeric_mode"), projections)
        {
            Place = Place(b.Place),
            DirectionsPooling = b.DirectionsPooling,
            DirectionsMethod = b.DirectionsMethod,
            Directions = Directions(b.Directions, traits, Count(b.Layer, "layer")),
            Answers = Answers(b.Answers),
            Autoencoder = b.Autoencoder is { } a ? new CalibratedAutoencoder(Text(a.Name, "name"), Text(a.Digest, "digest"), Count(a.Latents, "latents")) : null,
        };
    }

    internal CalibrationSet Set(CalibrationSetRecord? file)
    {
        CalibrationSetRecord s = Object(file, "calibration_set");
        return new CalibrationSet(
            Text(s.Fingerprint, "fingerprint"), Count(s.Runs, "runs"), Count(s.Checkpoints, "checkpoints"), Count(s.DangerousCheckpoints, "dangerous_checkpoints"),
            List(s.Perturbations, "perturbations"), Fraction(s.LowestEmRate, "lowest_em_rate"), Fraction(s.HighestEmRate, "highest_em_rate"))
        {
            VisibleShare = s.VisibleShare == null ? null : Fraction(s.VisibleShare, "visible_share"),
        };
    }

    /// <summary>The detector of a calibration, with the autoencoder that it needs.</summary>
    internal Detector Detector(DetectorRecord? file, CalibratedBase basis)
    {
        Detector detector = Detector(file);
        int latents = detector.Features.IsOfLatents ? detector.Columns.Count : 0;
        return latents == (basis.Autoencoder?.Latents ?? 0) ? detector
            : throw Wrong($"has a detector of {latents} latents and an \"autoencoder\" of {basis.Autoencoder?.Latents ?? 0}");
    }

    private Detector Detector(DetectorRecord? file)
    {
        DetectorRecord d = Object(file, "detector");
        string[] columns = List(d.Columns, "columns");
        IRegressor regressor = RegressorJson.FromRecord(path, Object(d.Regressor, "regressor"));
        if (regressor.FeatureCount != columns.Length) throw Wrong($"has a regressor of {regressor.FeatureCount} features for {columns.Length} columns");
        try
        {
            return new Detector(FeatureCatalog.Get(Text(d.Features, "features")), Learner.Get(Text(d.Learner, "learner")), columns, regressor);
        }
        catch (EmScanException e) when (e is not InputFileException)
        {
            throw Wrong($"needs another version of emscan: {e.Message}");
        }
    }

    internal ConformalInterval Interval(IntervalRecord? file, double flaggedAbove)
    {
        IntervalRecord i = Object(file, "interval");
        double quantile = Number(i.Quantile, "quantile");
        if (!(quantile >= 0) || i.UnknownAbove is <= 0) throw Wrong("has an \"interval\" with a negative quantile or doubt");
        return new ConformalInterval(quantile, i.UnknownAbove, flaggedAbove, Count(i.Groups, "groups"));
    }

    internal Forecaster Forecaster(ForecastRecord f, double flaggedAbove) => new(
        Detector(f.Detector), Interval(f.Interval, flaggedAbove), Threshold(f.AlarmAbove, "alarm_above"), Threshold(f.StrictAlarmAbove, "strict_alarm_above"),
        Count(f.BenignRuns, "benign_runs"));

    private double? Threshold(double? value, string key) => value is null ? null : Fraction(value, key);

    internal RateInterval EarlierInterval(IntervalRecord? file)
    {
        IntervalRecord i = Object(file, "interval");
        double[] predicted = List(i.Predicted, "predicted"), truth = List(i.True, "true");
        if (predicted.Length != truth.Length || predicted.Length == 0 || predicted.Concat(truth).Any(p => p is < 0 or > 1))
            throw Wrong("has an \"interval\" that is not pairs of rates from 0 to 1");
        return new RateInterval(predicted.Zip(truth));
    }

    internal CalibratedRange Range(RangeRecord? file, int width)
    {
        RangeRecord r = Object(file, "range");
        double[] scale = List(r.Scale, "scale");
        double[][] points = List(r.Checkpoints, "checkpoints");
        double limit = Number(r.Limit, "limit");
        if (scale.Length != width || points.Length == 0 || points.Any(p => p.Length != width) || !(limit > 0) || scale.Any(s => !(s > 0)))
            throw Wrong($"has a \"range\" that does not fit {width - 1} traits");
        return new CalibratedRange(scale, points, limit);
    }

    internal DriftAxis Axis(DriftAxisRecord? file, IReadOnlyList<string> traits)
    {
        DriftAxisRecord a = Object(file, "drift_axis");
        double[] mean = List(a.Mean, "mean"), covariance = List(a.Covariance, "covariance");
        try
        {
            return DriftAxis.FromMoments(traits, Count(a.Runs, "runs"), mean, covariance);
        }
        catch (Exception e) when (e is ArgumentException or EmScanException and not InputFileException)
        {
            throw Wrong($"has a \"drift_axis\" that is none: {InputFile.OneLine(e.Message)}");
        }
    }

    /// <summary>The checkpoints that it was fitted on: of its own base, and of others.</summary>
    internal (LabelledObservation[] Own, LabelledObservation[] Borrowed) Labelled(LabelledRunRecord[]? file, CalibratedBase basis)
    {
        var own = new List<LabelledObservation>();
        var borrowed = new List<LabelledObservation>();
        foreach (LabelledRunRecord? run in file ?? []) (run?.Base == null ? own : borrowed).AddRange(Labelled(Object(run, "labelled"), basis));
        if (borrowed.Count > 0 && own.Count == 0) throw Wrong("has \"labelled\" checkpoints of other bases only");
        return ([.. own], [.. borrowed]);
    }

    private IEnumerable<LabelledObservation> Labelled(LabelledRunRecord run, CalibratedBase basis)
    {
        string name = Text(run.Run, "run"), perturbation = Text(run.Perturbation, "perturbation");
        string[] steps = List(run.Steps, "steps");
        double[] rates = List(run.EmRates, "em_rates"), norms = List(run.ActivationNorms, "activation_norms");
        double[][] drifts = List(run.Drifts, "drifts");
        int[] lengths = [rates.Length, norms.Length, drifts.Length, run.NScored?.Length ?? steps.Length];
        if (steps.Length == 0 || lengths.Any(l => l != steps.Length)) throw Wrong($"has lists of different lengths for the labelled run '{InputFile.OneLine(name)}'");
        for (int i = 0; i < steps.Length; i++)
        {
            CheckpointStep step = steps[i] == CheckpointStep.Final.ToString() ? CheckpointStep.Final
                : long.TryParse(steps[i], NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? CheckpointStep.At(number)
                : throw Wrong($"has a step '{InputFile.OneLine(steps[i])}' that is neither a number nor final");
            if (drifts[i].Length != basis.Traits.Count || norms[i] < 0) throw Wrong($"has a labelled checkpoint that does not fit {basis.Traits.Count} traits");
            long? at = step.Number ?? (run.FinalStep is { } final ? Whole(final, "final_step") : null);
            var facts = new AdapterFacts(new Dictionary<string, double>(), double.NaN, at, null);
            yield return new LabelledObservation(
                new Observation(run.Base ?? basis.Identity, name, step, basis.Traits, Displacement.Stored(drifts[i], norms[i]), new Lazy<AdapterFacts>(facts)),
                Fraction(rates[i], "em_rates"), perturbation, run.Seed)
            {
                ScoredCount = run.NScored?[i] is { } scored and not 0 ? Whole(scored, "n_scored") : null,
            };
        }
    }

    private long Whole(double value, string key) =>
        value is >= 0 and < 1L << 53 && value == Math.Floor(value) ? (long)value : throw Wrong($"has a \"{key}\" that is no count");

    internal double Fraction(double? value, string key) =>
        Number(value, key) is >= 0 and <= 1 and var fraction ? fraction : throw Wrong($"has a \"{key}\" that is not from 0 to 1");

    // Files from before there were places were made at the last prompt token.
    private MeasuredPlace Place(string? name)
    {
        if (name is null) return MeasuredPlace.LastPromptToken;
        return PlaceNames.TryParse(name, out MeasuredPlace place) ? place : throw Wrong($"has the place '{InputFile.OneLine(name)}', which this emscan does not know");
    }

    private float[]? Directions(double[][]? rows, string[] traits, int layer)
    {
        if (rows is null) return null;
        float[] all = [.. rows.SelectMany(row => row.Select(x => (float)x))];
        int width = rows.Length == 0 ? 0 : rows[0].Length;
        if (rows.Length != traits.Length || rows.Any(row => row.Length != width)) throw Wrong($"has \"directions\" that are not one of the same width for each of {traits.Length} traits");
        return DirectionSet.Check(traits, width, new Dictionary<int, float[]> { [layer] = all }, out _) is { } problem ? throw Wrong($"has \"directions\" that are none: {problem}") : all;
    }

    private BaseAnswers? Answers(double[][]? file)
    {
        if (file is null) return null;
        try
        {
            return new BaseAnswers([.. file.Select(answer => answer.Select(TokenId).ToArray())]);
        }
        catch (ArgumentException e)
        {
            throw Wrong($"has \"answers\" that cannot be: {InputFile.OneLine(e.Message)}");
        }
    }

    private int TokenId(double id) =>
        id is >= 0 and <= int.MaxValue && id == Math.Floor(id) ? (int)id : throw Wrong("has \"answers\" that are not token ids");

    private int Count(int? value, string key) => value is >= 0 and var count ? count : throw Wrong($"lacks a count \"{key}\"");

    private double Number(double? value, string key) => value ?? throw Wrong($"lacks a number \"{key}\"");

    private string Text(string? value, string key) => value ?? throw Wrong($"lacks a text \"{key}\"");

    private T[] List<T>(T[]? value, string key) => value ?? throw Wrong($"lacks a list \"{key}\"");

    private T Object<T>([NotNull] T? value, string key) where T : class => value ?? throw Wrong($"lacks an object \"{key}\"");

    private InputFileException Wrong(string problem) => new(path, problem);
}
