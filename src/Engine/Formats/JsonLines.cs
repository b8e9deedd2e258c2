using System.Buffers;
using System.Text;
using System.Text.Json;

namespace EmScan.Engine.Formats;

/// <summary>Lists on one line each, whatever the writer's indentation, so that a file of thousands of numbers stays readable.</summary>
internal static class JsonLines
{
    /// <summary>Writes a list as the next value; reading gives the same bits.</summary>
    public static void Write(Utf8JsonWriter json, ReadOnlySpan<double> values)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var line = new Utf8JsonWriter(buffer))
        {
            line.WriteStartArray();
            foreach (double value in values) line.WriteNumberValue(value);
            line.WriteEndArray();
        }

        json.WriteRawValue(buffer.WrittenSpan, skipInputValidation: true);
    }

    /// <summary>Writes a list of texts as the next value.</summary>
    public static void Write(Utf8JsonWriter json, IEnumerable<string> texts)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var line = new Utf8JsonWriter(buffer))
        {
            line.WriteStartArray();
            foreach (string text in texts) line.WriteStringValue(text);
            line.WriteEndArray();
        }

        json.WriteRawValue(buffer.WrittenSpan, skipInputValidation: true);
    }

    /// <summary>Writes values that single precision holds, as short as that allows.</summary>
    public static void WriteSingles(Utf8JsonWriter json, ReadOnlySpan<double> values)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var line = new Utf8JsonWriter(buffer))
        {
            line.WriteStartArray();
            foreach (double value in values) line.WriteNumberValue((float)value);
            line.WriteEndArray();
        }

        json.WriteRawValue(buffer.WrittenSpan, skipInputValidation: true);
    }

    /// <summary>Writes a list whose items are a line each when the writer indents.</summary>
    public static void WriteItems<T>(Utf8JsonWriter json, IReadOnlyList<T> items, Action<Utf8JsonWriter, T> write)
    {
        JsonWriterOptions options = json.Options;
        int size = options.Indented ? options.IndentSize : 0;
        string margin = (options.Indented ? options.NewLine : "") + new string(options.IndentCharacter, size * json.CurrentDepth);
        string indent = new(options.IndentCharacter, size);
        var buffer = new ArrayBufferWriter<byte>();
        for (int i = 0; i < items.Count; i++)
        {
            Encoding.UTF8.GetBytes($"{(i == 0 ? '[' : ',')}{margin}{indent}", buffer);
            using var line = new Utf8JsonWriter(buffer);
            write(line, items[i]);
        }

        Encoding.UTF8.GetBytes(items.Count == 0 ? "[]" : $"{margin}]", buffer);
        json.WriteRawValue(buffer.WrittenSpan, skipInputValidation: true);
    }
}
