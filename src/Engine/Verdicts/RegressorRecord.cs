using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Verdicts;

/// <summary>A regressor, a transform or a pipeline in a file; "kind" says which keys it has. What they mean: see
/// <see cref="Regression.RegressorJson"/>. Keys are written in this order.</summary>
internal sealed record RegressorRecord
{
    public string? Kind { get; init; }

    public int? FeatureCount { get; init; }

    public string? Output { get; init; }

    [JsonConverter(typeof(FittedIntegersConverter))]
    public int[]? Columns { get; init; }

    [JsonConverter(typeof(FittedListConverter))]
    public double[]? Mean { get; init; }

    [JsonConverter(typeof(FittedRowsConverter))]
    public double[][]? Axes { get; init; }

    public double? TargetMean { get; init; }

    public double? LengthScale { get; init; }

    [JsonConverter(typeof(FittedListConverter))]
    public double[]? Coefficients { get; init; }

    public double? Intercept { get; init; }

    [JsonConverter(typeof(FittedSinglesConverter))]
    public double[][]? Points { get; init; }

    public double? Initial { get; init; }

    public double? Rate { get; init; }

    [JsonConverter(typeof(TreeListConverter))]
    public TreeRecord[]? Trees { get; init; }

    [JsonConverter(typeof(FittedListConverter))]
    public double[]? Loadings { get; init; }

    [JsonConverter(typeof(FittedListConverter))]
    public double[]? Scale { get; init; }

    public RegressorRecord[]? Transforms { get; init; }

    public RegressorRecord? Regressor { get; init; }
}

/// <summary>A tree in a file: five lists with one entry a node.</summary>
internal sealed record TreeRecord(
    [property: JsonConverter(typeof(FittedIntegersConverter))] int[]? Feature,
    [property: JsonConverter(typeof(FittedListConverter))] double[]? Threshold,
    [property: JsonConverter(typeof(FittedIntegersConverter))] int[]? Left,
    [property: JsonConverter(typeof(FittedIntegersConverter))] int[]? Right,
    [property: JsonConverter(typeof(FittedListConverter))] double[]? Value);

/// <summary>A list of fitted numbers, on one line.</summary>
internal sealed class FittedListConverter : ListConverter<double>
{
    internal const string NoNumber = "has a \"{0}\" with an entry that is no number";

    public override void Write(Utf8JsonWriter writer, double[] value, JsonSerializerOptions options) => JsonLines.Write(writer, value);

    protected override double Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options) =>
        NumberConverter.IsNumber(ref reader, out double value) ? value : throw new JsonMismatchException(NoNumber);
}

/// <summary>A list of integers.</summary>
internal sealed class FittedIntegersConverter : ListConverter<int>
{
    public override void Write(Utf8JsonWriter writer, int[] value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (int item in value) writer.WriteNumberValue(item);
        writer.WriteEndArray();
    }

    protected override int Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out int value) ? value : throw new JsonMismatchException(FittedListConverter.NoNumber);
}

/// <summary>Rows of fitted numbers, a line each.</summary>
internal sealed class FittedRowsConverter : ListConverter<double[]>
{
    public override void Write(Utf8JsonWriter writer, double[][] value, JsonSerializerOptions options) =>
        JsonLines.WriteItems(writer, value, (line, row) => JsonLines.Write(line, row));

    protected override double[] Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options) => Row(ref reader, single: false);

    internal static double[] Row(ref Utf8JsonReader reader, bool single)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw new JsonMismatchException("has a \"{0}\" that is not a list");
        var row = new List<double>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (!NumberConverter.IsNumber(ref reader, out double value)) throw new JsonMismatchException(FittedListConverter.NoNumber);

            // The shortest text of a number of single precision is another double than it is itself.
            if (single && !(reader.TryGetSingle(out float narrow) && float.IsFinite(narrow))) throw new JsonMismatchException(FittedListConverter.NoNumber);
            row.Add(single ? reader.GetSingle() : value);
        }

        return [.. row];
    }
}

/// <summary>Rows of numbers of single precision, a line each.</summary>
internal sealed class FittedSinglesConverter : ListConverter<double[]>
{
    public override void Write(Utf8JsonWriter writer, double[][] value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (double[] row in value) JsonLines.WriteSingles(writer, row);
        writer.WriteEndArray();
    }

    protected override double[] Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options) => FittedRowsConverter.Row(ref reader, single: true);
}

/// <summary>Trees, a line each.</summary>
internal sealed class TreeListConverter : ListConverter<TreeRecord>
{
    public override void Write(Utf8JsonWriter writer, TreeRecord[] value, JsonSerializerOptions options) =>
        JsonLines.WriteItems(writer, value, (line, tree) => JsonSerializer.Serialize(line, tree, Info(options)));

    protected override TreeRecord Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.StartObject
            ? JsonSerializer.Deserialize(ref reader, Info(options))!
            : throw new JsonMismatchException($"has a tree {index} that is not an object");

    private static JsonTypeInfo<TreeRecord> Info(JsonSerializerOptions options) => (JsonTypeInfo<TreeRecord>)options.GetTypeInfo(typeof(TreeRecord));
}
