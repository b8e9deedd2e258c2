using System.Text;

namespace EmScan.Engine.Chat;

/// <content>Filters of text.</content>
internal static partial class ChatFilters
{
    private static string Center(RenderContext context, object? value, CallArguments arguments)
    {
        object? width = arguments.Bind(context, Callee("center"), 0, "width")[0];
        object?[] padding = [Given(width) ? width : 80L, CallArguments.Absent];
        return PyTextMethods.Pad(context, SoftText(context, "center", value), "center", padding, Callee("center"));
    }

    private static string Format(RenderContext context, object? value, CallArguments arguments)
    {
        if (arguments.Positional.Count > 0 && arguments.Named.Count > 0)
            throw context.Error($"{Callee("format")} takes positional or named arguments, not both");
        string format = SoftText(context, "format", value);
        if (arguments.Named.Count == 0) return PyFormat.Percent(context, format, new PyTuple([.. arguments.Positional]));
        var named = new PyDict();
        foreach (var (key, item) in arguments.Named) named.Set(key, item);
        return PyFormat.Percent(context, format, named);
    }

    private static string Indent(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("indent"), 0, "width", "first", "blank");
        if (value is PyMarkup) throw PyOperators.MarkupUse(context, Callee("indent"));
        if (value is not string text) throw context.WrongType($"{Callee("indent")} needs a string", value);
        string indention = bound[0] as string ?? Spaces(Count(context, "indent", bound[0], 4));
        bool blank = Flag(bound[2]);
        var output = new StringBuilder();
        List<string> lines = PyText.SplitLines(text + "\n", keepEnds: false);
        for (int i = 0; i < lines.Count; i++)
        {
            if (i > 0) context.Append(output, "\n");
            if (i == 0 ? Flag(bound[1]) : blank || lines[i].Length > 0) context.Append(output, indention);
            context.Append(output, lines[i]);
        }

        return output.ToString();

        string Spaces(long width)
        {
            context.ChargeText(width);
            return new string(' ', (int)Math.Max(width, 0));
        }
    }

    private static string Join(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("join"), 0, "d", "attribute");
        string separator = Given(bound[0]) ? PyOperators.Str(context, bound[0]) : "";
        bool byAttribute = Given(bound[1]) && bound[1] is not null;
        var output = new StringBuilder();
        bool first = true;
        foreach (object? item in PyOperators.Iterate(context, value))
        {
            if (!first) context.Append(output, separator);
            first = false;
            context.Append(output, PyOperators.Str(context, byAttribute ? Look(context, item, bound[1], null) : item));
        }

        return output.ToString();
    }

    private static string Replace(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("replace"), 2, "old", "new", "count");
        long count = bound[2] is null ? -1 : Count(context, "replace", bound[2], -1);
        string old = PyOperators.Str(context, bound[0]);
        string replacement = PyOperators.Str(context, bound[1]);
        return PyTextMethods.Replace(context, PyOperators.Str(context, value), old, replacement, count);
    }

    /// <summary>Jinja's title, which is not str.title: words start after white space, a hyphen or an opening bracket.</summary>
    private static string Title(RenderContext context, string text)
    {
        var output = new StringBuilder(text.Length);
        int start = 0;
        while (start < text.Length)
        {
            bool separator = IsSeparator(text[start]);
            int end = start;
            while (end < text.Length && IsSeparator(text[end]) == separator) end++;
            string word = text[start..end];
            int first = PyText.UnitIndex(word, 1);
            output.Append(PyText.Upper(context, word[..first])).Append(PyText.Lower(context, word[first..]));
            start = end;
        }

        return output.ToString();

        static bool IsSeparator(char c) => c is '-' or '(' or '{' or '[' or '<' || PyText.IsSpace(c);
    }

    private static string Trim(RenderContext context, object? value, CallArguments arguments)
    {
        object? chars = arguments.Bind(context, Callee("trim"), 0, "chars")[0];
        string text = SoftText(context, "trim", value);
        if (!Given(chars) || chars is null) return PyText.Trim(text);
        if (chars is not string set) throw context.WrongType($"{Callee("trim")} needs a string", chars);
        return PyTextMethods.Strip(text, set, left: true, right: true);
    }

    private static object WordCount(RenderContext context, object? value)
    {
        long count = 0;
        bool inWord = false;
        foreach (string point in PyText.Points(SoftText(context, "wordcount", value)))
        {
            bool isWord = point == "_" || PyText.IsAlphanumeric(point);
            if (isWord && !inWord) count++;
            inWord = isWord;
        }

        return count;
    }
}
