namespace EmScan.Engine.Chat;

/// <summary>The filters of Jinja, with transformers' own tojson.</summary>
internal static partial class ChatFilters
{
    /// <summary>A filter: the value left of the bar, and the arguments.</summary>
    public delegate object? Filter(RenderContext context, object? value, CallArguments arguments);

    // Filters of Jinja that are not here: named when a template uses one.
    private static readonly HashSet<string> Refused =
        ["filesizeformat", "pprint", "random", "striptags", "truncate", "urlencode", "urlize", "wordwrap", "xmlattr"];

    private static readonly Dictionary<string, Filter> All = new()
    {
        ["abs"] = Simple("abs", Absolute),
        ["attr"] = Attribute,
        ["batch"] = Batch,
        ["capitalize"] = OnText("capitalize", PyText.Capitalize),
        ["center"] = Center,
        ["count"] = Simple("count", Length),
        ["d"] = Default,
        ["default"] = Default,
        ["dictsort"] = DictSort,
        ["e"] = Simple("e", PyOperators.Escape),
        ["escape"] = Simple("escape", PyOperators.Escape),
        ["first"] = Simple("first", (c, v) => OrUndefined(PyOperators.Iterate(c, v))),
        ["float"] = Float,
        ["forceescape"] = Simple("forceescape", (c, v) => PyOperators.Escape(c, PyOperators.Str(c, v))),
        ["format"] = Format,
        ["groupby"] = GroupBy,
        ["indent"] = Indent,
        ["int"] = Integer,
        ["items"] = Simple("items", Items),
        ["join"] = Join,
        ["last"] = Simple("last", (c, v) => OrUndefined(Reversed(c, v))),
        ["length"] = Simple("length", Length),
        ["list"] = Simple("list", (c, v) => new PyList(PyOperators.ToArray(c, v))),
        ["lower"] = OnText("lower", PyText.Lower),
        ["map"] = Map,
        ["max"] = (context, value, arguments) => Extreme(context, "max", value, arguments),
        ["min"] = (context, value, arguments) => Extreme(context, "min", value, arguments),
        ["reject"] = (context, value, arguments) => Select(context, "reject", value, arguments),
        ["rejectattr"] = (context, value, arguments) => Select(context, "rejectattr", value, arguments),
        ["replace"] = Replace,
        ["reverse"] = Simple("reverse", Reverse),
        ["round"] = Round,
        ["safe"] = Simple("safe", (c, v) => v as PyMarkup ?? new PyMarkup(PyOperators.Str(c, v))),
        ["select"] = (context, value, arguments) => Select(context, "select", value, arguments),
        ["selectattr"] = (context, value, arguments) => Select(context, "selectattr", value, arguments),
        ["slice"] = Slice,
        ["sort"] = Sort,
        ["string"] = Simple("string", (c, v) => v as PyMarkup ?? (object)PyOperators.Str(c, v)),
        ["sum"] = Sum,
        ["title"] = OnText("title", Title),
        ["tojson"] = PyJson.Filter,
        ["trim"] = Trim,
        ["unique"] = Unique,
        ["upper"] = OnText("upper", PyText.Upper),
        ["wordcount"] = Simple("wordcount", WordCount),
    };

    public static bool Exists(string name) => All.ContainsKey(name) || Refused.Contains(name);

    /// <summary>Applies a filter by name.</summary>
    /// <exception cref="ChatTemplateException">There is no such filter, it is not supported, or it fails on this value.</exception>
    public static object? Apply(RenderContext context, string name, object? value, CallArguments arguments)
    {
        context.Step();
        context.ChargeRead(PyOperators.AsText(value)?.Length ?? 0);
        if (All.TryGetValue(name, out Filter? filter)) return filter(context, value, arguments);
        throw Refused.Contains(name) ? context.Unsupported($"the filter '{name}'") : context.Error($"there is no filter named '{name}'");
    }

    private static string Callee(string name) => $"the filter '{name}'";

    /// <summary>A filter without arguments.</summary>
    private static Filter Simple(string name, Func<RenderContext, object?, object?> body) => (context, value, arguments) =>
    {
        arguments.Bind(context, Callee(name), 0);
        return body(context, value);
    };

    /// <summary>A filter without arguments from text to text.</summary>
    private static Filter OnText(string name, Func<RenderContext, string, string> body) =>
        Simple(name, (context, value) => body(context, SoftText(context, name, value)));

    /// <summary>str(value) for a filter that makes new text; marked text is refused because Python would keep the mark.</summary>
    private static string SoftText(RenderContext context, string name, object? value) =>
        value is PyMarkup ? throw PyOperators.MarkupUse(context, Callee(name)) : PyOperators.Str(context, value);

    private static bool Given(object? argument) => argument != CallArguments.Absent;

    private static bool Flag(object? argument) => Given(argument) && PyOperators.Truth(argument);

    private static long Count(RenderContext context, string name, object? argument, long otherwise)
    {
        if (!Given(argument)) return otherwise;
        return PyOperators.TryInteger(argument, out long integer)
            ? integer
            : throw context.WrongType($"{Callee(name)} needs an integer", argument);
    }

    private static object Absolute(RenderContext context, object? value) => value switch
    {
        PyUndefined undefined => throw context.Error(undefined.Problem),
        double number => Math.Abs(number),
        _ when PyOperators.TryInteger(value, out long integer) => PyOperators.Negate(context, integer, integer < 0),
        _ => throw context.WrongType($"{Callee("abs")} needs a number", value),
    };

    private static object? Attribute(RenderContext context, object? value, CallArguments arguments)
    {
        object? name = arguments.Bind(context, Callee("attr"), 1, "name")[0];
        if (name is not string text) throw context.Error($"{Callee("attr")} needs a name");
        if (value is PyUndefined undefined) throw context.Error(undefined.Problem);
        return PyAccess.TryAttribute(context, value, text, out object? attribute)
            ? attribute
            : new PyUndefined($"a value of type '{PyOperators.TypeName(value)}' has no attribute '{text}'");
    }

    private static object? Default(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("default"), 0, "default_value", "boolean");
        bool replace = value is PyUndefined || (Flag(bound[1]) && !PyOperators.Truth(value));
        return !replace ? value : Given(bound[0]) ? bound[0] : "";
    }

    private static object? Float(RenderContext context, object? value, CallArguments arguments)
    {
        object? otherwise = arguments.Bind(context, Callee("float"), 0, "default")[0];
        if (value is PyUndefined undefined) throw context.Error(undefined.Problem);
        if (PyOperators.TryNumber(value, out double number)) return number;
        if (PyOperators.AsText(value) is { } text && PyNumber.TryParseFloat(text, out number)) return number;
        return Given(otherwise) ? otherwise : 0.0;
    }

    private static object? Integer(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("int"), 0, "default", "base");
        long radix = Count(context, "int", bound[1], 10);
        if (radix is < 2 or > 36) throw context.Unsupported($"the base {radix} in {Callee("int")}");
        object? otherwise = Given(bound[0]) ? bound[0] : 0L;
        if (value is PyUndefined undefined) throw context.Error(undefined.Problem);
        if (PyOperators.TryInteger(value, out long integer)) return integer;
        if (PyOperators.AsText(value) is { } text)
        {
            if (PyNumber.ParseInteger(context, text, (int)radix) is { } parsed) return parsed;
            if (!PyNumber.TryParseFloat(text, out double real) || double.IsInfinity(real)) return otherwise;
            value = real;
        }

        if (value is not double number || double.IsNaN(number)) return otherwise;
        if (double.IsInfinity(number)) throw context.Error("infinity is no integer");
        return Math.Abs(number) < 1L << 62 ? (long)number : throw context.Unsupported("an integer beyond 64 bits");
    }

    private static object Round(RenderContext context, object? value, CallArguments arguments)
    {
        object?[] bound = arguments.Bind(context, Callee("round"), 0, "precision", "method");
        long precision = Count(context, "round", bound[0], 0);
        string method = !Given(bound[1]) ? "common" : bound[1] as string ?? "";
        if (method is not ("common" or "ceil" or "floor"))
            throw context.Error($"{Callee("round")} knows the methods common, ceil and floor");
        if (value is PyUndefined undefined) throw context.Error(undefined.Problem);
        if (!PyOperators.TryNumber(value, out double number)) throw context.WrongType($"{Callee("round")} needs a number", value);
        if (precision is < -300 or > 300) throw context.Unsupported($"the precision {precision} in {Callee("round")}");
        if (method == "common")
        {
            if (!PyOperators.TryInteger(value, out long integer)) return PyNumber.Round(number, (int)precision);
            return precision >= 0 ? integer : throw context.Unsupported("rounding an integer to a negative precision");
        }

        double scale = Math.Pow(10, precision);
        double scaled = method == "ceil" ? Math.Ceiling(number * scale) : Math.Floor(number * scale);
        // Python's ceil and floor make an integer, which has no negative zero.
        return (scaled == 0 ? 0 : scaled) / scale;
    }
}
