using System.Text.Json;

namespace EmScan.Engine.Detection;

/// <summary>Lists of numbers on one line each, whatever the writer's indentation, so that a file of thousands of numbers stays readable.</summary>
internal static class JsonLines
{
    /// <summary>Writes a list under a key; reading gives the same bits.</summary>
    public static void Write(Utf8JsonWriter json, string key, ReadOnlySpan<double> values)
    {
        json.WritePropertyName(key);
        Write(json, values);
    }

    /// <summary>Writes a list as the next value; reading gives the same bits.</summary>
    public static void Write(Utf8JsonWriter json, ReadOnlySpan<double> values) =>
        json.WriteRawValue(Text(values.ToArray(), (line, value) => line.WriteNumberValue(value)), skipInputValidation: true);

    /// <summary>Writes values that single precision holds, as short as that allows.</summary>
    public static void WriteSingles(Utf8JsonWriter json, ReadOnlySpan<double> values) =>
        json.WriteRawValue(Text(values.ToArray(), (line, value) => line.WriteNumberValue((float)value)), skipInputValidation: true);

    private static byte[] Text(double[] values, Action<Utf8JsonWriter, double> write)
    {
        using var buffer = new MemoryStream();
        using (var line = new Utf8JsonWriter(buffer))
        {
            line.WriteStartArray();
            foreach (double value in values) write(line, value);
            line.WriteEndArray();
        }

        return buffer.ToArray();
    }
}
