namespace EmScan.Engine.Chat;

/// <summary>
/// Cuts a template into tokens as Jinja does with trim_blocks and lstrip_blocks on and keep_trailing_newline off: the newline after a
/// block or comment tag is dropped, blanks before one that starts its line are dropped, <c>-</c> eats all white space on its side and
/// <c>+</c> switches the dropping off.
/// </summary>
internal sealed partial class TemplateLexer
{
    // Longest first, so that "//" is not read as two divisions.
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=",
        "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
    ];

    private readonly string _source;
    private readonly List<TemplateToken> _tokens = [];
    private int _position;
    private int _line = 1;
    private int _lineCountedTo;

    // True when what was read last ended a line (or nothing was read yet): blanks before the next tag then start their line.
    private bool _lineStarting = true;

    private TemplateLexer(string source)
    {
        source = source.Replace("\r\n", "\n").Replace('\r', '\n');
        _source = source.EndsWith('\n') ? source[..^1] : source;
    }

    /// <summary>Cuts a whole template; the last token is <see cref="TokenKind.End"/>.</summary>
    /// <exception cref="ChatTemplateException">A tag, comment, string or bracket is not closed, or a character cannot start a
    /// token.</exception>
    public static List<TemplateToken> Tokenize(string source)
    {
        var lexer = new TemplateLexer(source);
        while (lexer.ReadDataAndTagStart(out bool isBlock)) lexer.ReadTag(isBlock);
        lexer.Add(TokenKind.End, "");
        return lexer._tokens;
    }

    /// <summary>Reads text up to the next {{ or {% and that opener; comments and raw sections on the way are dealt with.</summary>
    private bool ReadDataAndTagStart(out bool isBlock)
    {
        isBlock = false;
        while (true)
        {
            int open = FindOpener(_position);
            if (open < 0)
            {
                AddData(_source[_position..]);
                _position = _source.Length;
                return false;
            }

            char kind = _source[open + 1];
            int after = open + 2;
            char sign = after < _source.Length && _source[after] is '-' or '+' ? _source[after] : '\0';
            AddData(Strip(_source[_position..open], sign, isVariable: kind == '{'));
            _position = open;
            if (sign != '\0') after++;
            if (kind == '#')
            {
                SkipComment(after);
            }
            else if (kind == '%' && MatchRawTag(after, "raw", out int rawStart))
            {
                ReadRaw(rawStart);
            }
            else
            {
                isBlock = kind == '%';
                Add(isBlock ? TokenKind.BlockBegin : TokenKind.VariableBegin, "");
                _position = after;
                _lineStarting = false;
                return true;
            }
        }
    }

    private int FindOpener(int from)
    {
        for (int at = from; (at = _source.IndexOf('{', at)) >= 0 && at + 1 < _source.Length; at++)
            if (_source[at + 1] is '{' or '%' or '#') return at;
        return -1;
    }

    /// <summary>Text before a tag, less what the tag's sign or lstrip_blocks takes from its end.</summary>
    private string Strip(string text, char sign, bool isVariable)
    {
        if (sign == '-') return PyText.TrimEnd(text);
        if (sign == '+' || isVariable) return text;
        int lineStart = text.LastIndexOf('\n') + 1;
        if (lineStart == 0 && !_lineStarting) return text;
        return PyText.IsAllSpace(text.AsSpan(lineStart)) ? text[..lineStart] : text;
    }

    private void SkipComment(int bodyStart)
    {
        int close = _source.IndexOf("#}", bodyStart, StringComparison.Ordinal);
        if (close < 0) throw Error("a comment is not closed");
        char sign = close > bodyStart ? _source[close - 1] : '\0';
        FinishTag(close + 2, sign);
    }

    /// <summary>
    /// Whether a tag that holds only <paramref name="word"/> starts here, and where its body starts ("-%}" eats white space).
    /// </summary>
    private bool MatchRawTag(int position, string word, out int end)
    {
        end = SkipSpace(position);
        if (string.CompareOrdinal(_source, end, word, 0, word.Length) != 0) return false;
        end = SkipSpace(end + word.Length);
        bool eats = end < _source.Length && _source[end] == '-';
        int close = eats ? end + 1 : end;
        if (string.CompareOrdinal(_source, close, "%}", 0, 2) != 0) return false;
        end = eats ? SkipSpace(close + 2) : close + 2;
        return true;
    }

    private void ReadRaw(int start)
    {
        _lineStarting = _source[start - 1] == '\n';
        for (int open = start; (open = _source.IndexOf("{%", open, StringComparison.Ordinal)) >= 0; open += 2)
        {
            int after = open + 2;
            char sign = after < _source.Length && _source[after] is '-' or '+' ? _source[after++] : '\0';
            int word = SkipSpace(after);
            if (string.CompareOrdinal(_source, word, "endraw", 0, 6) != 0) continue;
            int close = SkipSpace(word + 6);
            char endSign = close < _source.Length && _source[close] is '-' or '+' ? _source[close++] : '\0';
            if (string.CompareOrdinal(_source, close, "%}", 0, 2) != 0) continue;
            _position = start;
            AddData(Strip(_source[start..open], sign, isVariable: false));
            FinishTag(close + 2, endSign);
            return;
        }

        throw Error("a raw section is not closed by {% endraw %}");
    }

    /// <summary>Moves behind a closed block or comment tag: "-" eats white space, "+" nothing, and otherwise one newline goes.</summary>
    private void FinishTag(int after, char sign)
    {
        int start = after;
        if (sign == '-') after = SkipSpace(after);
        else if (sign != '+' && after < _source.Length && _source[after] == '\n') after++;
        _lineStarting = after > start && _source[after - 1] == '\n';
        _position = after;
    }

    private void ReadTag(bool isBlock)
    {
        var brackets = new Stack<char>();
        while (true)
        {
            if (_position >= _source.Length) throw Error(isBlock ? "a {% tag is not closed" : "a {{ tag is not closed");
            if (brackets.Count == 0 && ReadTagEnd(isBlock)) return;
            char c = _source[_position];
            if (PyText.IsSpace(c)) _position = SkipSpace(_position);
            else if (char.IsAsciiDigit(c)) ReadNumber();
            else if (c == '_' || char.IsLetterOrDigit(c) || char.IsSurrogate(c)) ReadName();
            else if (c is '\'' or '"') ReadText(c);
            else ReadOperator(brackets);
        }
    }

    private bool ReadTagEnd(bool isBlock)
    {
        char sign = _source[_position] is '-' or '+' ? _source[_position] : '\0';
        if (sign == '+' && !isBlock) return false;
        int close = sign == '\0' ? _position : _position + 1;
        if (string.CompareOrdinal(_source, close, isBlock ? "%}" : "}}", 0, 2) != 0) return false;
        Add(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, "");
        // trim_blocks says nothing about {{ }}: the newline after a printed value stays.
        FinishTag(close + 2, !isBlock && sign == '\0' ? '+' : sign);
        return true;
    }

    private void ReadName()
    {
        int end = _position;
        while (end < _source.Length && (_source[end] == '_' || char.IsLetterOrDigit(_source[end]) || char.IsSurrogate(_source[end]))) end++;
        string name = _source[_position..end];
        if (!name.All(char.IsAscii)) throw ChatTemplateException.Unsupported(LineAt(_position), $"the name '{name}', which is not ASCII,");
        Add(TokenKind.Name, name);
        _position = end;
    }

    private void ReadOperator(Stack<char> brackets)
    {
        string? found = Array.Find(Operators, candidate => string.CompareOrdinal(_source, _position, candidate, 0, candidate.Length) == 0)
            ?? throw Error($"unexpected character '{_source[_position]}'");
        char c = found[0];
        if (c is '(' or '[' or '{')
        {
            brackets.Push(c switch { '(' => ')', '[' => ']', _ => '}' });
        }
        else if (c is ')' or ']' or '}')
        {
            if (brackets.Count == 0) throw Error($"unexpected '{c}'");
            char expected = brackets.Pop();
            if (expected != c) throw Error($"unexpected '{c}', expected '{expected}'");
        }

        Add(TokenKind.Operator, found);
        _position += found.Length;
    }

    private int SkipSpace(int at)
    {
        while (at < _source.Length && PyText.IsSpace(_source[at])) at++;
        return at;
    }

    private void AddData(string data)
    {
        if (data.Length > 0) Add(TokenKind.Data, data);
    }

    private void Add(TokenKind kind, string text, object? value = null) => _tokens.Add(new(kind, text, LineAt(_position), value));

    private ChatTemplateException Error(string problem) => ChatTemplateException.Failed(LineAt(_position), problem);

    /// <summary>Line of a position; positions only grow, so every newline is counted once.</summary>
    private int LineAt(int position)
    {
        for (; _lineCountedTo < position && _lineCountedTo < _source.Length; _lineCountedTo++)
            if (_source[_lineCountedTo] == '\n') _line++;
        return _line;
    }
}
