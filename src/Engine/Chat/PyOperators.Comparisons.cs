namespace EmScan.Engine.Chat;

/// <content>Equality, order, membership.</content>
internal static partial class PyOperators
{
    /// <summary>left == right.</summary>
    public static bool Equals(RenderContext context, object? left, object? right)
    {
        context.Step();
        if (left is null || right is null) return left is null && right is null;
        if (TryInteger(left, out long leftInteger) && TryInteger(right, out long rightInteger)) return leftInteger == rightInteger;
        if (TryNumber(left, out double leftNumber) && TryNumber(right, out double rightNumber)) return leftNumber == rightNumber;
        if (AsText(left) is { } leftText && AsText(right) is { } rightText)
        {
            if (leftText.Length != rightText.Length) return false;
            context.ChargeRead(leftText.Length);
            return leftText == rightText;
        }

        return (left, right) switch
        {
            (PyUndefined, PyUndefined) => true,
            (PyList a, PyList b) => ItemsEqual(context, a.Items, b.Items),
            (PyTuple a, PyTuple b) => ItemsEqual(context, a.Items, b.Items),
            (PyDict a, PyDict b) => DictsEqual(context, a, b),
            (PyRange a, PyRange b) => a.Count == b.Count && (a.Count == 0 || (a.Start == b.Start && (a.Count == 1 || a.Step == b.Step))),
            (PyView, PyView) => throw context.Unsupported("comparing dictionary views"),
            (PyMethod, PyMethod) => throw context.Unsupported("comparing methods"),
            _ => ReferenceEquals(left, right),
        };
    }

    private static bool ItemsEqual(RenderContext context, object?[] left, object?[] right)
    {
        if (left.Length != right.Length) return false;
        for (int i = 0; i < left.Length; i++)
            if (!SameOrEqual(context, left[i], right[i])) return false;
        return true;
    }

    /// <summary>Equality inside containers: Python takes an object to equal itself there, without asking it.</summary>
    public static bool SameOrEqual(RenderContext context, object? left, object? right) =>
        (left is not null && ReferenceEquals(left, right)) || Equals(context, left, right);

    private static bool DictsEqual(RenderContext context, PyDict left, PyDict right)
    {
        if (left.Count != right.Count) return false;
        foreach (var (key, value) in left.Entries)
            if (!right.TryGet(key, out object? other) || !SameOrEqual(context, value, other)) return false;
        return true;
    }

    /// <summary>left &lt; right.</summary>
    public static bool Less(RenderContext context, object? left, object? right) => Order(context, left, right, "<") < 0;

    /// <summary>Negative, zero or positive as left is below, equal to or above right.</summary>
    private static int Order(RenderContext context, object? left, object? right, string symbol)
    {
        context.Step();
        if (TryInteger(left, out long leftInteger) && TryInteger(right, out long rightInteger)) return leftInteger.CompareTo(rightInteger);
        if (TryNumber(left, out double leftNumber) && TryNumber(right, out double rightNumber))
        {
            if (double.IsNaN(leftNumber) || double.IsNaN(rightNumber)) throw context.Unsupported("ordering nan");
            return leftNumber.CompareTo(rightNumber);
        }

        if (AsText(left) is { } leftText && AsText(right) is { } rightText)
        {
            context.ChargeRead(Math.Min(leftText.Length, rightText.Length));
            return PyText.Compare(leftText, rightText);
        }

        return (left, right) switch
        {
            (PyUndefined undefined, _) => throw context.Error(undefined.Problem),
            (_, PyUndefined undefined) => throw context.Error(undefined.Problem),
            (PyList a, PyList b) => OrderItems(context, a.Items, b.Items, symbol),
            (PyTuple a, PyTuple b) => OrderItems(context, a.Items, b.Items, symbol),
            (PyView, PyView) => throw context.Unsupported("ordering dictionary views"),
            _ => throw context.Error($"'{symbol}' is not defined between values of type '{TypeName(left)}' and '{TypeName(right)}'"),
        };
    }

    private static int OrderItems(RenderContext context, object?[] left, object?[] right, string symbol)
    {
        int shared = Math.Min(left.Length, right.Length);
        for (int i = 0; i < shared; i++)
            if (!SameOrEqual(context, left[i], right[i])) return Order(context, left[i], right[i], symbol);
        return left.Length.CompareTo(right.Length);
    }

    /// <summary>One link of a comparison: ==, !=, &lt;, &lt;=, &gt;, &gt;=, in or not in.</summary>
    public static bool Compare(RenderContext context, string symbol, object? left, object? right) => symbol switch
    {
        "==" => Equals(context, left, right),
        "!=" => !Equals(context, left, right),
        "in" => Contains(context, right, left),
        "not in" => !Contains(context, right, left),
        "<" => Order(context, left, right, symbol) < 0,
        "<=" => Order(context, left, right, symbol) <= 0,
        ">" => Order(context, left, right, symbol) > 0,
        _ => Order(context, left, right, symbol) >= 0,
    };

    /// <summary>item in container.</summary>
    public static bool Contains(RenderContext context, object? container, object? item)
    {
        if (AsText(container) is { } text)
        {
            string part = AsText(item) ?? throw context.WrongType("'in' on a string needs a string", item);
            context.ChargeSearch(text, part);
            return text.Contains(part, StringComparison.Ordinal);
        }

        if (container is PyDict dict) return dict.TryGet(HashableKey(context, item), out _);
        if (container is PyView { Kind: "keys" } keys) return keys.Dict.TryGet(HashableKey(context, item), out _);
        foreach (object? candidate in Iterate(context, container))
            if (SameOrEqual(context, candidate, item)) return true;
        return false;
    }

    /// <summary>The key itself, when it can be one.</summary>
    public static object? HashableKey(RenderContext context, object? key)
    {
        if (key is PyTuple) throw context.Unsupported("a tuple as a dictionary key");
        if (!PyDict.TryNormalize(key, out _)) throw context.Error($"a value of type '{TypeName(key)}' cannot be a dictionary key");
        context.ChargeRead(AsText(key)?.Length ?? 0);
        return key;
    }
}
