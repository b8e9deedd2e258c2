using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace EmScan.Engine.Formats;

/// <summary>Reads JSON files into the records that describe them, and says in one sentence what does not fit.</summary>
internal static class JsonRecords
{
    /// <summary>Reads one object. Members that are absent or null are null: whether they may be is for the caller to say.</summary>
    /// <param name="path">The file that the bytes are from, for sentences.</param>
    /// <param name="utf8">The bytes.</param>
    /// <param name="type">The record's generated description.</param>
    /// <exception cref="InputFileException">The bytes are not JSON or not an object, a key is unknown, or a value is of another kind; the
    /// sentence names the key.</exception>
    public static T Read<T>(string path, byte[] utf8, JsonTypeInfo<T> type) where T : class
    {
        return Guarded(path, utf8, text =>
        {
            CheckShape(text, type);
            return JsonSerializer.Deserialize(text, type)!;
        });
    }

    /// <summary>What an object says of itself, before its keys are looked at: the text of a value at its top, null where there is none. For
    /// files that are of another format or version altogether.</summary>
    /// <exception cref="InputFileException">The bytes are not JSON or not an object.</exception>
    public static string? TopText(string path, byte[] utf8, string key) => Guarded(path, utf8, text =>
    {
        Utf8JsonReader reader = Begin(text);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            bool wanted = reader.ValueTextEquals(key);
            reader.Read();
            if (wanted && reader.TokenType is JsonTokenType.String or JsonTokenType.Number)
                return reader.TokenType == JsonTokenType.String ? reader.GetString() : Encoding.UTF8.GetString(reader.ValueSpan);
            reader.Skip();
        }

        return null;
    });

    private static T Guarded<T>(string path, byte[] utf8, Func<byte[], T> read)
    {
        try
        {
            return read(TextInput.ToUtf8(utf8));
        }
        catch (JsonMismatchException mismatch)
        {
            throw new InputFileException(path, mismatch.Sentence, mismatch);
        }
        catch (JsonException failure)
        {
            throw new InputFileException(path, JsonInput.Damage(path, utf8, failure), failure);
        }
        catch (InvalidOperationException failure)
        {
            throw new InputFileException(path, JsonInput.NotUtf8, failure);
        }
    }

    /// <summary>Walks the whole text: syntax first, then keys and the kinds of objects and lists. Values are the converters' to check.</summary>
    private static void CheckShape(ReadOnlySpan<byte> utf8, JsonTypeInfo type)
    {
        Utf8JsonReader reader = Begin(utf8);
        Walk(ref reader, type, "");
    }

    /// <summary>Checks the syntax of the whole, and stands at the start of its object.</summary>
    private static Utf8JsonReader Begin(ReadOnlySpan<byte> utf8)
    {
        var syntax = new Utf8JsonReader(utf8);
        while (syntax.Read())
        {
        }

        var reader = new Utf8JsonReader(utf8);
        reader.Read();
        return reader.TokenType == JsonTokenType.StartObject ? reader : throw new JsonMismatchException("is not a JSON object");
    }

    private static void Walk(ref Utf8JsonReader reader, JsonTypeInfo type, string key)
    {
        if (reader.TokenType == JsonTokenType.Null || type.Kind is JsonTypeInfoKind.None)
        {
            reader.Skip();
            return;
        }

        if (type.Kind == JsonTypeInfoKind.Enumerable)
        {
            if (reader.TokenType != JsonTokenType.StartArray) throw new JsonMismatchException($"lacks a list \"{key}\"");
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) Walk(ref reader, Of(type, type.ElementType!), key);
            return;
        }

        if (reader.TokenType != JsonTokenType.StartObject) throw new JsonMismatchException($"lacks an object \"{key}\"");
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            string name = reader.GetString()!;
            JsonPropertyInfo? property = type.Properties.FirstOrDefault(property => property.Name == name);
            if (property is null && type.Kind != JsonTypeInfoKind.Dictionary)
                throw new JsonMismatchException($"has the unknown key \"{InputFile.OneLine(name)}\"; a newer emscan may have written it");
            reader.Read();
            if (property?.CustomConverter is null) Walk(ref reader, Of(type, property?.PropertyType ?? type.ElementType!), name);
            else reader.Skip();
        }
    }

    private static JsonTypeInfo Of(JsonTypeInfo context, Type type) => context.Options.GetTypeInfo(type);
}

/// <summary>A value that is not of the kind that its key asks for.</summary>
/// <param name="predicate">What is said of the file, with {0} where the key belongs.</param>
internal sealed class JsonMismatchException(string predicate) : JsonException(predicate)
{
    /// <summary>The predicate with its key.</summary>
    public string Sentence
    {
        get
        {
            string key = (Path ?? "")[((Path ?? "").LastIndexOf('.') + 1)..];
            int index = key.IndexOf('[', StringComparison.Ordinal);
            return Message.Replace("{0}", InputFile.OneLine(index < 0 ? key : key[..index]), StringComparison.Ordinal);
        }
    }
}
