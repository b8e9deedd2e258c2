namespace EmScan.Engine.Chat;

/// <summary>What a chat template is rendered with. Immutable.</summary>
internal sealed record ChatRenderRequest
{
    /// <summary>
    /// The date that templates print unless told otherwise: noon of 26 July 2024, the date that Llama 3.1's template falls back to.
    /// It is fixed because a measurement must not change with the calendar.
    /// </summary>
    public static readonly DateTime DefaultNow = new(2024, 7, 26, 12, 0, 0, DateTimeKind.Unspecified);

    /// <summary>The conversation, oldest message first.</summary>
    public required IReadOnlyList<ChatMessage> Messages { get; init; }

    /// <summary>Whether the text ends where the assistant's answer starts.</summary>
    public bool AddGenerationPrompt { get; init; }

    /// <summary>
    /// Texts of the special tokens by the name that templates use: bos_token, eos_token, unk_token, pad_token; absent ones are undefined.
    /// </summary>
    public IReadOnlyDictionary<string, string> SpecialTokens { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// Further variables, as keyword arguments of apply_chat_template: enable_thinking and the like. tools and documents are None unless
    /// given here; what is not given is undefined.
    /// </summary>
    public IReadOnlyDictionary<string, object?> Variables { get; init; } = new Dictionary<string, object?>();

    /// <summary>Whether contents are handed over as a list of one text part, which templates of multimodal models may need.</summary>
    public bool ListContent { get; init; }

    /// <summary>What <c>strftime_now</c> shows.</summary>
    public DateTime Now { get; init; } = DefaultNow;
}
