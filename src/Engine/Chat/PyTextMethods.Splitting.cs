namespace EmScan.Engine.Chat;

/// <content>Methods that take a text apart: split, rsplit, partition and rpartition; the parts of splitlines are made in <see cref="PyText"/>.</content>
internal static partial class PyTextMethods
{
    private static PyList Split(RenderContext context, string text, object?[] bound, string callee, bool fromRight)
    {
        long limit = Integer(context, bound[1], -1, callee);
        if (limit < 0) limit = long.MaxValue;
        bool onSpace = bound[0] is null || bound[0] == CallArguments.Absent;
        if (onSpace) return ListOf(context, fromRight ? RightSplitOnSpace(text, limit) : SplitOnSpace(text, limit));
        string separator = Text(context, bound[0], callee);
        if (separator.Length == 0) throw context.Error($"{callee} needs a separator that is not empty");
        context.ChargeSearch(text, separator);
        var parts = new List<string>();
        if (fromRight)
        {
            int end = text.Length;
            while (parts.Count < limit && end >= separator.Length && text.AsSpan(0, end).LastIndexOf(separator) is var at && at >= 0)
            {
                parts.Add(text[(at + separator.Length)..end]);
                end = at;
            }

            parts.Add(text[..end]);
            parts.Reverse();
            return ListOf(context, parts);
        }

        int start = 0;
        while (parts.Count < limit && text.IndexOf(separator, start, StringComparison.Ordinal) is var at && at >= 0)
        {
            parts.Add(text[start..at]);
            start = at + separator.Length;
        }

        parts.Add(text[start..]);
        return ListOf(context, parts);
    }

    private static List<string> SplitOnSpace(string text, long limit)
    {
        var parts = new List<string>();
        int at = 0;
        while (true)
        {
            while (at < text.Length && PyText.IsSpace(text[at])) at++;
            if (at == text.Length) return parts;
            if (parts.Count == limit)
            {
                parts.Add(text[at..]);
                return parts;
            }

            int start = at;
            while (at < text.Length && !PyText.IsSpace(text[at])) at++;
            parts.Add(text[start..at]);
        }
    }

    private static List<string> RightSplitOnSpace(string text, long limit)
    {
        var parts = new List<string>();
        int end = text.Length;
        while (true)
        {
            while (end > 0 && PyText.IsSpace(text[end - 1])) end--;
            if (end == 0) break;
            if (parts.Count == limit)
            {
                parts.Add(text[..end]);
                break;
            }

            int stop = end;
            while (end > 0 && !PyText.IsSpace(text[end - 1])) end--;
            parts.Add(text[end..stop]);
        }

        parts.Reverse();
        return parts;
    }

    private static PyTuple Partition(RenderContext context, string text, string separator, bool fromRight)
    {
        if (separator.Length == 0) throw context.Error("the separator of a partition is empty");
        context.ChargeSearch(text, separator);
        int at = fromRight ? text.LastIndexOf(separator, StringComparison.Ordinal) : text.IndexOf(separator, StringComparison.Ordinal);
        if (at < 0) return fromRight ? new PyTuple(["", "", text]) : new PyTuple([text, "", ""]);
        return new PyTuple([text[..at], separator, text[(at + separator.Length)..]]);
    }

    private static PyList ListOf(RenderContext context, List<string> parts)
    {
        context.ChargeItems(parts.Count);
        return new PyList([.. parts]);
    }
}
