using System.Text;
using System.Text.Json;

namespace EmScan.Engine.Formats;

/// <summary>Reads JSON Lines files of any length, one object a line, and says in which line something is wrong.</summary>
internal static class JsonLineFile
{
    private const int BufferSize = 1 << 16;

    // More than this in one line is another kind of file.
    private const int LongestLine = 64 << 20;

    /// <summary>Reads the objects of a file one after another; empty lines are left out.</summary>
    /// <param name="path">The file.</param>
    /// <param name="read">Makes of an object what is wanted; what it throws as <see cref="EmScanException"/> gets file and line in front.</param>
    /// <returns>Line numbers, from 1, and values; read while they are asked for.</returns>
    /// <exception cref="InputFileException">The file cannot be read, a line is no JSON object, or <paramref name="read"/> refuses it.</exception>
    internal static IEnumerable<(int Line, T Value)> Read<T>(string path, Func<JsonElement, T> read)
    {
        InputUse.Lines.Require(path);
        using FileStream stream = InputFile.OpenStream(path, BufferSize);
        using var reader = new StreamReader(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true), detectEncodingFromByteOrderMarks: true, BufferSize);
        for (int line = 1; Next(path, reader, line) is { } text; line++)
        {
            if (!string.IsNullOrWhiteSpace(text)) yield return (line, Parse(path, line, text, read));
        }
    }

    /// <summary>The same of a text that is at hand.</summary>
    /// <param name="name">Names it in messages.</param>
    /// <param name="text">The lines.</param>
    /// <param name="read">As there.</param>
    /// <exception cref="InputFileException">As there.</exception>
    internal static IEnumerable<(int Line, T Value)> Of<T>(string name, string text, Func<JsonElement, T> read) =>
        text.Split('\n').Select((line, i) => (Number: i + 1, Text: line)).Where(line => !string.IsNullOrWhiteSpace(line.Text)).Select(line => (line.Number, Parse(name, line.Number, line.Text, read)));

    /// <summary>A text of an object.</summary>
    /// <exception cref="EmScanException">There is no such text.</exception>
    internal static string Text(JsonElement element, string name) => OptionalText(element, name) ?? throw new EmScanException($"it has no text \"{name}\"");

    /// <summary>A text of an object, or null where it has no text of that name.</summary>
    internal static string? OptionalText(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static string? Next(string path, StreamReader reader, int line)
    {
        try
        {
            string? text = reader.ReadLine();
            return text is { Length: > LongestLine } ? throw new InputFileException(path, $"line {line} has {text.Length} characters; one JSON object a line is expected") : text;
        }
        catch (DecoderFallbackException e)
        {
            throw new InputFileException(path, $"line {line} or one behind it is not text in UTF-8; save the file as UTF-8", e);
        }
        catch (Exception e) when (InputFile.IsReadFailure(e))
        {
            throw InputFile.Unreadable(path, e);
        }
    }

    private static T Parse<T>(string path, int line, string text, Func<JsonElement, T> read)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(text);
            return json.RootElement.ValueKind == JsonValueKind.Object ? read(json.RootElement)
                : throw new EmScanException(json.RootElement.ValueKind == JsonValueKind.Array ? "this is a JSON list; write each of its items as a line of its own" : "this is no JSON object");
        }
        catch (JsonException e)
        {
            string advice = line == 1 && text.Trim() is "{" or "[" ? "; one object a line is expected, not one document over several lines" : "";
            throw new InputFileException(path, $"line {line}: this is no JSON object{advice}", e);
        }
        catch (EmScanException e) when (e is not InputFileException)
        {
            throw new InputFileException(path, $"line {line}: {e.Message}", e);
        }
        catch (InvalidOperationException e)
        {
            // A text with half of a surrogate pair.
            throw new InputFileException(path, $"line {line}: it holds a text that is no Unicode", e);
        }
    }
}
