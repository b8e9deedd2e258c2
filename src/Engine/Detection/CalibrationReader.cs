using System.Text.Json;
using EmScan.Engine.Detection.Features;
using EmScan.Engine.Detection.Regression;
using EmScan.Engine.Drift;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Detection;

/// <summary>The parts of a calibration file, each checked as it is read.</summary>
internal sealed class CalibrationReader(string path)
{
    internal CalibratedBase Base(JsonElement root)
    {
        JsonElement b = Object(root, "base");
        string[] traits = Texts(b, "traits");
        double[] projections = Numbers(b, "projections_normalized");
        if (projections.Length != traits.Length) throw Wrong($"has {projections.Length} projections of the base for {traits.Length} traits");
        if (traits.Distinct().Count() != traits.Length) throw Wrong("names a trait twice");
        return new CalibratedBase(
            Text(b, "model_sha256"), Text(b, "model_description"), Count(b, "layers"), Count(b, "layer"), traits, Count(b, "prompts"), Text(b, "numeric_mode"), projections)
        {
            Place = Place(b),
            DirectionsPooling = JsonInput.Text(path, b, "directions_pooling"),
            Answers = Answers(b),
        };
    }

    // Files from before there were places were made at the last prompt token.
    private MeasuredPlace Place(JsonElement b)
    {
        if (JsonInput.Text(path, b, "place") is not { } name) return MeasuredPlace.LastPromptToken;
        return PlaceNames.TryParse(name, out MeasuredPlace place) ? place : throw Wrong($"has the place '{InputFile.OneLine(name)}', which this emscan does not know");
    }

    private BaseAnswers? Answers(JsonElement b)
    {
        if (!b.TryGetProperty("answers", out _)) return null;
        try
        {
            return new BaseAnswers([.. Array(b, "answers").Select(answer => Row(answer, "answers").Select(TokenId).ToArray())]);
        }
        catch (ArgumentException e)
        {
            throw Wrong($"has \"answers\" that cannot be: {InputFile.OneLine(e.Message)}");
        }
    }

    private int TokenId(double id) =>
        id is >= 0 and <= int.MaxValue && id == Math.Floor(id) ? (int)id : throw Wrong("has \"answers\" that are not token ids");


    internal CalibrationSet Set(JsonElement root)
    {
        JsonElement s = Object(root, "calibration_set");
        return new CalibrationSet(
            Text(s, "fingerprint"), Count(s, "runs"), Count(s, "checkpoints"), Count(s, "dangerous_checkpoints"), Texts(s, "perturbations"),
            Fraction(s, "lowest_em_rate"), Fraction(s, "highest_em_rate"));
    }

    internal Detector Detector(JsonElement root)
    {
        JsonElement d = Object(root, "detector");
        string[] columns = Texts(d, "columns");
        IRegressor regressor = RegressorJson.Read(path, Object(d, "regressor"));
        if (regressor.FeatureCount != columns.Length) throw Wrong($"has a regressor of {regressor.FeatureCount} features for {columns.Length} columns");
        try
        {
            return new Detector(FeatureCatalog.Get(Text(d, "features")), Learner.Get(Text(d, "learner")), columns, regressor);
        }
        catch (EmScanException e) when (e is not InputFileException)
        {
            throw Wrong($"needs another version of emscan: {e.Message}");
        }
    }

    internal RateInterval? Interval(JsonElement root)
    {
        if (!root.TryGetProperty("interval", out _)) return null;
        JsonElement i = Object(root, "interval");
        double[] predicted = Numbers(i, "predicted"), truth = Numbers(i, "true");
        if (predicted.Length != truth.Length || predicted.Length == 0 || predicted.Concat(truth).Any(p => p is < 0 or > 1))
            throw Wrong("has an \"interval\" that is not pairs of rates from 0 to 1");
        return new RateInterval(predicted.Zip(truth));
    }

    internal CalibratedRange Range(JsonElement root, int width)
    {
        JsonElement r = Object(root, "range");
        double[] scale = Numbers(r, "scale");
        double[][] points = [.. Array(r, "checkpoints").Select(row => Row(row, "range"))];
        double limit = Number(r, "limit");
        if (scale.Length != width || points.Length == 0 || points.Any(p => p.Length != width) || !(limit > 0) || scale.Any(s => !(s > 0)))
            throw Wrong($"has a \"range\" that does not fit {width - 1} traits");
        return new CalibratedRange(scale, points, limit);
    }

    internal DriftAxis? Axis(JsonElement root, IReadOnlyList<string> traits)
    {
        if (!root.TryGetProperty("drift_axis", out _)) return null;
        JsonElement a = Object(root, "drift_axis");
        double[] mean = Numbers(a, "mean"), covariance = Numbers(a, "covariance");
        try
        {
            return DriftAxis.FromMoments(traits, Count(a, "runs"), mean, covariance);
        }
        catch (Exception e) when (e is ArgumentException or EmScanException and not InputFileException)
        {
            throw Wrong($"has a \"drift_axis\" that is none: {InputFile.OneLine(e.Message)}");
        }
    }

    internal double Fraction(JsonElement element, string key) =>
        Number(element, key) is var value && value is >= 0 and <= 1 ? value : throw Wrong($"has a \"{key}\" that is not from 0 to 1");

    private int Count(JsonElement element, string key) =>
        JsonInput.Int32(path, element, key) is { } value and >= 0 ? value : throw Wrong($"lacks a count \"{key}\"");

    private double Number(JsonElement element, string key) => JsonInput.Number(path, element, key) ?? throw Wrong($"lacks a number \"{key}\"");

    private string Text(JsonElement element, string key) => JsonInput.Text(path, element, key) ?? throw Wrong($"lacks a text \"{key}\"");

    private JsonElement Object(JsonElement element, string key) =>
        element.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Object ? value : throw Wrong($"lacks an object \"{key}\"");

    private JsonElement.ArrayEnumerator Array(JsonElement element, string key) =>
        element.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : throw Wrong($"lacks a list \"{key}\"");

    private string[] Texts(JsonElement element, string key) =>
        [.. Array(element, key).Select(item => item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Wrong($"has a \"{key}\" that is not a list of texts"))];

    private double[] Numbers(JsonElement element, string key) => [.. Array(element, key).Select(item => Item(item, key))];

    private double[] Row(JsonElement list, string key) =>
        list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray().Select(item => Item(item, key))] : throw Wrong($"has a \"{key}\" that is not a list of numbers");

    private double Item(JsonElement item, string key) =>
        item.ValueKind == JsonValueKind.Number && item.TryGetDouble(out double value) && double.IsFinite(value)
            ? value
            : throw Wrong($"has a \"{key}\" that is not a list of numbers");

    private InputFileException Wrong(string problem) => new(path, problem);
}
