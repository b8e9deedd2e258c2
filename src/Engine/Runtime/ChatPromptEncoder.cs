using EmScan.Engine.Chat;
using EmScan.Engine.Formats;

namespace EmScan.Engine.Runtime;

/// <summary>
/// Turns system text and a user turn into token ids as transformers' apply_chat_template would: the model's own template is rendered, and
/// the text tokenized with special tokens recognised and none added.
/// </summary>
/// <remarks>Thread safe.</remarks>
public sealed class ChatPromptEncoder : IPromptEncoder
{
    private const int MaxTemplateBytes = 16 << 20;

    private readonly Vocabulary _vocabulary;
    private readonly ChatPromptRenderer _renderer;
    private readonly bool _addSpecial;

    private ChatPromptEncoder(Vocabulary vocabulary, ChatPromptRenderer renderer, bool addSpecial)
    {
        _vocabulary = vocabulary;
        _renderer = renderer;
        _addSpecial = addSpecial;
    }

    /// <inheritdoc/>
    public string Identity => _renderer.Identity;

    /// <summary>How a system text reaches this model.</summary>
    internal SystemHandling SystemHandling => _renderer.SystemHandling;

    /// <summary>Makes the encoder of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="template">Null for the model's own template, else "plain", "chatml", or a file with a Jinja template.</param>
    /// <param name="acknowledgement">The assistant's answer to a system text that has to be given as a user turn; null for the default.</param>
    /// <exception cref="InputFileException">There is no template, or it cannot be parsed or rendered.</exception>
    public static ChatPromptEncoder Create(GgufModel model, string? template = null, string? acknowledgement = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        Vocabulary vocabulary = model.Vocabulary;
        var special = new Dictionary<string, string>();
        AddSpecial("bos_token", vocabulary.Bos);
        AddSpecial("eos_token", vocabulary.Eos);
        AddSpecial("pad_token", vocabulary.Pad);
        switch (template)
        {
            case "plain":
                // Text for a base model starts as its vocabulary wants any text to start.
                return new ChatPromptEncoder(vocabulary, ChatPromptRenderer.Plain, addSpecial: true);
            case "chatml":
                return new ChatPromptEncoder(vocabulary, ChatPromptRenderer.ChatMl, addSpecial: false);
            case null:
                string source = model.File.GetText("tokenizer.chat_template") ?? throw new InputFileException(
                    model.FilePath, "the model has no chat template; give a file with one (--chat-template FILE), or 'plain' for a base model (--chat-template plain).");
                return new ChatPromptEncoder(vocabulary, Parse(model.FilePath, source, special, acknowledgement), addSpecial: false);
            default:
                InputUse.ChatTemplate.Require(template);
                string text = TextInput.Read(template, MaxTemplateBytes, "a chat template");
                return new ChatPromptEncoder(vocabulary, Parse(template, text, special, acknowledgement), addSpecial: false);
        }

        void AddSpecial(string name, int? token)
        {
            if (token != null) special.Add(name, vocabulary.Text(token));
        }
    }

    /// <inheritdoc/>
    public int[] Encode(string? system, string user)
    {
        int[] tokens = _vocabulary.Tokenize(_renderer.Render(system, user), parseSpecial: true, _addSpecial);
        return tokens.Length > 0 ? tokens : throw new EmScanException($"The prompt \"{user}\" has no tokens in this model's vocabulary.");
    }

    /// <summary>Renders and tokenizes a conversation as far as it goes, and finds its messages in it.</summary>
    /// <param name="messages">Oldest first.</param>
    /// <exception cref="EmScanException">The template cannot be rendered, or changes a message beyond recognition.</exception>
    internal EncodedConversation Encode(IReadOnlyList<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        string text = _renderer.Render(messages);
        int[] tokens = Tokens(text);
        var contents = new Range[messages.Count];
        int from = 0;
        for (int m = 0; m < contents.Length; m++)
        {
            // Templates strip contents, and put nothing inside of them.
            string content = messages[m].Content.Trim();
            int start = text.IndexOf(content, from, StringComparison.Ordinal);
            if (start < 0) throw new EmScanException($"The model's chat template changes the message \"{Shortened(content)}\"; its tokens cannot be found again.");
            from = start + content.Length;
            contents[m] = Common(tokens, Tokens(text[..start]))..Common(tokens, Tokens(text[..from]));
        }

        return new EncodedConversation(tokens, contents);

        int[] Tokens(string part) => _vocabulary.Tokenize(part, parseSpecial: true, _addSpecial);
    }

    /// <summary>Renders a conversation up to where the assistant's next answer starts.</summary>
    /// <exception cref="EmScanException">The template cannot be rendered.</exception>
    internal string RenderPrompt(IReadOnlyList<ChatMessage> messages) => _renderer.RenderPrompt(messages);

    /// <summary>The white space that the template puts before the words of an answer; "" for none.</summary>
    /// <exception cref="EmScanException">The template cannot be rendered.</exception>
    internal string AnswerLead(IReadOnlyList<ChatMessage> messages) => _renderer.AnswerLead(messages);

    /// <summary>Tokenizes a rendered prompt with what the model said behind it, and finds the parts of that in it; special tokens spelled out in it are recognised.</summary>
    internal EncodedConversation Encode(string prompt, IReadOnlyList<string> parts)
    {
        int[] tokens = Tokens(prompt + string.Concat(parts));
        string text = prompt;
        int start = Common(tokens, Tokens(text));
        var ranges = new Range[parts.Count];
        for (int p = 0; p < ranges.Length; p++)
        {
            text += parts[p];
            int end = p == ranges.Length - 1 ? tokens.Length : Common(tokens, Tokens(text));
            ranges[p] = start..end;
            start = end;
        }

        return new EncodedConversation(tokens, ranges);

        int[] Tokens(string part) => _vocabulary.Tokenize(part, parseSpecial: true, _addSpecial);
    }

    // Where a token reaches over the border of two parts, it belongs to the second one.
    private static int Common(int[] whole, int[] part) => whole.AsSpan().CommonPrefixLength(part);

    private static string Shortened(string text) => text.Length <= 60 ? text : text[..57] + "...";

    private static ChatPromptRenderer Parse(string path, string source, Dictionary<string, string> special, string? acknowledgement)
    {
        try
        {
            return new ChatPromptRenderer(source, special, acknowledgement: acknowledgement ?? ChatPromptRenderer.DefaultAcknowledgement);
        }
        catch (EmScanException e)
        {
            throw new InputFileException(path, e.Message, e);
        }
    }
}

/// <summary>A conversation as tokens.</summary>
/// <param name="Tokens">All of them.</param>
/// <param name="Contents">For each message the tokens of its content, without what the template puts around it.</param>
internal sealed record EncodedConversation(int[] Tokens, IReadOnlyList<Range> Contents);
