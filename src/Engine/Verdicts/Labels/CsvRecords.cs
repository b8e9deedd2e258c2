using System.Text;
using EmScan.Engine.Formats;
using nietras.SeparatedValues;

namespace EmScan.Engine.Verdicts.Labels;

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

    /// <summary>Reads a file whole.</summary>
    /// <exception cref="InputFileException">The file cannot be read, is too large or not text, or breaks the format.</exception>
    public static IReadOnlyList<CsvRecord> Read(string path)
    {
        string text = TextInput.Read(path, MaxBytes, "labels as CSV");
        if (text.Contains('\0')) throw new InputFileException(path, "is not a text file; labels are read from CSV in UTF-8");
        var records = new List<CsvRecord>();
        int line = 1;
        try
        {
            using SepReader reader = Sep.New(',').Reader(options => options with { HasHeader = false, DisableColCountCheck = true }).FromText(text);
            foreach (SepReader.Row row in reader)
            {
                string[] fields = Fields(path, row, line);
                if (fields is not [{ Length: 0 }]) records.Add(new CsvRecord(line, fields));
                line = row.LineNumberToExcl;
            }
        }
        catch (NotSupportedException tooLong)
        {
            // A record of more than 16 million characters.
            throw new InputFileException(path, $"line {line} opens a quote that is never closed", tooLong);
        }

        return records;
    }

    private static string[] Fields(string path, SepReader.Row row, int line)
    {
        if (row.ColCount > MaxFields) throw new InputFileException(path, $"line {line} has more than {MaxFields} fields");
        var fields = new string[row.ColCount];
        for (int i = 0; i < fields.Length; i++)
        {
            ReadOnlySpan<char> raw = row[i].Span;
            fields[i] = Field(path, raw, line);
            if (fields[i].Length > MaxFieldLength)
            {
                throw new InputFileException(
                    path, $"line {line} has a field of {fields[i].Length} characters, more than the {MaxFieldLength} that a label can have");
            }

            line += LineBreaks(raw);
        }

        return fields;
    }

    /// <summary>Takes a field out of its quotes. Sep cuts at every comma outside quotes and leaves it at that; what RFC 4180 does not allow is
    /// refused here.</summary>
    private static string Field(string path, ReadOnlySpan<char> raw, int line)
    {
        int quote = raw.IndexOf('"');
        if (quote < 0) return raw.ToString();
        if (quote > 0) throw new InputFileException(path, $"line {line} has a quote inside a field that does not begin with one");
        var field = new StringBuilder();
        for (int position = 1; ; position++)
        {
            int length = raw[position..].IndexOf('"');
            if (length < 0) throw new InputFileException(path, $"line {line} opens a quote that is never closed");
            field.Append(raw.Slice(position, length));
            position += length + 1;
            if (position == raw.Length) return field.ToString();
            if (raw[position] != '"') throw new InputFileException(path, $"line {line + LineBreaks(raw[..position])} has text behind a closing quote");
            field.Append('"');
        }
    }

    /// <summary>CRLF is one line break.</summary>
    private static int LineBreaks(ReadOnlySpan<char> text) => text.Count('\n') + text.Count('\r') - text.Count("\r\n");
}
