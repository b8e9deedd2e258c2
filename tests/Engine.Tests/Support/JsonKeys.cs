using System.Text.Json;

namespace EmScan.Engine.Tests.Support;

/// <summary>What keys a JSON text has, and of which kind their values are: one line a key, in the order of the text.</summary>
internal static class JsonKeys
{
    /// <summary>For example "base.layers number" and "validation[].name text"; a key whose values differ in kind has a line for each.</summary>
    internal static string[] Of(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        var lines = new List<string>();
        Walk(document.RootElement, "");
        return [.. lines.Distinct()];

        void Walk(JsonElement value, string at)
        {
            switch (value.ValueKind)
            {
                case JsonValueKind.Object:
                    if (at.Length > 0) lines.Add($"{at} object");
                    foreach (JsonProperty member in value.EnumerateObject()) Walk(member.Value, at.Length == 0 ? member.Name : $"{at}.{member.Name}");
                    break;
                case JsonValueKind.Array:
                    foreach (JsonElement item in value.EnumerateArray()) Walk(item, $"{at}[]");
                    if (value.GetArrayLength() == 0) lines.Add($"{at} empty list");
                    break;
                default:
                    lines.Add($"{at} {Kind(value.ValueKind)}");
                    break;
            }
        }
    }

    private static string Kind(JsonValueKind kind) => kind switch
    {
        JsonValueKind.String => "text",
        JsonValueKind.Number => "number",
        JsonValueKind.Null => "null",
        _ => "true or false",
    };
}
