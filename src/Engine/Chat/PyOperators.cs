namespace EmScan.Engine.Chat;

/// <summary>Python's operators on template values: truth, equality, order, arithmetic, membership, iteration, str and repr.</summary>
/// <remarks>All of them throw <see cref="ChatTemplateException"/> where Python raises. Walks through nested values are counted against
/// the limits of the rendering, because shared sublists make values whose text is exponentially larger than their memory.</remarks>
internal static partial class PyOperators
{
    /// <summary>Python's name of a value's type.</summary>
    public static string TypeName(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        long => "int",
        double => "float",
        string => "str",
        PyList => "list",
        PyTuple => "tuple",
        PyDict => "dict",
        PyMarkup => "Markup",
        PyUndefined => "Undefined",
        PyNamespace => "Namespace",
        PyRange => "range",
        PyView view => $"dict_{view.Kind}",
        PyIterator => "generator",
        Macro => "Macro",
        LoopContext => "LoopContext",
        _ => "function",
    };

    public static bool Truth(object? value) => value switch
    {
        null or PyUndefined => false,
        bool flag => flag,
        long number => number != 0,
        double number => number != 0,
        string text => text.Length > 0,
        PyMarkup markup => markup.Text.Length > 0,
        PyList list => list.Items.Length > 0,
        PyTuple tuple => tuple.Items.Length > 0,
        PyDict dict => dict.Count > 0,
        PyRange range => range.Count > 0,
        PyView view => view.Dict.Count > 0,
        _ => true,
    };

    /// <summary>len(value), or null where Python has none.</summary>
    public static long? TryLength(object? value) => value switch
    {
        string text => PyText.Length(text),
        PyMarkup markup => PyText.Length(markup.Text),
        PyList list => list.Items.Length,
        PyTuple tuple => tuple.Items.Length,
        PyDict dict => dict.Count,
        PyRange range => range.Count,
        PyView view => view.Dict.Count,
        PyUndefined => 0,
        LoopContext loop => loop.Length,
        _ => null,
    };

    /// <summary>The items that a for loop sees, or null where Python has none.</summary>
    public static IEnumerable<object?>? TryIterate(object? value) => value switch
    {
        string text => PyText.Points(text),
        PyMarkup markup => PyText.Points(markup.Text),
        PyList list => list.Items,
        PyTuple tuple => tuple.Items,
        PyDict dict => dict.Entries.Select(entry => entry.Key),
        PyRange range => Enumerable.Range(0, (int)range.Count).Select(i => (object?)range.At(i)),
        PyView view => view.Items,
        PyIterator iterator => iterator.Remaining(),
        PyUndefined => [],
        _ => null,
    };

    public static IEnumerable<object?> Iterate(RenderContext context, object? value) =>
        TryIterate(value) is { } items
            ? Counted(context, items)
            : throw (value is LoopContext
                ? context.Unsupported("taking the items of a loop by its variable 'loop'")
                : context.Error($"a value of type '{TypeName(value)}' cannot be iterated"));

    /// <summary>list(value) as an array.</summary>
    public static object?[] ToArray(RenderContext context, object? value)
    {
        context.ChargeItems(TryLength(value) ?? 0);
        return value switch
        {
            PyList list => list.Items,
            PyTuple tuple => tuple.Items,
            _ => [.. Iterate(context, value)],
        };
    }

    private static IEnumerable<object?> Counted(RenderContext context, IEnumerable<object?> items)
    {
        foreach (object? item in items)
        {
            context.Step();
            yield return item;
        }
    }

    public static bool TryNumber(object? value, out double number)
    {
        (bool known, number) = value switch
        {
            bool flag => (true, flag ? 1 : 0),
            long integer => (true, integer),
            double real => (true, real),
            _ => (false, 0),
        };
        return known;
    }

    public static bool TryInteger(object? value, out long integer)
    {
        (bool known, integer) = value switch
        {
            bool flag => (true, flag ? 1L : 0L),
            long number => (true, number),
            _ => (false, 0L),
        };
        return known;
    }

    /// <summary>The text of a str or of what a filter marked as safe; null for everything else.</summary>
    public static string? AsText(object? value) => value as string ?? (value as PyMarkup)?.Text;
}
