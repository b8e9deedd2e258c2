using System.Text.Json;
using System.Text.Json.Serialization;

namespace EmScan.Engine.Formats;

/// <summary>A finite number.</summary>
internal sealed class NumberConverter : JsonConverter<double>
{
    public override double Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        IsNumber(ref reader, out double value) ? value : throw new JsonMismatchException("has a \"{0}\" that is not a number");

    public override void Write(Utf8JsonWriter writer, double value, JsonSerializerOptions options) => writer.WriteNumberValue(value);

    internal static bool IsNumber(ref Utf8JsonReader reader, out double value)
    {
        value = 0;
        return reader.TokenType == JsonTokenType.Number && reader.TryGetDouble(out value) && double.IsFinite(value);
    }
}

/// <summary>An integer of at most 32 bits, also when written as 5.0.</summary>
internal sealed class IntegerConverter : JsonConverter<int>
{
    public override int Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (!NumberConverter.IsNumber(ref reader, out double value)) throw new JsonMismatchException("has a \"{0}\" that is not a number");
        return value == Math.Floor(value) && Math.Abs(value) <= int.MaxValue
            ? (int)value
            : throw new JsonMismatchException("has a \"{0}\" that is not an integer of 32 bits");
    }

    public override void Write(Utf8JsonWriter writer, int value, JsonSerializerOptions options) => writer.WriteNumberValue(value);
}

/// <summary>A text.</summary>
internal sealed class TextConverter : JsonConverter<string>
{
    public override string? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String ? reader.GetString() : throw new JsonMismatchException("has a \"{0}\" that is not a text");

    public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WriteStringValue(value);

    public override string ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetString()!;

    public override void WriteAsPropertyName(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WritePropertyName(value);
}

/// <summary>A list that is read item by item; null where there is no list at all.</summary>
internal abstract class ListConverter<T> : JsonConverter<T[]>
{
    public sealed override T[]? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            reader.Skip();
            return null;
        }

        var items = new List<T>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) items.Add(Item(ref reader, items.Count, options));
        return [.. items];
    }

    /// <summary>Reads one item at the reader's token, and leaves the reader at its end.</summary>
    protected abstract T Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options);
}

/// <summary>A list of texts.</summary>
internal class TextListConverter : ListConverter<string>
{
    public override void Write(Utf8JsonWriter writer, string[] value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (string text in value) writer.WriteStringValue(text);
        writer.WriteEndArray();
    }

    protected override string Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw new JsonMismatchException("has a \"{0}\" that is not a list of texts");
}

/// <summary>A list of short texts, on one line.</summary>
internal sealed class TextLineConverter : TextListConverter
{
    public override void Write(Utf8JsonWriter writer, string[] value, JsonSerializerOptions options) => JsonLines.Write(writer, value);
}

/// <summary>A list of numbers, on one line.</summary>
internal sealed class NumberListConverter : ListConverter<double>
{
    public override void Write(Utf8JsonWriter writer, double[] value, JsonSerializerOptions options) => JsonLines.Write(writer, value);

    protected override double Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options) =>
        NumberConverter.IsNumber(ref reader, out double value) ? value : throw new JsonMismatchException("has a \"{0}\" that is not a list of numbers");
}

/// <summary>A list of lists of numbers; an inner list is a line.</summary>
internal sealed class NumberRowsConverter : ListConverter<double[]>
{
    private const string Mismatch = "has a \"{0}\" that is not a list of numbers";

    public override void Write(Utf8JsonWriter writer, double[][] value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (double[] row in value) JsonLines.Write(writer, row);
        writer.WriteEndArray();
    }

    protected override double[] Item(ref Utf8JsonReader reader, int index, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw new JsonMismatchException(Mismatch);
        var numbers = new List<double>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            numbers.Add(NumberConverter.IsNumber(ref reader, out double value) ? value : throw new JsonMismatchException(Mismatch));
        return [.. numbers];
    }
}
