using System.Globalization;
using System.Text;

namespace EmScan.Engine.Chat;

/// <summary>
/// Python's view of text: a str is a sequence of code points (a C# string is one of UTF-16 units), with Python's own notions of white
/// space, line ends, case and printability.
/// </summary>
internal static class PyText
{
    /// <summary>str.isspace of one character; C# does not count the four separators U+001C to U+001F.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    public static bool IsAllSpace(ReadOnlySpan<char> text)
    {
        foreach (char c in text)
            if (!IsSpace(c)) return false;
        return true;
    }

    public static string Trim(string text) => TrimStart(TrimEnd(text));

    public static string TrimEnd(string text)
    {
        int end = text.Length;
        while (end > 0 && IsSpace(text[end - 1])) end--;
        return text[..end];
    }

    public static string TrimStart(string text)
    {
        int start = 0;
        while (start < text.Length && IsSpace(text[start])) start++;
        return text[start..];
    }

    /// <summary>True when code points and UTF-16 units coincide, so that indices need no translation.</summary>
    public static bool IsFlat(string text) => !text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF');

    /// <summary>len(text).</summary>
    public static int Length(string text)
    {
        if (IsFlat(text)) return text.Length;
        int count = 0;
        for (int at = 0; at < text.Length; at += PointLength(text, at)) count++;
        return count;
    }

    /// <summary>The characters of a str, each as a str.</summary>
    public static IEnumerable<string> Points(string text)
    {
        for (int at = 0; at < text.Length;)
        {
            int length = PointLength(text, at);
            yield return text.Substring(at, length);
            at += length;
        }
    }

    private static int PointLength(string text, int at) =>
        char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]) ? 2 : 1;

    /// <summary>The UTF-16 index of a code point; the end of the text when there are not that many.</summary>
    public static int UnitIndex(string text, long point)
    {
        if (IsFlat(text)) return (int)Math.Min(point, text.Length);
        int at = 0;
        for (; point > 0 && at < text.Length; point--) at += PointLength(text, at);
        return at;
    }

    /// <summary>Compares by code points, as Python orders strings.</summary>
    public static int Compare(string left, string right)
    {
        int shared = left.AsSpan().CommonPrefixLength(right);
        if (shared == left.Length || shared == right.Length) return left.Length.CompareTo(right.Length);
        char a = left[shared];
        char b = right[shared];
        // Surrogates stand for code points above all other UTF-16 units.
        if (char.IsSurrogate(a) != char.IsSurrogate(b)) return char.IsSurrogate(a) ? 1 : -1;
        return a.CompareTo(b);
    }

    /// <summary>str.splitlines().</summary>
    public static List<string> SplitLines(string text, bool keepEnds)
    {
        var lines = new List<string>();
        int start = 0;
        for (int at = 0; at < text.Length; at++)
        {
            if (text[at] is not ('\n' or '\r' or '\v' or '\f' or '\x1c' or '\x1d' or '\x1e' or '\x85' or '\u2028' or '\u2029')) continue;
            int next = text[at] == '\r' && at + 1 < text.Length && text[at + 1] == '\n' ? at + 2 : at + 1;
            lines.Add(text[start..(keepEnds ? next : at)]);
            start = next;
            at = next - 1;
        }

        if (start < text.Length) lines.Add(text[start..]);
        return lines;
    }

    public static string Upper(RenderContext context, string text) => MapCase(context, text, "upper", Rune.ToUpperInvariant);

    public static string Lower(RenderContext context, string text) => MapCase(context, text, "lower", Rune.ToLowerInvariant);

    /// <summary>str.capitalize(): the first character in title case, the others in lower case.</summary>
    public static string Capitalize(RenderContext context, string text)
    {
        int first = text.Length == 0 ? 0 : PointLength(text, 0);
        return TitleCase(context, text[..first]) + Lower(context, text[first..]);
    }

    /// <summary>str.title(): words are runs of cased characters.</summary>
    public static string Title(RenderContext context, string text)
    {
        var title = new StringBuilder(text.Length);
        bool inWord = false;
        foreach (string point in Points(text))
        {
            title.Append(inWord ? Lower(context, point) : TitleCase(context, point));
            inWord = IsCased(point);
        }

        return title.ToString();
    }

    public static bool IsCased(string point) =>
        CharUnicodeInfo.GetUnicodeCategory(point, 0)
            is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;

    /// <summary>str.isalpha of one character.</summary>
    public static bool IsLetter(string point) =>
        IsCased(point) || CharUnicodeInfo.GetUnicodeCategory(point, 0) is UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter;

    /// <summary>str.isalnum of one character: a letter, or anything with a numeric value.</summary>
    public static bool IsAlphanumeric(string point) => IsLetter(point) || CharUnicodeInfo.GetNumericValue(point, 0) >= 0;

    /// <summary>Title case is upper case but for the digraphs and Georgian, which are refused rather than got wrong.</summary>
    private static string TitleCase(RenderContext context, string point)
    {
        if (point.Length > 0 && point[0] is (>= '\u01C4' and <= '\u01CC') or (>= '\u01F1' and <= '\u01F3') or (>= '\u10D0' and <= '\u10FF'))
            throw context.Unsupported($"the title case of '{point}'");
        return Upper(context, point);
    }

    private static string MapCase(RenderContext context, string text, string mapping, Func<Rune, Rune> map)
    {
        context.ChargeRead(text.Length);
        if (Ascii.IsValid(text)) return mapping == "upper" ? text.ToUpperInvariant() : text.ToLowerInvariant();
        var mapped = new StringBuilder(text.Length);
        foreach (string point in Points(text))
        {
            // .NET maps one character to one; Python's full mapping makes several of these, or looks at the neighbours (sigma).
            if (mapping == "upper" ? HasLongUpperCase(point[0]) : point[0] is '\u0130' or '\u03A3')
                throw context.Unsupported($"the {mapping} case of '{point}'");
            if (Rune.TryGetRuneAt(point, 0, out Rune rune)) mapped.Append(map(rune).ToString());
            else mapped.Append(point);
        }

        return mapped.ToString();
    }

    /// <summary>Characters whose upper case has several characters (Unicode's SpecialCasing), by the ranges they lie in.</summary>
    private static bool HasLongUpperCase(char c) =>
        c is '\u00DF' or '\u0149' or '\u01F0' or '\u0390' or '\u03B0' or '\u0587' or (>= '\u1E96' and <= '\u1E9A')
            or (>= '\u1F50' and <= '\u1F57') or (>= '\u1F80' and <= '\u1FFF') or (>= '\uFB00' and <= '\uFB17');

    /// <summary>repr(text): quoted, with escapes for what Python does not print.</summary>
    public static void AppendRepr(StringBuilder output, string text)
    {
        char quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        output.Append(quote);
        foreach (string point in Points(text))
        {
            int code = point.Length == 2 ? char.ConvertToUtf32(point, 0) : point[0];
            if (code == quote || code == '\\') output.Append('\\').Append(point);
            else if (code == '\n') output.Append("\\n");
            else if (code == '\r') output.Append("\\r");
            else if (code == '\t') output.Append("\\t");
            else if (IsPrintable(point)) output.Append(point);
            else if (code <= 0xFF) output.Append(CultureInfo.InvariantCulture, $"\\x{code:x2}");
            else if (code <= 0xFFFF) output.Append(CultureInfo.InvariantCulture, $"\\u{code:x4}");
            else output.Append(CultureInfo.InvariantCulture, $"\\U{code:x8}");
        }

        output.Append(quote);
    }

    public static bool IsPrintable(string point) =>
        point == " " || CharUnicodeInfo.GetUnicodeCategory(point, 0) is not (UnicodeCategory.Control or UnicodeCategory.Format
            or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
            or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
}
