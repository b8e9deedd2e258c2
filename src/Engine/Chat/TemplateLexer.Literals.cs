using System.Globalization;
using System.Text;

namespace EmScan.Engine.Chat;

/// <content>Numbers and strings inside of tags, written as in Python.</content>
internal sealed partial class TemplateLexer
{
    private void ReadNumber()
    {
        int end = ScanDigits(_position, char.IsAsciiDigit);
        // After a dot, "x.0.1" indexes twice: no fraction there.
        bool mayBeFloat = _position == 0 || _source[_position - 1] != '.';
        int floatEnd = mayBeFloat ? ScanFraction(end) : end;
        if (floatEnd > end)
        {
            double number = double.Parse(_source[_position..floatEnd].Replace("_", ""), NumberStyles.Float, CultureInfo.InvariantCulture);
            Add(TokenKind.Number, _source[_position..floatEnd], number);
            _position = floatEnd;
            return;
        }

        int radix = 10;
        int digits = _position;
        if (_source[_position] == '0')
        {
            char prefix = _position + 1 < _source.Length ? char.ToLowerInvariant(_source[_position + 1]) : '\0';
            int candidate = prefix switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 10 };
            int first = _position + 2;
            if (first < _source.Length && _source[first] == '_') first++;
            int prefixedEnd = candidate == 10 ? first : ScanDigits(first, c => IsDigit(c, candidate));
            if (candidate != 10 && prefixedEnd > first) (radix, digits, end) = (candidate, first, prefixedEnd);
            else end = ScanDigits(_position, c => c == '0');
        }

        if (!PyNumber.TryParseDigits(_source[digits..end].Replace("_", ""), radix, out long value))
            throw ChatTemplateException.Unsupported(LineAt(_position), $"the integer {_source[_position..end]}, which is beyond 64 bits,");
        Add(TokenKind.Number, _source[_position..end], value);
        _position = end;
    }

    private static bool IsDigit(char c, int radix) => char.IsAscii(c) && PyNumber.TryParseDigits(c.ToString(), radix, out _);

    /// <summary>End of a run of digits in which single underscores may stand between digits.</summary>
    private int ScanDigits(int from, Func<char, bool> isDigit)
    {
        int at = from;
        while (at < _source.Length)
        {
            if (isDigit(_source[at])) at++;
            else if (at > from && _source[at] == '_' && at + 1 < _source.Length && isDigit(_source[at + 1])) at += 2;
            else break;
        }

        return at;
    }

    private int ScanFraction(int integerEnd)
    {
        int end = integerEnd;
        if (end < _source.Length && _source[end] == '.')
        {
            int fraction = ScanDigits(end + 1, char.IsAsciiDigit);
            if (fraction > end + 1) end = fraction;
        }

        if (end >= _source.Length || _source[end] is not ('e' or 'E')) return end;
        int exponent = end + 1;
        if (exponent < _source.Length && _source[exponent] is '+' or '-') exponent++;
        int exponentEnd = ScanDigits(exponent, char.IsAsciiDigit);
        return exponentEnd > exponent ? exponentEnd : end;
    }

    private void ReadText(char quote)
    {
        int end = _position + 1;
        while (end < _source.Length && _source[end] != quote) end += _source[end] == '\\' ? 2 : 1;
        if (end >= _source.Length) throw Error("a string is not closed");
        Add(TokenKind.Text, Unescape(_source[(_position + 1)..end]));
        _position = end + 1;
    }

    /// <summary>Resolves the escapes of a Python string literal; an unknown escape keeps its backslash.</summary>
    private string Unescape(string body)
    {
        if (!body.Contains('\\')) return body;
        var text = new StringBuilder(body.Length);
        for (int at = 0; at < body.Length; at++)
        {
            if (body[at] != '\\')
            {
                text.Append(body[at]);
                continue;
            }

            char c = body[++at];
            const string simple = "\\'\"abfnrtv";
            int known = simple.IndexOf(c);
            if (known >= 0) text.Append("\\'\"\a\b\f\n\r\t\v"[known]);
            else if (c == '\n') continue;
            else if (c is >= '0' and <= '7') AppendOctal(body, ref at, text);
            else if (c is 'x' or 'u' or 'U') AppendHex(body, ref at, text);
            else if (c == 'N') throw ChatTemplateException.Unsupported(LineAt(_position), "the string escape \\N{...}");
            else if (!char.IsAscii(c)) throw ChatTemplateException.Unsupported(LineAt(_position), $"a backslash before '{c}'");
            else text.Append('\\').Append(c);
        }

        return text.ToString();
    }

    private static void AppendOctal(string body, ref int at, StringBuilder text)
    {
        int value = 0;
        int end = at;
        while (end < body.Length && end < at + 3 && body[end] is >= '0' and <= '7') value = value * 8 + (body[end++] - '0');
        text.Append((char)value);
        at = end - 1;
    }

    private void AppendHex(string body, ref int at, StringBuilder text)
    {
        int length = body[at] switch { 'x' => 2, 'u' => 4, _ => 8 };
        if (at + length >= body.Length
            || !uint.TryParse(body.AsSpan(at + 1, length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint value)
            || value > 0x10FFFF)
            throw Error($"the string escape \\{body[at]} needs {length} hexadecimal digits of a character");
        if (value > 0xFFFF) text.Append(char.ConvertFromUtf32((int)value));
        else text.Append((char)value);
        at += length;
    }
}
