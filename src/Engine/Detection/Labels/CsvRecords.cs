using System.Text;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Detection.Labels;

/// <summary>One record of a CSV file.</summary>
/// <param name="Line">Line that it starts on, from 1.</param>
/// <param name="Fields">Its fields, unquoted.</param>
internal readonly record struct CsvRecord(int Line, string[] Fields);

/// <summary>
/// Reads CSV as RFC 4180 has it: comma, fields in double quotes where they hold commas, quotes (doubled) or line breaks. Lines end with LF,
/// CRLF or CR; a byte order mark and empty lines are skipped; UTF-8 only. Anything else is refused with its line.
/// </summary>
internal static class CsvRecords
{
    /// <summary>More than a million labelled checkpoints.</summary>
    private const int MaxBytes = 64 << 20;

    private const int MaxFields = 1024;
    private const int MaxFieldLength = 4096;

    /// <summary>Reads a file whole and cuts it into records as they are asked for.</summary>
    /// <exception cref="InputFileException">The file cannot be read, is too large or not UTF-8, or breaks the format.</exception>
    public static IEnumerable<CsvRecord> Read(string path) => Parse(path, Text(path));

    private static string Text(string path)
    {
        string text = TextInput.Read(path, MaxBytes, "labels as CSV");
        return !text.Contains('\0') ? text : throw new InputFileException(path, "is not a text file; labels are read from CSV in UTF-8");
    }

    private static IEnumerable<CsvRecord> Parse(string path, string text)
    {
        var fields = new List<string>();
        int position = 0, line = 1;
        while (position < text.Length)
        {
            int start = line;
            do
            {
                if (fields.Count == MaxFields) throw new InputFileException(path, $"line {start} has more than {MaxFields} fields");
                fields.Add(Field(path, text, ref position, ref line));
            }
            while (Skip(text, ref position, ','));

            EndLine(text, ref position, ref line);
            if (fields is not [{ Length: 0 }]) yield return new CsvRecord(start, [.. fields]);
            fields.Clear();
        }
    }

    /// <summary>Reads one field and stops at the comma or line break behind it.</summary>
    private static string Field(string path, string text, ref int position, ref int line)
    {
        int start = position, startLine = line;
        string field;
        if (!Skip(text, ref position, '"'))
        {
            int length = text.AsSpan(start).IndexOfAny(",\r\n\"");
            position = length < 0 ? text.Length : start + length;
            if (position < text.Length && text[position] == '"')
                throw new InputFileException(path, $"line {line} has a quote inside a field that does not begin with one");
            field = text[start..position];
        }
        else
        {
            field = Quoted(path, text, ref position, ref line);
            if (position < text.Length && text[position] is not (',' or '\r' or '\n'))
                throw new InputFileException(path, $"line {line} has text behind a closing quote");
        }

        if (field.Length <= MaxFieldLength) return field;
        throw new InputFileException(
            path, $"line {startLine} has a field of {field.Length} characters, more than the {MaxFieldLength} that a label can have");
    }

    private static string Quoted(string path, string text, ref int position, ref int line)
    {
        int startLine = line;
        var field = new StringBuilder();
        while (true)
        {
            int length = text.AsSpan(position).IndexOf('"');
            if (length < 0) throw new InputFileException(path, $"line {startLine} opens a quote that is never closed");
            field.Append(text, position, length);
            line += LineBreaks(text.AsSpan(position, length));
            position += length + 1;
            if (!Skip(text, ref position, '"')) return field.ToString();
            field.Append('"');
        }
    }

    private static bool Skip(string text, ref int position, char wanted)
    {
        if (position >= text.Length || text[position] != wanted) return false;
        position++;
        return true;
    }

    private static void EndLine(string text, ref int position, ref int line)
    {
        bool carriageReturn = Skip(text, ref position, '\r');
        if (Skip(text, ref position, '\n') || carriageReturn) line++;
    }

    /// <summary>CRLF is one line break.</summary>
    private static int LineBreaks(ReadOnlySpan<char> text) => text.Count('\n') + text.Count('\r') - text.Count("\r\n");
}
