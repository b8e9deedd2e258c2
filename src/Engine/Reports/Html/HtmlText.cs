using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Unicode;

namespace EmScan.Engine.Reports.Html;

/// <summary>A piece of HTML or SVG that grows. Every text that is put in is escaped; markup is only what the program itself writes.</summary>
internal sealed class HtmlText
{
    // Everything that a user can name (runs, files, traits) passes through this.
    private static readonly HtmlEncoder Encoder = HtmlEncoder.Create(UnicodeRanges.All);

    private readonly StringBuilder _text = new();

    /// <summary>Adds markup: a constant of the program's, with numbers at most.</summary>
    internal HtmlText Markup(string constant)
    {
        _text.Append(constant);
        return this;
    }

    /// <summary>Adds markup with numbers in it, in invariant notation whatever the host's culture is.</summary>
    internal HtmlText Format(FormattableString numbers)
    {
        _text.Append(numbers.ToString(CultureInfo.InvariantCulture));
        return this;
    }

    /// <summary>Adds text, escaped; usable as content and inside double quotes.</summary>
    internal HtmlText Text(string? text)
    {
        _text.Append(Escape(text));
        return this;
    }

    /// <summary>Adds another piece.</summary>
    internal HtmlText Add(HtmlText piece)
    {
        _text.Append(piece._text);
        return this;
    }

    /// <summary>Escapes text for content and for attributes in double quotes; control characters and marks of writing direction become visible.</summary>
    internal static string Escape(string? text)
    {
        if (string.IsNullOrEmpty(text)) return "";
        if (text.Any(c => Printable.Steers(c) && c != '\n'))
            text = string.Concat(text.Select(c => Printable.Steers(c) && c != '\n' ? (c < 0x20 ? ((char)(0x2400 + c)).ToString() : "\uFFFD") : c.ToString()));
        return Encoder.Encode(text);
    }

    /// <inheritdoc/>
    public override string ToString() => _text.ToString();
}
