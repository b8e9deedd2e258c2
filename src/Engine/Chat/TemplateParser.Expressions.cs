using System.Text;

namespace EmScan.Engine.Chat;

/// <content>Expressions, from the loosest operator to the tightest, and down to names and literals.</content>
internal sealed partial class TemplateParser
{
    private bool IsTupleEnd(string? endName) =>
        Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd
        || Current.IsOperator(")")
        || (endName is not null && Current.IsName(endName));

    /// <summary>One expression, or a tuple when commas follow.</summary>
    private Expression ParseTuple(bool withConditional = true, string? endName = null, bool inParentheses = false)
    {
        int line = Current.Line;
        var items = new List<Expression>();
        bool isTuple = false;
        while (true)
        {
            if (items.Count > 0) ExpectOperator(",");
            if (IsTupleEnd(endName)) break;
            items.Add(ParseExpression(withConditional));
            if (!Current.IsOperator(",")) break;
            isTuple = true;
        }

        if (!isTuple && items.Count == 1) return items[0];
        if (!isTuple && !inParentheses) throw Unexpected("an expression");
        return new SequenceExpression(line, [.. items], isTuple: true);
    }

    private Expression ParseExpression(bool withConditional = true) => Nested(() => withConditional ? ParseConditional() : ParseOr());

    private Expression ParseConditional()
    {
        int line = Current.Line;
        Expression value = ParseOr();
        while (TryTakeName("if"))
        {
            Expression condition = ParseOr();
            Expression? otherwise = TryTakeName("else") ? Nested(ParseConditional) : null;
            value = new ConditionalExpression(line, condition, value, otherwise);
        }

        return value;
    }

    private Expression ParseOr()
    {
        int line = Current.Line;
        Expression left = ParseAnd();
        while (TryTakeName("or")) left = new LogicExpression(line, isAnd: false, left, ParseAnd());
        return left;
    }

    private Expression ParseAnd()
    {
        int line = Current.Line;
        Expression left = ParseNot();
        while (TryTakeName("and")) left = new LogicExpression(line, isAnd: true, left, ParseNot());
        return left;
    }

    private Expression ParseNot()
    {
        int line = Current.Line;
        return TryTakeName("not") ? new NotExpression(line, Nested(ParseNot)) : ParseCompare();
    }

    private Expression ParseCompare()
    {
        int line = Current.Line;
        Expression first = ParseSum();
        var links = new List<(string, Expression)>();
        while (true)
        {
            string? symbol = null;
            if (Current.Kind == TokenKind.Operator && Current.Text is "==" or "!=" or "<" or "<=" or ">" or ">=") symbol = Take().Text;
            else if (TryTakeName("in")) symbol = "in";
            else if (Current.IsName("not") && Next.IsName("in"))
            {
                symbol = "not in";
                _position += 2;
            }

            if (symbol is null) return links.Count == 0 ? first : new CompareExpression(line, first, [.. links]);
            links.Add((symbol, ParseSum()));
        }
    }

    private Expression ParseSum() => ParseArithmetic(ParseConcat, "+", "-");

    private Expression ParseConcat()
    {
        int line = Current.Line;
        Expression first = ParseProduct();
        if (!Current.IsOperator("~")) return first;
        var operands = new List<Expression> { first };
        while (TryTakeOperator("~")) operands.Add(ParseProduct());
        return new ConcatExpression(line, [.. operands]);
    }

    private Expression ParseProduct() => ParseArithmetic(ParsePower, "*", "/", "//", "%");

    // In Jinja a power binds to the left, and looser than a sign: -2 ** 2 is 4.
    private Expression ParsePower() => ParseArithmetic(() => ParseUnary(withFilters: true), "**");

    private Expression ParseArithmetic(Func<Expression> parseOperand, params string[] symbols)
    {
        int line = Current.Line;
        Expression left = parseOperand();
        while (Current.Kind == TokenKind.Operator && symbols.Contains(Current.Text))
        {
            string symbol = Take().Text;
            left = new ArithmeticExpression(line, symbol, left, parseOperand());
        }

        return left;
    }

    private Expression ParseUnary(bool withFilters)
    {
        int line = Current.Line;
        Expression value;
        if (TryTakeOperator("-")) value = new SignExpression(line, Nested(() => ParseUnary(withFilters: false)), negative: true);
        else if (TryTakeOperator("+")) value = new SignExpression(line, Nested(() => ParseUnary(withFilters: false)), negative: false);
        else value = ParsePrimary();
        value = ParsePostfix(value);
        return withFilters ? ParseFiltersAndTests(value) : value;
    }

    private Expression ParsePrimary()
    {
        TemplateToken token = Take();
        switch (token.Kind)
        {
            case TokenKind.Name: return ParseName(token);
            case TokenKind.Number: return new ConstantExpression(token.Line, token.Value);
            case TokenKind.Text:
                var text = new StringBuilder(token.Text);
                while (Current.Kind == TokenKind.Text) text.Append(Take().Text);
                return new ConstantExpression(token.Line, text.ToString());
            case TokenKind.Operator when token.Text == "(":
                Expression inner = ParseTuple(inParentheses: true);
                ExpectOperator(")");
                return inner;
            case TokenKind.Operator when token.Text == "[": return ParseList(token.Line);
            case TokenKind.Operator when token.Text == "{": return ParseDict(token.Line);
            default: throw ChatTemplateException.Failed(token.Line, $"expected an expression, found {token.Description}");
        }
    }

    private Expression ParseName(TemplateToken token)
    {
        switch (token.Text)
        {
            case "true" or "True": return new ConstantExpression(token.Line, true);
            case "false" or "False": return new ConstantExpression(token.Line, false);
            case "none" or "None": return new ConstantExpression(token.Line, null);
            case "caller" or "kwargs" or "varargs":
                foreach (HashSet<string> names in _macroNames) names.Add(token.Text);
                break;
        }

        return new NameExpression(token.Line, token.Text);
    }

    private SequenceExpression ParseList(int line)
    {
        var items = new List<Expression>();
        while (!TryTakeOperator("]"))
        {
            if (items.Count > 0) ExpectOperator(",");
            if (TryTakeOperator("]")) break;
            items.Add(ParseExpression());
        }

        return new SequenceExpression(line, [.. items], isTuple: false);
    }

    private DictExpression ParseDict(int line)
    {
        var items = new List<(Expression, Expression)>();
        while (!TryTakeOperator("}"))
        {
            if (items.Count > 0) ExpectOperator(",");
            if (TryTakeOperator("}")) break;
            Expression key = ParseExpression();
            ExpectOperator(":");
            items.Add((key, ParseExpression()));
        }

        return new DictExpression(line, [.. items]);
    }
}
