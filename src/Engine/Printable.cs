using System.Globalization;
using System.Text;

namespace EmScan.Engine;

/// <summary>Makes text of unknown origin (names of folders, keys of files) safe to print: one line, and nothing that steers a terminal.</summary>
internal static class Printable
{
    /// <summary>The text with control characters, line separators and marks of writing direction written as escapes (\n, \t, \x1b, \u202e).</summary>
    /// <remarks>Gives the same instance back where there is nothing to escape, which is nearly always. Thread safe.</remarks>
    public static string Of(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int first = 0;
        while (first < text.Length && !Steers(text[first])) first++;
        if (first == text.Length) return text;
        var escaped = new StringBuilder(text, 0, first, text.Length + 16);
        foreach (char c in text.AsSpan(first))
        {
            if (!Steers(c)) escaped.Append(c);
            else if (c == '\n') escaped.Append("\\n");
            else if (c == '\r') escaped.Append("\\r");
            else if (c == '\t') escaped.Append("\\t");
            else if (c < 0x100) escaped.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
            else escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
        }

        return escaped.ToString();
    }

    /// <summary>The same for a cell of a table that a spreadsheet may open: what begins like a formula (= + - @, also in full width) gets an
    /// apostrophe before it, which spreadsheets take as "this is text".</summary>
    internal static string Cell(string text) => NoFormula(Of(text));

    /// <summary>The text as it is, with an apostrophe before it where it begins like a formula; <see cref="FromCell"/> takes it away.</summary>
    internal static string NoFormula(string text) => BeginsFormula(text) ? "'" + text : text;

    /// <summary>What <see cref="NoFormula"/> was given.</summary>
    internal static string FromCell(string text) => text is ['\'', .. var rest] && BeginsFormula(rest) ? rest : text;

    private static bool BeginsFormula(string text) =>
        text is ['=' or '+' or '-' or '@' or '\uFF1D' or '\uFF0B' or '\uFF0D' or '\uFF20', ..];

    // C0, DEL, C1; line and paragraph separator; embeddings, overrides and isolates of writing direction.
    internal static bool Steers(char c) => char.IsControl(c) || c is '\u2028' or '\u2029' or (>= '\u202A' and <= '\u202E') or (>= '\u2066' and <= '\u2069');
}
