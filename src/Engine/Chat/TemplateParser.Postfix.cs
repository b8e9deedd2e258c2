namespace EmScan.Engine.Chat;

/// <content>What follows a value: attributes, items and slices, calls, filters and tests.</content>
internal sealed partial class TemplateParser
{
    private Expression ParsePostfix(Expression value)
    {
        while (true)
        {
            int line = Current.Line;
            if (TryTakeOperator(".")) value = ParseDot(line, value);
            else if (TryTakeOperator("[")) value = ParseSubscript(line, value);
            else if (Current.IsOperator("(")) value = new CallExpression(line, value, ParseArguments());
            else return value;
        }
    }

    private Expression ParseFiltersAndTests(Expression value)
    {
        while (true)
        {
            int line = Current.Line;
            if (Current.IsOperator("|")) value = ParseFilters(value);
            else if (TryTakeName("is")) value = ParseTest(line, value);
            else if (Current.IsOperator("(")) value = new CallExpression(line, value, ParseArguments());
            else return value;
        }
    }

    private Expression ParseDot(int line, Expression target)
    {
        TemplateToken name = Take();
        if (name.Kind == TokenKind.Name) return new AttributeExpression(line, target, name.Text);
        if (name is { Kind: TokenKind.Number, Value: long })
            return new ItemExpression(line, target, new ConstantExpression(line, name.Value));
        throw ChatTemplateException.Failed(name.Line, $"expected a name or a number after the dot, found {name.Description}");
    }

    private Expression ParseSubscript(int line, Expression target)
    {
        if (TryTakeOperator("]")) return new ItemExpression(line, target, new SequenceExpression(line, [], isTuple: true));
        Expression? start = Current.IsOperator(":") ? null : ParseExpression();
        if (!TryTakeOperator(":"))
        {
            if (!Current.IsOperator(",") || start is null)
            {
                ExpectOperator("]");
                return new ItemExpression(line, target, start!);
            }

            var keys = new List<Expression> { start };
            while (!TryTakeOperator("]"))
            {
                ExpectOperator(",");
                keys.Add(ParseExpression());
            }

            return new ItemExpression(line, target, new SequenceExpression(line, [.. keys], isTuple: true));
        }

        Expression? stop = Current.IsOperator(":") || Current.IsOperator("]") ? null : ParseExpression();
        Expression? step = TryTakeOperator(":") && !Current.IsOperator("]") ? ParseExpression() : null;
        if (Current.IsOperator(",")) throw ChatTemplateException.Unsupported(line, "a slice of several dimensions");
        ExpectOperator("]");
        return new SliceExpression(line, target, start, stop, step);
    }

    private ArgumentExpressions ParseArguments()
    {
        var positional = new List<Expression>();
        var named = new List<KeyValuePair<string, Expression>>();
        Expression? spread = null;
        Expression? spreadNamed = null;
        bool isFirst = true;
        ExpectOperator("(");
        while (!TryTakeOperator(")"))
        {
            if (!isFirst) ExpectOperator(",");
            if (!isFirst && TryTakeOperator(")")) break;
            isFirst = false;
            bool mayBePositional = spread is null && spreadNamed is null && named.Count == 0;
            if (Current.IsOperator("*"))
            {
                Allow(spread is null && spreadNamed is null);
                Take();
                spread = ParseExpression();
            }
            else if (Current.IsOperator("**"))
            {
                Allow(spreadNamed is null);
                Take();
                spreadNamed = ParseExpression();
            }
            else if (Current.Kind == TokenKind.Name && Next.IsOperator("="))
            {
                Allow(spreadNamed is null);
                string name = Take().Text;
                Take();
                named.Add(new(name, ParseExpression()));
            }
            else
            {
                Allow(mayBePositional);
                positional.Add(ParseExpression());
            }
        }

        return new ArgumentExpressions([.. positional], [.. named], spread, spreadNamed);

        void Allow(bool condition)
        {
            if (!condition) throw Error("the arguments of a call are in the wrong order");
        }
    }

    /// <summary>A chain of filters, each with its bar.</summary>
    private Expression ParseFilters(Expression? value)
    {
        while (TryTakeOperator("|")) value = ParseFilter(value);
        return value!;
    }

    private FilterExpression ParseFilter(Expression? value)
    {
        int line = Current.Line;
        string name = ParseDottedName("the name of a filter");
        return new FilterExpression(line, value, name, Current.IsOperator("(") ? ParseArguments() : ArgumentExpressions.None);
    }

    private string ParseDottedName(string what)
    {
        string name = Expect(TokenKind.Name, what).Text;
        while (TryTakeOperator(".")) name += "." + Expect(TokenKind.Name, what).Text;
        return name;
    }

    private Expression ParseTest(int line, Expression value)
    {
        bool negated = TryTakeName("not");
        string name = ParseDottedName("the name of a test");
        ArgumentExpressions arguments = ArgumentExpressions.None;
        if (Current.IsOperator("("))
        {
            arguments = ParseArguments();
        }
        else if (Current.Kind is TokenKind.Name or TokenKind.Text or TokenKind.Number || Current.IsOperator("[") || Current.IsOperator("{"))
        {
            if (Current.IsName("is")) throw Error("tests cannot be chained with 'is'");
            if (Current.Text is not ("else" or "or" or "and") || Current.Kind != TokenKind.Name)
                arguments = ArgumentExpressions.Of(Nested(() => ParsePostfix(ParsePrimary())));
        }

        Expression test = new TestExpression(line, value, name, arguments);
        return negated ? new NotExpression(line, test) : test;
    }
}
