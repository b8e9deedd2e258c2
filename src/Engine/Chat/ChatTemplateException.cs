namespace EmScan.Engine.Chat;

/// <summary>
/// A chat template cannot be parsed or rendered. The message is one sentence that names the line of the template and the construct.
/// </summary>
internal sealed class ChatTemplateException : EmScanException
{
    private ChatTemplateException(string message, int line) : base(message) => Line = line;

    /// <summary>Line of the template, counted from 1, at which parsing or rendering stopped.</summary>
    public int Line { get; }

    /// <summary>True when the template itself called <c>raise_exception</c>: the conversation is one that it does not allow.</summary>
    public bool IsRaisedByTemplate => RaisedMessage is not null;

    /// <summary>The text that the template passed to <c>raise_exception</c>; null when the template did not raise.</summary>
    public string? RaisedMessage { get; private init; }

    /// <summary>
    /// True when transformers might render the template, but this renderer lacks the construct that the message names; false when
    /// the template fails there too, or when it exceeds a limit.
    /// </summary>
    public bool IsUnsupported { get; private init; }

    internal static ChatTemplateException Failed(int line, string problem) => new($"chat template line {line}: {problem}", line);

    internal static ChatTemplateException Unsupported(int line, string construct) =>
        new($"chat template line {line}: {construct} is not supported", line) { IsUnsupported = true };

    internal static ChatTemplateException Raised(int line, string message) =>
        new($"chat template line {line}: the template refused the conversation: {message}", line) { RaisedMessage = message };
}
