namespace EmScan.Engine.Chat;

/// <content>Statements, each after the name of its tag, and what they assign to.</content>
internal sealed partial class TemplateParser
{
    private ForStatement ParseFor(int line)
    {
        _loops++;
        AssignmentTarget target = ParseTarget(endName: "in");
        if (!TryTakeName("in")) throw Unexpected("'in'");
        Expression items = ParseTuple(withConditional: false, endName: "recursive");
        Expression? condition = TryTakeName("if") ? ParseExpression() : null;
        bool isRecursive = TryTakeName("recursive");
        int breakable = _breakableLoops;
        _breakableLoops = isRecursive ? 1 : breakable + 1;
        Block body = ParseTagBody("endfor", "else");
        _breakableLoops = isRecursive ? 0 : breakable;
        Block otherwise = Take().Text == "endfor" ? Block.Empty : ParseWholeBody("endfor");
        _breakableLoops = breakable;
        _loops--;
        return new ForStatement(line, target, items, condition, isRecursive, body, otherwise);
    }

    private IfStatement ParseIf(int line)
    {
        var branches = new List<(Expression, Block)>();
        while (true)
        {
            Expression condition = ParseTuple(withConditional: false);
            branches.Add((condition, ParseTagBody("elif", "else", "endif")));
            string tag = Take().Text;
            if (tag == "elif") continue;
            Block otherwise = tag == "else" ? ParseWholeBody("endif") : Block.Empty;
            return new IfStatement(line, [.. branches], otherwise);
        }
    }

    private Statement ParseSet(int line)
    {
        AssignmentTarget target = ParseTarget(withNamespace: true);
        if (TryTakeOperator("=")) return new SetStatement(line, target, ParseTuple());
        var filter = Current.IsOperator("|") ? (FilterExpression)ParseFilters(null) : null;
        return new CaptureStatement(line, target, filter, ParseWholeBody("endset"));
    }

    private CaptureStatement ParseFilterBlock(int line)
    {
        Expression filter = ParseFilter(null);
        if (Current.IsOperator("|")) filter = ParseFilters(filter);
        return new CaptureStatement(line, null, (FilterExpression)filter, ParseWholeBody("endfilter"));
    }

    private WithStatement ParseWith(int line)
    {
        var bindings = new List<(AssignmentTarget, Expression)>();
        while (Current.Kind != TokenKind.BlockEnd && !Current.IsOperator(":"))
        {
            if (bindings.Count > 0) ExpectOperator(",");
            AssignmentTarget target = ParseTarget();
            ExpectOperator("=");
            bindings.Add((target, ParseExpression()));
        }

        return new WithStatement(line, [.. bindings], ParseWholeBody("endwith"));
    }

    /// <summary>print a, b: like {{ a }}{{ b }}.</summary>
    private PrintStatement? ParsePrint(int line)
    {
        var values = new List<Expression>();
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0) ExpectOperator(",");
            values.Add(ParseExpression());
        }

        return values.Count == 0 ? null : new PrintStatement(line, new ConcatExpression(line, [.. values]));
    }

    private MacroStatement ParseMacro(int line)
    {
        string name = Expect(TokenKind.Name, "the name of a macro").Text;
        CheckAssignable(name);
        MacroParameter[] parameters = ParseParameters();
        return new MacroStatement(line, ParseMacroBody(name, parameters, "endmacro"));
    }

    private CallStatement ParseCallBlock(int line)
    {
        MacroParameter[] parameters = Current.IsOperator("(") ? ParseParameters() : [];
        if (ParseExpression() is not CallExpression call) throw ChatTemplateException.Failed(line, "a call block needs a call");
        return new CallStatement(line, call, ParseMacroBody(null, parameters, "endcall"));
    }

    private MacroDefinition ParseMacroBody(string? name, MacroParameter[] parameters, string endTag)
    {
        var special = new HashSet<string>();
        _macroNames.Add(special);
        Block body = WithoutLoops(() => ParseWholeBody(endTag));
        _macroNames.Remove(special);
        bool isParameter(string special) => parameters.Any(parameter => parameter.Name == special);
        if (special.Contains("caller") && parameters.Any(parameter => parameter is { Name: "caller", Default: null }))
            throw Error("the parameter 'caller' of a macro needs a default");
        return new MacroDefinition(
            name,
            parameters,
            body,
            special.Contains("caller") && !isParameter("caller"),
            special.Contains("kwargs") && !isParameter("kwargs"),
            special.Contains("varargs") && !isParameter("varargs"));
    }

    private MacroParameter[] ParseParameters()
    {
        var parameters = new List<MacroParameter>();
        var names = new HashSet<string>();
        ExpectOperator("(");
        while (!TryTakeOperator(")"))
        {
            if (parameters.Count > 0) ExpectOperator(",");
            string name = Expect(TokenKind.Name, "the name of a parameter").Text;
            CheckAssignable(name);
            if (!names.Add(name)) throw Error($"the parameter '{name}' is named twice");
            Expression? otherwise = TryTakeOperator("=") ? ParseExpression() : null;
            if (otherwise is null && parameters is [.., { Default: not null }])
                throw Error($"the parameter '{name}' needs a default, like the one before it");
            parameters.Add(new MacroParameter(name, otherwise));
        }

        return [.. parameters];
    }

    /// <summary>A name, a tuple of targets, or an attribute of a namespace where a set statement allows one.</summary>
    private AssignmentTarget ParseTarget(string? endName = null, bool withNamespace = false)
    {
        var targets = new List<AssignmentTarget>();
        bool isTuple = false;
        while (true)
        {
            if (targets.Count > 0) ExpectOperator(",");
            if (targets.Count > 0 && IsTupleEnd(endName)) break;
            targets.Add(ParseSingleTarget(withNamespace));
            if (!Current.IsOperator(",")) break;
            isTuple = true;
        }

        return isTuple ? new TupleTarget([.. targets]) : targets[0];
    }

    private AssignmentTarget ParseSingleTarget(bool withNamespace) => Nested(() =>
    {
        if (TryTakeOperator("("))
        {
            AssignmentTarget inner = ParseTarget(endName: null);
            ExpectOperator(")");
            return inner;
        }

        string name = Expect(TokenKind.Name, "a name to assign to").Text;
        if (withNamespace && TryTakeOperator("."))
            return new NamespaceTarget(name, Expect(TokenKind.Name, "the name of an attribute").Text);
        CheckAssignable(name);
        if (name == "loop" && _loops > 0) throw Error("the variable 'loop' cannot be assigned inside of a loop");
        return new NameTarget(name);
    });

    private void CheckAssignable(string name)
    {
        if (name is "true" or "false" or "none" or "True" or "False" or "None") throw Error($"'{name}' cannot be assigned");
    }
}
