namespace EmScan.Engine.Chat;

/// <summary>
/// A Hugging Face chat template (the Jinja source in <c>tokenizer.chat_template</c> of a GGUF file or a tokenizer configuration), rendered
/// to the text that transformers' <c>apply_chat_template(tokenize=False)</c> gives: Jinja 3.1 in the immutable sandbox with trim_blocks,
/// lstrip_blocks, loop controls, generation blocks, <c>raise_exception</c>, <c>strftime_now</c> and transformers' own <c>tojson</c>.
/// </summary>
/// <remarks>
/// What is not supported is refused by name and line, never rendered differently. The text holds the template's own special tokens
/// (usually also the one at the beginning), so tokenize it with special tokens parsed and none added. Templates may come from untrusted
/// files: rendering is bounded in steps, text size and call depth. Immutable; one instance may render on many threads at once.
/// </remarks>
internal sealed class ChatTemplate
{
    private readonly Block _body;

    private ChatTemplate(string source, Block body) => (Source, _body) = (source, body);

    /// <summary>The template as it was given.</summary>
    public string Source { get; }

    /// <summary>Parses a template.</summary>
    /// <exception cref="ChatTemplateException">The template is malformed, nested more than about 100 deep, or uses a tag that is not
    /// supported.</exception>
    public static ChatTemplate Parse(string source)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (source.Length > RenderContext.MaxSize)
            throw ChatTemplateException.Failed(1, $"the template is longer than {RenderContext.MaxSize} characters");
        try
        {
            return new ChatTemplate(source, TemplateParser.Parse(source));
        }
        catch (InsufficientExecutionStackException)
        {
            throw ChatTemplateException.Failed(1, "the template is nested too deeply");
        }
    }

    /// <summary>Renders a conversation with the variables that transformers passes.</summary>
    /// <exception cref="ChatTemplateException">
    /// The template raised an exception, used something that is not supported, made an error in which transformers fails too, or ran
    /// into a limit; the properties of the exception tell these apart.
    /// </exception>
    /// <exception cref="ArgumentException">A variable of the request is of a type that templates do not know.</exception>
    public string Render(ChatRenderRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        var variables = new Dictionary<string, object?>();
        foreach (var (name, token) in request.SpecialTokens) variables[name] = token;
        foreach (var (name, value) in request.Variables) variables[name] = value;
        variables["messages"] = request.Messages.Select(message => ToVariable(message, request.ListContent));
        variables.TryAdd("tools", null);
        variables.TryAdd("documents", null);
        variables["add_generation_prompt"] = request.AddGenerationPrompt;
        return Render(variables, request.Now);
    }

    /// <summary>Renders with exactly these variables and no others.</summary>
    /// <param name="variables">Strings, numbers, booleans, nulls, lists and string-keyed dictionaries of these, by name.</param>
    /// <param name="now">What <c>strftime_now</c> shows.</param>
    /// <inheritdoc cref="Render(ChatRenderRequest)"/>
    public string Render(IReadOnlyDictionary<string, object?> variables, DateTime now)
    {
        ArgumentNullException.ThrowIfNull(variables);
        var context = new RenderContext((PyDict)PyConvert.FromNet(variables)!, now);
        try
        {
            _body.Run(context, new Scope());
            return context.Output.ToString();
        }
        catch (InsufficientExecutionStackException)
        {
            throw context.Error("expressions, values or macros are nested too deeply");
        }
    }

    private static Dictionary<string, object?> ToVariable(ChatMessage message, bool listContent)
    {
        object content = message.Content;
        if (listContent) content = new object[] { new Dictionary<string, object?> { ["type"] = "text", ["text"] = message.Content } };
        return new() { ["role"] = message.Role, ["content"] = content };
    }
}
