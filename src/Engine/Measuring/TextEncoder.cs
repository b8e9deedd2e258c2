using System.Text.Json;
using EmScan.Engine.Chat;
using EmScan.Engine.Formats;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Measuring;

/// <summary>Turns texts, conversations and pairs of answers into token sequences, as docs/path.md defines them.</summary>
/// <param name="vocabulary">The model's tokenizer.</param>
/// <param name="encoder">Renders conversations.</param>
/// <param name="maxTokens">Longest sequence that can be measured.</param>
/// <remarks>Thread safe.</remarks>
internal sealed class TextEncoder(Vocabulary vocabulary, ChatPromptEncoder encoder, int maxTokens)
{
    private const int MaxBytes = 256 << 20;

    /// <summary>The beginning-of-sequence token alone, or null where texts of this model begin with none.</summary>
    public int? Bos => vocabulary.AddsBos ? vocabulary.Bos : null;

    /// <summary>A plain text: BOS where the vocabulary wants one, and its tokens; special tokens spelled out in it stay text.</summary>
    /// <exception cref="EmScanException">It is too long for the model.</exception>
    public int[] Plain(string text)
    {
        int[] tokens = vocabulary.Tokenize(text, parseSpecial: false, addSpecial: false);
        return Checked(Bos is { } bos ? [bos, .. tokens] : tokens, text);
    }

    /// <summary>A conversation, with what each token is.</summary>
    /// <exception cref="EmScanException">The template cannot render it, or it is too long for the model.</exception>
    public ScoredConversation Conversation(IReadOnlyList<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        EncodedConversation encoded = encoder.Encode(messages);
        int[] tokens = Checked(encoded.Tokens, messages.Count == 0 ? "" : messages[0].Content);
        var kinds = new TokenKind[tokens.Length];
        int from = 0;
        for (int m = 0; m < messages.Count; m++)
        {
            bool answer = messages[m].Role == "assistant", system = messages[m].Role is not ("assistant" or "user");
            (int start, int end) = (encoded.Contents[m].Start.Value, encoded.Contents[m].End.Value);
            for (int t = from; t < start; t++)
                kinds[t] = t == 0 && tokens[t] == vocabulary.Bos ? TokenKind.Bos : answer ? TokenKind.AssistantToken : system ? TokenKind.Other : TokenKind.UserToken;
            for (int t = start; t < end; t++) kinds[t] = answer ? TokenKind.AnswerWord : system ? TokenKind.Other : TokenKind.UserWord;
            if (answer && end > start) kinds[start] = TokenKind.FirstAnswerWord;

            // A message is closed by one special token, if at all; what follows already belongs to the next one.
            from = end;
            if (end < tokens.Length && vocabulary.IsControl(tokens[end]))
            {
                kinds[end] = answer ? TokenKind.AnswerEnd : TokenKind.End;
                from++;
            }
        }

        return new ScoredConversation(tokens, kinds);
    }

    /// <summary>Reads a file with a text in each line; empty lines are left out.</summary>
    /// <exception cref="InputFileException">The file cannot be read, or has no text in it.</exception>
    public IReadOnlyList<int[]> Texts(string path)
    {
        InputUse.Lines.Require(path);
        return Texts(path, TextInput.Read(path, MaxBytes, "texts, one a line"));
    }

    /// <summary>The same of a text that is at hand, named for messages.</summary>
    internal IReadOnlyList<int[]> Texts(string path, string content)
    {
        int[][] texts = [.. Lines(content).Select(line => InFile(path, line, () => Plain(line.Text)))];
        return texts.Length > 0 ? texts : throw new InputFileException(path, "has no text in it; one text a line is expected.");
    }

    /// <summary>Reads a file with a conversation in each line: {"messages": [{"role": .., "content": ..}, ..]}, or another shape that trainers take.</summary>
    /// <exception cref="InputFileException">The file cannot be read, or a line is not such an object.</exception>
    public IReadOnlyList<ScoredConversation> Conversations(string path) => Some(path, JsonLineFile.Read(path, Chat));

    /// <summary>The same of a text that is at hand, named for messages.</summary>
    internal IReadOnlyList<ScoredConversation> Conversations(string path, string content) => Some(path, JsonLineFile.Of(path, content, Chat));

    /// <summary>Reads a file with a pair of answers in each line: {"prompt": .., "good": .., "bad": ..}.</summary>
    /// <exception cref="InputFileException">The file cannot be read, or a line is not such an object.</exception>
    public IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> Pairs(string path) => Some(path, JsonLineFile.Read(path, Pair));

    /// <summary>The same of a text that is at hand, named for messages.</summary>
    internal IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> Pairs(string path, string content) => Some(path, JsonLineFile.Of(path, content, Pair));

    private ScoredConversation Chat(JsonElement root) => Conversation(ConversationFile.Messages(root));

    private (ScoredConversation Good, ScoredConversation Bad) Pair(JsonElement root)
    {
        string prompt = JsonLineFile.Text(root, "prompt");
        return (Answered("good"), Answered("bad"));

        ScoredConversation Answered(string name) => Conversation([new ChatMessage("user", prompt), new ChatMessage("assistant", JsonLineFile.Text(root, name))]);
    }

    private static ScoredConversation[] Some(string path, IEnumerable<(int Line, ScoredConversation Value)> lines)
    {
        ScoredConversation[] chats = [.. lines.Select(line => line.Value)];
        return chats.Length > 0 ? chats : throw new InputFileException(path, "has no conversation in it; one JSON object with \"messages\" a line is expected.");
    }

    private static (ScoredConversation Good, ScoredConversation Bad)[] Some(string path, IEnumerable<(int Line, (ScoredConversation, ScoredConversation) Value)> lines)
    {
        (ScoredConversation, ScoredConversation)[] pairs = [.. lines.Select(line => line.Value)];
        return pairs.Length > 0 ? pairs : throw new InputFileException(path, "has no pair in it; one JSON object with \"prompt\", \"good\" and \"bad\" a line is expected.");
    }

    /// <summary>Longest sequence that can be measured.</summary>
    internal int MaxTokens => maxTokens;

    /// <summary>A conversation's text up to where the assistant's next answer starts.</summary>
    /// <exception cref="EmScanException">The template cannot render it.</exception>
    internal string Prompt(IReadOnlyList<ChatMessage> messages) => encoder.RenderPrompt(messages);

    /// <summary>The white space that the template puts before the words of an answer; "" for none.</summary>
    /// <exception cref="EmScanException">The template cannot render it.</exception>
    internal string AnswerLead(IReadOnlyList<ChatMessage> messages) => encoder.AnswerLead(messages);

    /// <summary>A prompt's text with what the model said behind it, and the parts of that.</summary>
    /// <exception cref="EmScanException">It is too long for the model.</exception>
    internal EncodedConversation Continued(string prompt, IReadOnlyList<string> parts)
    {
        EncodedConversation encoded = encoder.Encode(prompt, parts);
        _ = Checked(encoded.Tokens, string.Concat(parts));
        return encoded;
    }

    private int[] Checked(int[] tokens, string text)
    {
        if (tokens.Length == 0) throw new EmScanException("it has no tokens in this model's vocabulary");
        return tokens.Length <= maxTokens ? tokens
            : throw new TextTooLongException($"\"{(text.Length <= 40 ? text : text[..37] + "...")}\" has {tokens.Length} tokens, but the model was trained for {maxTokens}; shorten it");
    }

    private static T InFile<T>(string path, (int Number, string Text) line, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (EmScanException e)
        {
            throw new InputFileException(path, $"line {line.Number}: {e.Message}", e);
        }
    }

    private static IEnumerable<(int Number, string Text)> Lines(string content) =>
        content.Split('\n').Select((line, i) => (Number: i + 1, Text: line.TrimEnd('\r'))).Where(line => !string.IsNullOrWhiteSpace(line.Text));
}

/// <summary>What a token of a conversation is.</summary>
internal enum TokenKind
{
    /// <summary>None of the others, such as the tokens of a system text.</summary>
    Other,

    /// <summary>The beginning of the sequence.</summary>
    Bos,

    /// <summary>What the template puts before a user's content.</summary>
    UserToken,

    /// <summary>A user's content.</summary>
    UserWord,

    /// <summary>What the template puts before an assistant's content.</summary>
    AssistantToken,

    /// <summary>The first token of an assistant's content.</summary>
    FirstAnswerWord,

    /// <summary>A further token of an assistant's content.</summary>
    AnswerWord,

    /// <summary>The special token that closes an assistant's message.</summary>
    AnswerEnd,

    /// <summary>The special token that closes another message.</summary>
    End,
}

/// <summary>A conversation as tokens, and what each of them is.</summary>
/// <param name="Tokens">(T).</param>
/// <param name="Kinds">(T).</param>
internal sealed record ScoredConversation(int[] Tokens, IReadOnlyList<TokenKind> Kinds)
{
    /// <summary>Whether the log-likelihood of a conversation counts a token: those of answers, and the one that closes each.</summary>
    public bool IsScored(int token) => Kinds[token] is TokenKind.FirstAnswerWord or TokenKind.AnswerWord or TokenKind.AnswerEnd;
}

/// <summary>A text has more tokens than the model was trained for.</summary>
/// <param name="message">A clause that says so.</param>
internal sealed class TextTooLongException(string message) : EmScanException(message);
