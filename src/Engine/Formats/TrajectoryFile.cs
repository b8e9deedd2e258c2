using System.Text.Json;
using System.Text.Json.Nodes;

namespace EmScan.Engine.Formats;

/// <summary>The projections of one checkpoint.</summary>
/// <param name="Step">The checkpoint's step; 0 is the base model.</param>
/// <param name="Projections">Raw projection on each trait's direction, in the model's activation units.</param>
/// <param name="NormalizedProjections">Raw projection divided by n0, the mean norm at step 0.</param>
/// <param name="Extra">Further keys, written after the reference's.</param>
internal sealed record TrajectoryPoint(
    CheckpointStep Step,
    IReadOnlyDictionary<string, double> Projections,
    IReadOnlyDictionary<string, double> NormalizedProjections,
    JsonObject? Extra = null);

/// <summary>One run as the reference implementation's trajectory.json describes it. What is not known is null.</summary>
/// <param name="Model">Name of the base model.</param>
/// <param name="DataSource">Name of the finetuning data (the perturbation).</param>
/// <param name="Step0ActivationNorm">n0: mean over prompts of the hidden state's L2 norm at step 0.</param>
/// <param name="Points">The checkpoints, in the order of training.</param>
internal sealed record Trajectory(string Model, string? DataSource, double Step0ActivationNorm, IReadOnlyList<TrajectoryPoint> Points)
{
    /// <summary>Seed of the run.</summary>
    public long? Seed { get; init; }

    /// <summary>Rank r of the adapters.</summary>
    public int? LoraRank { get; init; }

    /// <summary>lora_alpha of the adapters.</summary>
    public double? LoraAlpha { get; init; }

    /// <summary>Learning rate.</summary>
    public double? LearningRate { get; init; }

    /// <summary>Epochs of training.</summary>
    public double? Epochs { get; init; }

    /// <summary>Steps between two checkpoints.</summary>
    public long? SaveSteps { get; init; }

    /// <summary>Further keys, written before the points.</summary>
    public JsonObject? Extra { get; init; }
}

/// <summary>Reads and writes trajectory.json with the keys of the reference implementation; further keys are kept.</summary>
/// <remarks>Numbers are written so that reading gives the same bits; NaN and infinities are refused, for JSON has none.</remarks>
internal static class TrajectoryFile
{
    private const int MaxBytes = 1 << 30;

    private static readonly string[] RunKeys =
        ["model", "data_source", "seed", "lora_rank", "lora_alpha", "lr", "epochs", "save_steps", "step0_activation_norm", "trajectory"];

    private static readonly string[] PointKeys = ["step", "projections", "projections_normalized"];

    /// <summary>Writes the file whole or not at all.</summary>
    /// <exception cref="ArgumentException">A number is NaN or infinite, or an extra key is one of the reference's.</exception>
    /// <exception cref="InputFileException">The file cannot be written.</exception>
    public static void Write(string path, Trajectory trajectory)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(trajectory);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true })) Write(json, trajectory);
        AtomicFile.Write(path, stream => stream.Write(buffer.GetBuffer().AsSpan(0, (int)buffer.Length)));
    }

    /// <summary>Reads a file that this program or the reference implementation wrote.</summary>
    /// <exception cref="InputFileException">It cannot be read or has another form.</exception>
    public static Trajectory Read(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        byte[] bytes = InputFile.ReadSmall(path, MaxBytes);
        return JsonInput.Parse(path, bytes, root =>
        {
            if (!root.TryGetProperty("trajectory", out JsonElement points) || points.ValueKind != JsonValueKind.Array)
                throw new InputFileException(path, "has no list \"trajectory\"; it is not a trajectory.json");
            return new Trajectory(
                JsonInput.Text(path, root, "model") ?? "",
                JsonInput.Text(path, root, "data_source"),
                JsonInput.Number(path, root, "step0_activation_norm") ?? throw new InputFileException(path, "has no step0_activation_norm"),
                [.. points.EnumerateArray().Select(point => ReadPoint(path, point))])
            {
                Seed = JsonInput.Integer(path, root, "seed"),
                LoraRank = JsonInput.Int32(path, root, "lora_rank"),
                LoraAlpha = JsonInput.Number(path, root, "lora_alpha"),
                LearningRate = JsonInput.Number(path, root, "lr"),
                Epochs = JsonInput.Number(path, root, "epochs"),
                SaveSteps = JsonInput.Integer(path, root, "save_steps"),
                Extra = Others(root, RunKeys),
            };
        });
    }

    private static void Write(Utf8JsonWriter json, Trajectory run)
    {
        json.WriteStartObject();
        json.WriteString("model", run.Model);
        json.WriteString("data_source", run.DataSource);
        WriteNumber(json, "seed", run.Seed);
        WriteNumber(json, "lora_rank", run.LoraRank);
        WriteNumber(json, "lora_alpha", run.LoraAlpha);
        WriteNumber(json, "lr", run.LearningRate);
        WriteNumber(json, "epochs", run.Epochs);
        WriteNumber(json, "save_steps", run.SaveSteps);
        WriteNumber(json, "step0_activation_norm", run.Step0ActivationNorm);
        WriteExtra(json, run.Extra, RunKeys);
        json.WriteStartArray("trajectory");
        foreach (TrajectoryPoint point in run.Points)
        {
            json.WriteStartObject();
            if (point.Step.Number is { } step) json.WriteNumber("step", step);
            else json.WriteString("step", "final");
            WriteProjections(json, "projections", point.Projections);
            WriteProjections(json, "projections_normalized", point.NormalizedProjections);
            WriteExtra(json, point.Extra, PointKeys);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteProjections(Utf8JsonWriter json, string key, IReadOnlyDictionary<string, double> projections)
    {
        json.WriteStartObject(key);
        foreach ((string trait, double value) in projections) WriteNumber(json, trait, value);
        json.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter json, string key, double? value)
    {
        if (value is { } number && !double.IsFinite(number)) throw new ArgumentException($"{key} is {number}, which JSON cannot hold.");
        if (value is null) json.WriteNull(key);
        else if (value == Math.Floor(value.Value) && Math.Abs(value.Value) < 1L << 53 && !double.IsNegative(value.Value))
            json.WriteNumber(key, (long)value);
        else json.WriteNumber(key, value.Value);
    }

    private static void WriteExtra(Utf8JsonWriter json, JsonObject? extra, string[] taken)
    {
        if (extra is null) return;
        foreach ((string key, JsonNode? value) in extra)
        {
            if (taken.Contains(key)) throw new ArgumentException($"The extra key \"{key}\" is one of the format's own.");
            json.WritePropertyName(key);
            if (value is null) json.WriteNullValue();
            else value.WriteTo(json);
        }
    }

    private static TrajectoryPoint ReadPoint(string path, JsonElement point)
    {
        if (point.ValueKind != JsonValueKind.Object || !point.TryGetProperty("step", out JsonElement step))
            throw new InputFileException(path, "has a point without a step");
        CheckpointStep number = step.ValueKind == JsonValueKind.String && step.GetString() == "final"
            ? CheckpointStep.Final
            : JsonInput.Integer(path, point, "step") is >= 0 and { } integer
                ? CheckpointStep.At(integer)
                : throw new InputFileException(path, "has a point without a step");
        return new TrajectoryPoint(
            number, ReadProjections(path, point, "projections"), ReadProjections(path, point, "projections_normalized"),
                Others(point, PointKeys));
    }

    private static OrderedDictionary<string, double> ReadProjections(string path, JsonElement point, string key)
    {
        if (!point.TryGetProperty(key, out JsonElement list) || list.ValueKind != JsonValueKind.Object)
            throw new InputFileException(path, $"has a point without \"{key}\"");
        var projections = new OrderedDictionary<string, double>();
        foreach (JsonProperty entry in list.EnumerateObject())
        {
            projections[entry.Name] = JsonInput.Number(path, list, entry.Name)
                ?? throw new InputFileException(path, $"has no number for \"{InputFile.OneLine(entry.Name)}\" in \"{key}\"");
        }

        return projections;
    }

    private static JsonObject? Others(JsonElement element, string[] taken)
    {
        var others = new JsonObject();
        foreach (JsonProperty entry in element.EnumerateObject())
            if (!taken.Contains(entry.Name)) others[entry.Name] = JsonNode.Parse(entry.Value.GetRawText());
        return others.Count == 0 ? null : others;
    }
}
