using System.Globalization;
using System.Text;

namespace EmScan.Engine.Chat;

/// <summary>The methods of str.</summary>
internal static partial class PyTextMethods
{
    public static object? Call(RenderContext context, string text, string name, string callee, CallArguments arguments)
    {
        switch (name)
        {
            case "strip" or "lstrip" or "rstrip":
                return Strip(text, OptionalText(0, 0, "chars"), left: name != "rstrip", right: name != "lstrip");
            case "split" or "rsplit":
                return Split(context, text, arguments.Bind(context, callee, 0, "sep", "maxsplit"), callee, fromRight: name == "rsplit");
            case "splitlines":
                object? keepEnds = arguments.Bind(context, callee, 0, "keepends")[0];
                return ListOf(context, PyText.SplitLines(text, keepEnds != CallArguments.Absent && PyOperators.Truth(keepEnds)));
            case "partition" or "rpartition":
                return Partition(context, text, RequiredText("sep"), fromRight: name == "rpartition");
            case "replace":
                object?[] bound = arguments.Bind(context, callee, 2, "old", "new", "count");
                long count = Integer(context, bound[2], -1, callee);
                return Replace(context, text, Text(context, bound[0], callee), Text(context, bound[1], callee), count);
            case "removeprefix":
                string prefix = RequiredText("prefix");
                return text.StartsWith(prefix, StringComparison.Ordinal) ? text[prefix.Length..] : text;
            case "removesuffix":
                string suffix = RequiredText("suffix");
                return text.EndsWith(suffix, StringComparison.Ordinal) ? text[..^suffix.Length] : text;
            case "startswith" or "endswith":
                object?[] affix = arguments.Bind(context, callee, 1, "affix", "start", "end");
                return StartsOrEnds(context, text, affix, callee, atEnd: name == "endswith");
            case "find" or "rfind" or "index" or "rindex" or "count":
                return Find(context, text, name, arguments.Bind(context, callee, 1, "sub", "start", "end"), callee);
            case "join":
                return Join(context, text, arguments.Bind(context, callee, 1, "iterable")[0], callee);
            case "format": return PyFormat.Braces(context, text, arguments);
            case "center" or "ljust" or "rjust":
                return Pad(context, text, name, arguments.Bind(context, callee, 1, "width", "fillchar"), callee);
            case "zfill":
                return ZeroFill(context, text, Integer(context, arguments.Bind(context, callee, 1, "width")[0], 0, callee));
        }

        arguments.Bind(context, callee, 0);
        return name switch
        {
            "upper" => PyText.Upper(context, text),
            "lower" => PyText.Lower(context, text),
            "casefold" when Ascii.IsValid(text) => text.ToLowerInvariant(),
            "capitalize" => PyText.Capitalize(context, text),
            "title" => PyText.Title(context, text),
            "swapcase" when Ascii.IsValid(text) => string.Concat(text.Select(SwapCase)),
            "isspace" => text.Length > 0 && PyText.IsAllSpace(text),
            "isascii" => Ascii.IsValid(text),
            "isprintable" => PyText.Points(text).All(PyText.IsPrintable),
            "isalpha" => All(text, PyText.IsLetter),
            "isdecimal" => All(text, point => CharUnicodeInfo.GetDecimalDigitValue(point, 0) >= 0),
            "isdigit" => All(text, point => CharUnicodeInfo.GetDigitValue(point, 0) >= 0),
            "isalnum" => All(text, PyText.IsAlphanumeric),
            "islower" => HasCase(context, text, PyText.Lower(context, text)),
            "isupper" => HasCase(context, text, PyText.Upper(context, text)),
            "isidentifier" when Ascii.IsValid(text) =>
                text.Length > 0 && !char.IsAsciiDigit(text[0]) && text.All(c => c == '_' || char.IsAsciiLetterOrDigit(c)),
            _ => throw context.Unsupported($"{callee}{(Ascii.IsValid(text) ? "" : " on text that is not ASCII")}"),
        };

        string RequiredText(string parameter) => Text(context, arguments.Bind(context, callee, 1, parameter)[0], callee);

        string? OptionalText(int required, int index, string parameter) =>
            arguments.Bind(context, callee, required, parameter)[index] is var value && (value is null || value == CallArguments.Absent)
                ? null
                : Text(context, value, callee);
    }

    private static char SwapCase(char c) => char.IsAsciiLetterUpper(c) ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c);

    private static bool All(string text, Func<string, bool> test) => text.Length > 0 && PyText.Points(text).All(test);

    /// <summary>islower and isupper: some character has case, and mapping the case changes nothing.</summary>
    public static bool HasCase(RenderContext context, string text, string mapped)
    {
        context.ChargeRead(text.Length);
        return text == mapped && PyText.Points(text).Any(PyText.IsCased);
    }

    private static string Text(RenderContext context, object? value, string callee) =>
        value as string
        ?? throw (value is PyMarkup ? PyOperators.MarkupUse(context, callee) : context.WrongType($"{callee} needs a string", value));

    private static long Integer(RenderContext context, object? value, long otherwise, string callee)
    {
        if (value == CallArguments.Absent) return otherwise;
        return PyOperators.TryInteger(value, out long integer) ? integer : throw context.WrongType($"{callee} needs an integer", value);
    }

    /// <summary>strip(chars): takes characters of a set, not an affix, off the ends; white space when there is no set.</summary>
    public static string Strip(string text, string? chars, bool left, bool right)
    {
        if (chars is null) return left && right ? PyText.Trim(text) : left ? PyText.TrimStart(text) : PyText.TrimEnd(text);
        if (PyText.IsFlat(chars) && PyText.IsFlat(text)) return StripFlat(text, [.. chars], left, right);
        HashSet<string> set = [.. PyText.Points(chars)];
        string[] points = [.. PyText.Points(text)];
        int start = 0;
        int end = points.Length;
        while (left && start < end && set.Contains(points[start])) start++;
        while (right && end > start && set.Contains(points[end - 1])) end--;
        return string.Concat(points.AsSpan(start, end - start));
    }

    private static string StripFlat(string text, HashSet<char> set, bool left, bool right)
    {
        int start = 0;
        int end = text.Length;
        while (left && start < end && set.Contains(text[start])) start++;
        while (right && end > start && set.Contains(text[end - 1])) end--;
        return text[start..end];
    }

    /// <summary>replace(old, new, count); an empty old stands between all characters; a negative count is no limit.</summary>
    public static string Replace(RenderContext context, string text, string old, string replacement, long count)
    {
        context.ChargeSearch(text, old);
        if (count < 0) count = long.MaxValue;
        var output = new StringBuilder();
        int start = 0;
        if (old.Length == 0)
        {
            foreach (string point in PyText.Points(text).Append(""))
            {
                if (count-- > 0) Append(replacement);
                Append(point);
            }

            return output.ToString();
        }

        while (count-- > 0 && text.IndexOf(old, start, StringComparison.Ordinal) is var at && at >= 0)
        {
            Append(text[start..at]);
            Append(replacement);
            start = at + old.Length;
        }

        Append(text[start..]);
        return output.ToString();

        void Append(string part) => context.Append(output, part);
    }

    /// <summary>The part of a text between two code point bounds, as slicing takes them; null when the start lies behind the end.</summary>
    private static (int Start, int End)? Window(RenderContext context, string text, object? start, object? end, string callee)
    {
        long length = PyText.Length(text);
        long from = Bound(start, 0);
        long to = Math.Min(Bound(end, length), length);
        return from > to ? null : (PyText.UnitIndex(text, from), PyText.UnitIndex(text, to));

        long Bound(object? value, long otherwise)
        {
            long given = value is null ? otherwise : Integer(context, value, otherwise, callee);
            return given < 0 ? Math.Max(given + length, 0) : given;
        }
    }

    private static bool StartsOrEnds(RenderContext context, string text, object?[] bound, string callee, bool atEnd)
    {
        if (bound[0] is PyTuple choices)
        {
            foreach (object? choice in choices.Items)
                if (StartsOrEnds(context, text, [Text(context, choice, callee), bound[1], bound[2]], callee, atEnd)) return true;
            return false;
        }

        string affix = Text(context, bound[0], callee);
        if (Window(context, text, bound[1], bound[2], callee) is not var (start, end)) return false;
        ReadOnlySpan<char> window = text.AsSpan(start, end - start);
        return atEnd ? window.EndsWith(affix, StringComparison.Ordinal) : window.StartsWith(affix, StringComparison.Ordinal);
    }

    private static object Find(RenderContext context, string text, string name, object?[] bound, string callee)
    {
        string sub = Text(context, bound[0], callee);
        context.ChargeSearch(text, sub);
        if (Window(context, text, bound[1], bound[2], callee) is not var (start, end))
            return name switch { "count" => 0L, "find" or "rfind" => -1L, _ => throw context.Error($"{callee} did not find its argument") };
        string window = text[start..end];
        if (name == "count") return CountOf(window, sub);
        int at = name[0] == 'r' ? window.LastIndexOf(sub, StringComparison.Ordinal) : window.IndexOf(sub, StringComparison.Ordinal);
        if (at >= 0) return (long)PyText.Length(text[..(start + at)]);
        return name is "find" or "rfind" ? -1L : throw context.Error($"{callee} did not find its argument");
    }

    private static long CountOf(string text, string sub)
    {
        if (sub.Length == 0) return PyText.Length(text) + 1;
        long count = 0;
        for (int at = 0; (at = text.IndexOf(sub, at, StringComparison.Ordinal)) >= 0; at += sub.Length) count++;
        return count;
    }

    private static string Join(RenderContext context, string separator, object? items, string callee)
    {
        var output = new StringBuilder();
        bool first = true;
        foreach (object? item in PyOperators.Iterate(context, items))
        {
            string part = Text(context, item, callee);
            if (!first) context.Append(output, separator);
            first = false;
            context.Append(output, part);
        }

        return output.ToString();
    }

    /// <summary>center, ljust and rjust; when centring, Python puts the odd blank on the left only if the width is odd.</summary>
    public static string Pad(RenderContext context, string text, string name, object?[] bound, string callee)
    {
        long width = Integer(context, bound[0], 0, callee);
        string fill = bound[1] == CallArguments.Absent ? " " : Text(context, bound[1], callee);
        if (PyText.Length(fill) != 1) throw context.Error($"{callee} needs one character to fill with");
        long missing = width - PyText.Length(text);
        if (missing <= 0) return text;
        context.ChargeText(width);
        int left = (int)(name switch { "ljust" => 0, "rjust" => missing, _ => missing / 2 + (missing & width & 1) });
        string before = new StringBuilder().Insert(0, fill, left).ToString();
        return before + text + new StringBuilder().Insert(0, fill, (int)missing - left);
    }

    private static string ZeroFill(RenderContext context, string text, long width)
    {
        long missing = width - PyText.Length(text);
        if (missing <= 0) return text;
        context.ChargeText(width);
        int sign = text.Length > 0 && text[0] is '+' or '-' ? 1 : 0;
        return text[..sign] + new string('0', (int)missing) + text[sign..];
    }
}
