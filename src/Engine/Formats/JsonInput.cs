using System.Buffers;
using System.Text.Json;

namespace EmScan.Engine.Formats;

/// <summary>Reads JSON objects that the user gave, and says in one sentence what is wrong with them.</summary>
internal static class JsonInput
{
    /// <summary>What is said of a file with a text that is not UTF-8.</summary>
    public const string NotUtf8 = "is not valid JSON: it holds a text that is not UTF-8";

    /// <summary>Parses an object and hands it to <paramref name="read"/>; the object lives as long as the call.</summary>
    /// <exception cref="InputFileException">The bytes are not a JSON object.</exception>
    public static T Parse<T>(string path, byte[] bytes, Func<JsonElement, T> read)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(TextInput.ToUtf8(bytes));
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw new InputFileException(path, "is not a JSON object");
            return read(document.RootElement);
        }
        catch (JsonException failure)
        {
            throw new InputFileException(path, Damage(path, bytes, failure), failure);
        }
        catch (InvalidOperationException failure)
        {
            throw new InputFileException(path, NotUtf8, failure);
        }
    }

    /// <summary>What is wrong with bytes that are no JSON, in our own words: something else altogether, cut off, or where the fault is.</summary>
    public static string Damage(string path, byte[] bytes, JsonException failure)
    {
        RecognisedFile found = RecognisedFile.Of(path);
        if (found.Kind is not (FileKind.Unknown or FileKind.Missing or FileKind.OtherJson or FileKind.OtherText) && bytes.AsSpan().TrimStart(" \t\r\n"u8) is not [(byte)'{', ..])
            return $"is not valid JSON: it is {found.What}";
        if (found.Kind == FileKind.OtherText) return $"is not valid JSON: it is {found.What}";
        string place = $"line {(failure.LineNumber ?? 0) + 1}, byte {(failure.BytePositionInLine ?? 0) + 1} of it";
        long lines = bytes.AsSpan().Count((byte)'\n') + 1;
        return failure.LineNumber + 1 >= lines && failure.BytePositionInLine >= bytes.Length - 1 - bytes.AsSpan().LastIndexOf((byte)'\n')
            ? $"is not valid JSON: it ends too early, at {place}; it was cut off, or is still being written"
            : $"is not valid JSON from {place} on";
    }

    /// <summary>A text, or null when it is absent or null.</summary>
    /// <exception cref="InputFileException">It is something else.</exception>
    public static string? Text(string path, JsonElement element, string key)
    {
        if (!element.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return null;
        return value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : throw new InputFileException(path, $"has a \"{InputFile.OneLine(key)}\" that is not a text");
    }

    /// <summary>A finite number, or null when it is absent or null.</summary>
    /// <exception cref="InputFileException">It is something else.</exception>
    public static double? Number(string path, JsonElement element, string key)
    {
        if (!element.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && double.IsFinite(number)
            ? number
            : throw new InputFileException(path, $"has a \"{InputFile.OneLine(key)}\" that is not a number");
    }

    /// <summary>An integer of at most 53 bits, also when written as 5.0, or null when it is absent or null.</summary>
    /// <exception cref="InputFileException">It is something else.</exception>
    public static long? Integer(string path, JsonElement element, string key)
    {
        if (Number(path, element, key) is not { } number) return null;
        return number == Math.Floor(number) && Math.Abs(number) <= 1L << 53
            ? (long)number
            : throw new InputFileException(path, $"has a \"{InputFile.OneLine(key)}\" that is not an integer");
    }

    /// <summary>An integer of at most 32 bits, or null when it is absent or null.</summary>
    /// <exception cref="InputFileException">It is something else.</exception>
    public static int? Int32(string path, JsonElement element, string key)
    {
        if (Integer(path, element, key) is not { } number) return null;
        return Math.Abs(number) <= int.MaxValue
            ? (int)number
            : throw new InputFileException(path, $"has the absurd value {number} for \"{InputFile.OneLine(key)}\"");
    }

    /// <summary>
    /// Python writes NaN and infinities as bare words, which JSON does not know (a gradient norm in a Trainer's log, for one): gives the
    /// text with null in their places.
    /// </summary>
    public static byte[] WithoutNonFinite(ReadOnlySpan<byte> json)
    {
        var result = new ArrayBufferWriter<byte>(json.Length + 16);
        bool inText = false;
        while (json.Length > 0)
        {
            int word = inText ? 0 : NonFiniteLength(json);
            if (word > 0)
            {
                result.Write("null"u8);
                json = json[word..];
                continue;
            }

            if (json[0] == '"') inText = !inText;
            int length = inText && json[0] == '\\' && json.Length > 1 ? 2 : 1;
            result.Write(json[..length]);
            json = json[length..];
        }

        return result.WrittenSpan.ToArray();
    }

    private static int NonFiniteLength(ReadOnlySpan<byte> json)
    {
        if (json.StartsWith("NaN"u8)) return 3;
        if (json.StartsWith("Infinity"u8)) return 8;
        return json.StartsWith("-Infinity"u8) ? 9 : 0;
    }
}
