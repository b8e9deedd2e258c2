using System.Text;

namespace EmScan.Engine.Chat;

/// <content>str and repr.</content>
internal static partial class PyOperators
{
    /// <summary>str(value).</summary>
    public static string Str(RenderContext context, object? value)
    {
        switch (value)
        {
            case string text: return text;
            case PyMarkup markup: return markup.Text;
            case PyUndefined: return "";
            case PyJoiner or PyCycler or PyFunction or PyMethod or PyIterator:
                throw context.Unsupported($"printing a value of type '{TypeName(value)}', whose text in Python is a memory address,");
            default: return Repr(context, value);
        }
    }

    /// <summary>repr(value).</summary>
    public static string Repr(RenderContext context, object? value)
    {
        var text = new StringBuilder();
        AppendRepr(context, text, value);
        return text.ToString();
    }

    private static void AppendRepr(RenderContext context, StringBuilder output, object? value)
    {
        context.Step();
        context.CheckSize(output.Length);
        switch (value)
        {
            case null: output.Append("None"); break;
            case bool flag: output.Append(flag ? "True" : "False"); break;
            case long integer: output.Append(integer); break;
            case double number: output.Append(PyNumber.Repr(number)); break;
            case string text:
                context.ChargeText(text.Length);
                PyText.AppendRepr(output, text);
                break;
            case PyMarkup markup:
                context.ChargeText(markup.Text.Length);
                output.Append("Markup(");
                PyText.AppendRepr(output, markup.Text);
                output.Append(')');
                break;
            case PyUndefined: output.Append("Undefined"); break;
            case PyList list: AppendItems(context, output, "[", list.Items, "]"); break;
            case PyTuple tuple: AppendItems(context, output, "(", tuple.Items, tuple.Items.Length == 1 ? ",)" : ")"); break;
            case PyDict dict: AppendDict(context, output, dict); break;
            case PyView view: AppendItems(context, output, $"dict_{view.Kind}([", view.Items, "])"); break;
            case PyNamespace space:
                output.Append("<Namespace ");
                AppendDict(context, output, space.Attributes);
                output.Append('>');
                break;
            case PyRange range:
                output.Append($"range({range.Start}, {range.Stop}{(range.Step == 1 ? "" : $", {range.Step}")})");
                break;
            case Macro macro:
                output.Append("<Macro ");
                if (macro.Name is null) output.Append("anonymous");
                else PyText.AppendRepr(output, macro.Name);
                output.Append('>');
                break;
            case LoopContext loop: output.Append($"<LoopContext {loop.Index0 + 1}/{loop.Length}>"); break;
            default: output.Append(Str(context, value)); break;
        }
    }

    private static void AppendItems(RenderContext context, StringBuilder output, string open, IEnumerable<object?> items, string close)
    {
        output.Append(open);
        string separator = "";
        foreach (object? item in items)
        {
            output.Append(separator);
            AppendRepr(context, output, item);
            separator = ", ";
        }

        output.Append(close);
    }

    private static void AppendDict(RenderContext context, StringBuilder output, PyDict dict)
    {
        string separator = "{";
        foreach (var (key, item) in dict.Entries)
        {
            output.Append(separator);
            AppendRepr(context, output, key);
            output.Append(": ");
            AppendRepr(context, output, item);
            separator = ", ";
        }

        output.Append(dict.Count == 0 ? "{}" : "}");
    }
}
