using System.Runtime.CompilerServices;

namespace EmScan.Engine.Chat;

/// <summary>
/// Builds the statement tree of a template, by recursive descent over Jinja's grammar with loop controls and generation blocks.
/// </summary>
internal sealed partial class TemplateParser
{
    // Deeper nesting than any template has; it bounds the stack that parsing takes.
    private const int MaxDepth = 100;

    // Tags of Jinja that concern several template files or escaping; a chat template has no use for them.
    private static readonly HashSet<string> RefusedTags = ["autoescape", "block", "extends", "from", "import", "include"];

    private readonly List<TemplateToken> _tokens;

    // Macro bodies that are being parsed, innermost last, each with the special names that it reads.
    private readonly List<HashSet<string>> _macroNames = [];

    private int _position;
    private int _depth;

    // For loops around the current position, and those among them that a break here can leave.
    private int _loops;
    private int _breakableLoops;

    private TemplateParser(List<TemplateToken> tokens) => _tokens = tokens;

    /// <summary>Parses a whole template.</summary>
    /// <exception cref="ChatTemplateException">The template is malformed, nested too deeply, or uses a construct that is not
    /// supported.</exception>
    public static Block Parse(string source)
    {
        var parser = new TemplateParser(TemplateLexer.Tokenize(source));
        return parser.ParseBody([]);
    }

    private TemplateToken Current => _tokens[_position];

    private TemplateToken Next => _tokens[Math.Min(_position + 1, _tokens.Count - 1)];

    private TemplateToken Take() => Current.Kind == TokenKind.End ? Current : _tokens[_position++];

    private bool TryTakeName(string name)
    {
        bool found = Current.IsName(name);
        if (found) _position++;
        return found;
    }

    private bool TryTakeOperator(string text)
    {
        bool found = Current.IsOperator(text);
        if (found) _position++;
        return found;
    }

    private TemplateToken Expect(TokenKind kind, string what) => Current.Kind == kind ? Take() : throw Unexpected(what);

    private void ExpectOperator(string text)
    {
        if (!TryTakeOperator(text)) throw Unexpected($"'{text}'");
    }

    private ChatTemplateException Unexpected(string expected) => Error($"expected {expected}, found {Current.Description}");

    private ChatTemplateException Error(string problem) => ChatTemplateException.Failed(Current.Line, problem);

    private T Nested<T>(Func<T> parse)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (++_depth > MaxDepth) throw Error($"the template is nested more than {MaxDepth} deep");
        T result = parse();
        _depth--;
        return result;
    }

    /// <summary>Statements up to a tag that begins with one of the names, which is left as the current token.</summary>
    private Block ParseBody(string[] endTags) => Nested(() =>
    {
        var statements = new List<Statement>();
        while (Current.Kind != TokenKind.End)
        {
            TemplateToken token = Take();
            switch (token.Kind)
            {
                case TokenKind.Data:
                    statements.Add(new TextStatement(token.Line, token.Text));
                    break;
                case TokenKind.VariableBegin:
                    statements.Add(new PrintStatement(Current.Line, ParseTuple()));
                    Expect(TokenKind.VariableEnd, "'}}'");
                    break;
                default:
                    if (Current.Kind == TokenKind.Name && endTags.Contains(Current.Text)) return new Block([.. statements]);
                    if (ParseStatement() is { } statement) statements.Add(statement);
                    Expect(TokenKind.BlockEnd, "'%}'");
                    break;
            }
        }

        if (endTags.Length > 0) throw Error($"the template ends before the tag '{string.Join("' or '", endTags)}'");
        return new Block([.. statements]);
    });

    /// <summary>The body of a tag: its rest (a colon is allowed, as in Python), then the statements.</summary>
    private Block ParseTagBody(params string[] endTags)
    {
        TryTakeOperator(":");
        Expect(TokenKind.BlockEnd, "'%}'");
        return ParseBody(endTags);
    }

    /// <summary>The body of a tag up to the one end tag it can have, which is taken.</summary>
    private Block ParseWholeBody(string endTag)
    {
        Block body = ParseTagBody(endTag);
        Take();
        return body;
    }

    private Statement? ParseStatement()
    {
        TemplateToken tag = Expect(TokenKind.Name, "a tag name");
        switch (tag.Text)
        {
            case "for": return ParseFor(tag.Line);
            case "if": return ParseIf(tag.Line);
            case "set": return ParseSet(tag.Line);
            case "macro": return ParseMacro(tag.Line);
            case "call": return ParseCallBlock(tag.Line);
            case "filter": return ParseFilterBlock(tag.Line);
            case "with": return ParseWith(tag.Line);
            case "print": return ParsePrint(tag.Line);
            case "generation": return new GenerationStatement(tag.Line, WithoutLoops(() => ParseWholeBody("endgeneration")));
            case "break" or "continue":
                if (_breakableLoops == 0) throw ChatTemplateException.Failed(tag.Line, $"'{tag.Text}' stands outside of a loop");
                return new FlowStatement(tag.Line, tag.Text == "break" ? Flow.Break : Flow.Continue);
            default:
                if (RefusedTags.Contains(tag.Text)) throw ChatTemplateException.Unsupported(tag.Line, $"the tag '{tag.Text}'");
                throw ChatTemplateException.Failed(tag.Line, $"unknown tag '{tag.Text}'");
        }
    }

    /// <summary>Parses a body that is a function of its own in Jinja, which break and continue cannot leave.</summary>
    private T WithoutLoops<T>(Func<T> parse)
    {
        int breakable = _breakableLoops;
        _breakableLoops = 0;
        T result = parse();
        _breakableLoops = breakable;
        return result;
    }
}
