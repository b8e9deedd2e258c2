using System.Text;

namespace EmScan.Engine.Chat;

/// <content>Arithmetic, also of text and lists.</content>
internal static partial class PyOperators
{
    /// <summary>left (operator) right for + - * / // % **.</summary>
    public static object? Arithmetic(RenderContext context, string symbol, object? left, object? right)
    {
        if (left is PyUndefined leftUndefined) throw context.Error(leftUndefined.Problem);
        if (left is PyMarkup || (right is PyMarkup && left is string)) return OnMarkup(context, symbol, left, right);
        if (left is string format && symbol == "%") return PyFormat.Percent(context, format, right);
        if (right is PyUndefined rightUndefined) throw context.Error(rightUndefined.Problem);
        try
        {
            if (TryInteger(left, out long leftInteger) && TryInteger(right, out long rightInteger))
                return OnIntegers(context, symbol, leftInteger, rightInteger);
        }
        catch (OverflowException)
        {
            throw context.Unsupported("an integer beyond 64 bits");
        }

        if (TryNumber(left, out double leftNumber) && TryNumber(right, out double rightNumber))
            return OnFloats(context, symbol, leftNumber, rightNumber);
        return (symbol, left, right) switch
        {
            ("+", string a, string b) => Join(context, a, b),
            ("+", PyList a, PyList b) => new PyList(Concatenate(context, a.Items, b.Items)),
            ("+", PyTuple a, PyTuple b) => new PyTuple(Concatenate(context, a.Items, b.Items)),
            ("*", _, _) when TryInteger(right, out long count) && left is string or PyList or PyTuple => Repeat(context, left, count),
            ("*", _, _) when TryInteger(left, out long count) && right is string or PyList or PyTuple => Repeat(context, right, count),
            _ => throw context.Error($"'{symbol}' is not defined between values of type '{TypeName(left)}' and '{TypeName(right)}'"),
        };
    }

    /// <summary>Text that a filter marked as safe stays marked when it is added to, and what is added to it is escaped.</summary>
    private static PyMarkup OnMarkup(RenderContext context, string symbol, object? left, object? right)
    {
        if (symbol != "+") throw MarkupUse(context, $"the operator '{symbol}'");
        if (AsText(left) is null || AsText(right) is null)
            throw context.Error($"'+' is not defined between values of type '{TypeName(left)}' and '{TypeName(right)}'");
        return new PyMarkup(Join(context, Escape(context, left).Text, Escape(context, right).Text));
    }

    /// <summary>The filter escape: HTML's characters as entities, in text that is not marked yet.</summary>
    public static PyMarkup Escape(RenderContext context, object? value)
    {
        if (value is PyMarkup markup) return markup;
        var output = new StringBuilder();
        foreach (char c in Str(context, value))
        {
            string entity = c switch { '&' => "&amp;", '<' => "&lt;", '>' => "&gt;", '\'' => "&#39;", '"' => "&#34;", _ => c.ToString() };
            context.Append(output, entity);
        }

        return new PyMarkup(output.ToString());
    }

    /// <summary>The refusal of an operation that escapes its other operand when one comes from the filter safe or escape.</summary>
    public static ChatTemplateException MarkupUse(RenderContext context, string operation) =>
        context.Unsupported($"{operation} on text that was marked by the filter 'safe' or 'escape'");

    private static object OnIntegers(RenderContext context, string symbol, long left, long right)
    {
        if (right == 0 && symbol is "/" or "//" or "%") throw context.Error("division by zero");
        switch (symbol)
        {
            case "+": return checked(left + right);
            case "-": return checked(left - right);
            case "*": return checked(left * right);
            case "/": return (double)left / right;
            case "//" when right == -1: return checked(-left);
            case "//": return left / right - (left % right != 0 && (left < 0) != (right < 0) ? 1 : 0);
            case "%" when right == -1: return 0L;
            case "%": return left % right is var rest && rest != 0 && (rest < 0) != (right < 0) ? rest + right : left % right;
            default:
                if (right < 0) return OnFloats(context, symbol, left, right);
                long power = 1;
                // 0, 1 and -1 have every power; anything else overflows after 63 multiplications.
                if (left is 0 or 1 or -1) return left == -1 ? (right % 2 == 0 ? 1L : -1L) : right == 0 ? 1L : left;
                for (long i = 0; i < right; i++) power = checked(power * left);
                return power;
        }
    }

    private static double OnFloats(RenderContext context, string symbol, double left, double right)
    {
        if (right == 0 && symbol is "/" or "//" or "%") throw context.Error("division by zero");
        switch (symbol)
        {
            case "+": return left + right;
            case "-": return left - right;
            case "*": return left * right;
            case "/": return left / right;
            case "//" or "%":
                // The remainder has the sign of the divisor, and the quotient is what fits that remainder.
                double rest = left % right;
                double quotient = (left - rest) / right;
                if (rest != 0 && (right < 0) != (rest < 0)) (rest, quotient) = (rest + right, quotient - 1);
                if (symbol == "%") return rest == 0 ? Math.CopySign(0, right) : rest;
                double floor = Math.Floor(quotient);
                return quotient == 0 ? Math.CopySign(0, left / right) : quotient - floor > 0.5 ? floor + 1 : floor;
            default:
                if (left == 0 && right < 0) throw context.Error("zero cannot be raised to a negative power");
                double power = Math.Pow(left, right);
                if (double.IsNaN(power) && !double.IsNaN(left) && !double.IsNaN(right)) throw context.Unsupported("a complex number");
                if (double.IsInfinity(power) && double.IsFinite(left) && double.IsFinite(right))
                    throw context.Error("the result of '**' is too large");
                return power;
        }
    }

    public static string Join(RenderContext context, string left, string right)
    {
        context.ChargeText((long)left.Length + right.Length);
        return left + right;
    }

    private static object?[] Concatenate(RenderContext context, object?[] left, object?[] right)
    {
        context.ChargeItems((long)left.Length + right.Length);
        return [.. left, .. right];
    }

    private static object Repeat(RenderContext context, object? value, long count)
    {
        count = Math.Max(count, 0);
        object?[] items = (value as PyList)?.Items ?? (value as PyTuple)?.Items ?? [];
        int length = value is string text ? text.Length : items.Length;
        if (length == 0) count = 0;
        context.CheckSize(count);
        if (value is string) context.ChargeText(length * count);
        else context.ChargeItems(length * count);
        if (value is string unit) return new StringBuilder().Insert(0, unit, (int)count).ToString();
        object?[] repeated = [.. Enumerable.Repeat(items, (int)count).SelectMany(part => part)];
        return value is PyList ? new PyList(repeated) : new PyTuple(repeated);
    }

    public static object Negate(RenderContext context, object? value, bool negative)
    {
        if (value is PyUndefined undefined) throw context.Error(undefined.Problem);
        if (TryInteger(value, out long integer))
            return !negative ? integer : integer == long.MinValue ? throw context.Unsupported("an integer beyond 64 bits") : -integer;
        if (value is double number) return negative ? -number : number;
        throw context.Error($"a value of type '{TypeName(value)}' has no sign");
    }
}
