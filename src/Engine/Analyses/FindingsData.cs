using System.Buffers;
using System.Globalization;
using System.Numerics.Tensors;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace EmScan.Engine.Analyses;

/// <summary>Numbers as findings give them: what cannot be formed is null, never 0 or NaN.</summary>
internal static class FindingsData
{
    /// <summary>A number, or null.</summary>
    internal static JsonNode? Number(double? value) => value is { } number && double.IsFinite(number) ? JsonValue.Create(number) : null;

    /// <summary>A correlation of ranks: a ratio of small whole numbers, which six digits say in full.</summary>
    internal static JsonNode? RankCorrelation(double value) => Number(double.Parse(value.ToString("G6", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture));

    /// <summary>Numbers, each of which may be null.</summary>
    internal static JsonArray Numbers(IEnumerable<double> values) => new([.. values.Select(v => Number(v))]);

    /// <summary>Very many numbers, as texts of some seven digits: a node for each would take ten times the memory.</summary>
    internal static JsonNode Many(IEnumerable<double> values)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (double value in values)
            {
                if (float.IsFinite((float)value)) json.WriteNumberValue((float)value);
                else json.WriteNullValue();
            }

            json.WriteEndArray();
        }

        return JsonNode.Parse(buffer.WrittenSpan)!;
    }

    /// <summary>Whole numbers.</summary>
    internal static JsonArray Integers(IEnumerable<int> values) => new([.. values.Select(v => (JsonNode?)JsonValue.Create(v))]);

    /// <summary>Texts.</summary>
    internal static JsonArray Texts(IEnumerable<string> values) => new([.. values.Select(v => (JsonNode?)JsonValue.Create(v))]);

    /// <summary>A value for each name.</summary>
    internal static JsonObject ByName(IReadOnlyList<string> names, IReadOnlyList<double> values) =>
        new(names.Select((name, i) => KeyValuePair.Create(name, Number(values[i]))));

    /// <summary>Cosine of the angle between two vectors, or null where one of them is zero or missing.</summary>
    internal static double? Cosine(double[]? a, double[]? b)
    {
        if (a == null || b == null) return null;
        double norms = TensorPrimitives.Norm<double>(a) * TensorPrimitives.Norm<double>(b);
        return norms > 0 ? TensorPrimitives.Dot<double>(a, b) / norms : null;
    }
}
