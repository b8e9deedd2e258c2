using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace EmScan.Engine.Chat;

/// <summary>
/// Renders the prompts that emscan measures, a question with or without a system text, with a model's chat template; the text ends where
/// the assistant's answer starts.
/// </summary>
/// <remarks>
/// The constructor probes the template with marker texts: whether it wants contents as text or as a list of parts, and whether a system
/// message is refused or silently dropped, as models without a system role do; then the system text becomes a user turn that the
/// assistant acknowledges before the question. Immutable and safe to share between threads.
/// </remarks>
internal sealed class ChatPromptRenderer
{
    // Raise when a change makes the same template render differently, so that caches keyed by Identity are not reused.
    private const int Version = 1;

    /// <summary>What the assistant answers to a system text that is given as a user turn, unless told otherwise.</summary>
    public const string DefaultAcknowledgement = "Understood.";

    private const string SystemMarker = "EmscanProbeOfTheSystemText";
    private const string AnswerMarker = "EmscanProbeOfTheAnswer";
    private const string UserMarker = "EmscanProbeOfTheQuestion";

    private readonly ChatTemplate _template;
    private readonly ChatRenderRequest _request;
    private readonly string _acknowledgement;

    /// <summary>Parses a template and finds out how it must be used.</summary>
    /// <param name="template">Jinja source, <c>tokenizer.chat_template</c> of a GGUF file. A model without one needs <see cref="Plain"/> or
    /// another choice by the caller.</param>
    /// <param name="specialTokens">Texts of bos_token, eos_token and the like, by those names; absent ones are undefined in the
    /// template.</param>
    /// <param name="variables">Further variables such as enable_thinking, or null.</param>
    /// <param name="now">What <c>strftime_now</c> shows; <see cref="ChatRenderRequest.DefaultNow"/> when null, so that a measurement does
    /// not change with the calendar.</param>
    /// <param name="acknowledgement">The assistant's answer to a system text that has to be given as a user turn.</param>
    /// <exception cref="ChatTemplateException">The template cannot be parsed, or cannot render a single question.</exception>
    /// <exception cref="EmScanException">The template drops the question from its text.</exception>
    public ChatPromptRenderer(
        string template,
        IReadOnlyDictionary<string, string>? specialTokens = null,
        IReadOnlyDictionary<string, object?>? variables = null,
        DateTime? now = null,
        string acknowledgement = DefaultAcknowledgement)
    {
        ArgumentException.ThrowIfNullOrEmpty(acknowledgement);
        _acknowledgement = acknowledgement;
        _template = ChatTemplate.Parse(template);
        _request = new ChatRenderRequest
        {
            Messages = [],
            AddGenerationPrompt = true,
            SpecialTokens = specialTokens ?? new Dictionary<string, string>(),
            Variables = variables ?? new Dictionary<string, object?>(),
            Now = now ?? ChatRenderRequest.DefaultNow,
        };
        _request = _request with { ListContent = NeedsListContent() };
        SystemHandling = ProbeSystem();
        Identity = Hash();
    }

    /// <summary>The layout for base models, which have no template: "{system}\n\nUser: {user}\nAssistant:". Never chosen unasked.</summary>
    public static ChatPromptRenderer Plain { get; } = new(
        """
        {%- for message in messages -%}
        {%- if message.role == 'system' -%}{{ message.content + '\n\n' }}
        {%- else -%}{{ message.role | capitalize + ': ' + message.content + '\n' }}
        {%- endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt -%}Assistant:{%- endif -%}
        """);

    /// <summary>ChatML, for models that were trained on it but carry no template. Never chosen unasked.</summary>
    public static ChatPromptRenderer ChatMl { get; } = new(
        """
        {%- for message in messages -%}
        {{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
        {%- endfor -%}
        {%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}
        """);

    /// <summary>How a system text reaches the model.</summary>
    public SystemHandling SystemHandling { get; }

    /// <summary>Whether the template wants the content of a message as a list of parts instead of a text.</summary>
    public bool UsesListContent => _request.ListContent;

    /// <summary>
    /// Hexadecimal SHA-256 of all that the text depends on besides the prompt: template, handling, special tokens, variables, date. For
    /// cache keys.
    /// </summary>
    public string Identity { get; }

    /// <summary>Renders one question; the text ends where the assistant's answer starts.</summary>
    /// <param name="system">The system text, or null for none; a template may then put its own default.</param>
    /// <param name="user">The question.</param>
    /// <returns>Text with special tokens in it, usually also the first one: tokenize it with special tokens parsed and none
    /// added.</returns>
    /// <exception cref="ChatTemplateException">The template refuses this prompt or fails on it.</exception>
    /// <exception cref="EmScanException">There is a system text and <see cref="SystemHandling"/> is <see
    /// cref="SystemHandling.None"/>.</exception>
    public string Render(string? system, string user)
    {
        ArgumentNullException.ThrowIfNull(user);
        if (system is null) return Render(_request.ListContent, new ChatMessage("user", user));
        return SystemHandling switch
        {
            SystemHandling.Native => Render(_request.ListContent, WithSystem(system, user)),
            SystemHandling.UserTurn => Render(_request.ListContent, WithSystemTurn(system, user)),
            _ => throw new EmScanException(
                "The model's chat template takes neither a system message nor an earlier exchange; use prompts without a system text."),
        };
    }

    /// <summary>Renders a conversation as far as it goes, without the beginning of a further answer.</summary>
    /// <param name="messages">Oldest first; a system text may come first.</param>
    /// <returns>As for <see cref="Render(string?, string)"/>.</returns>
    /// <exception cref="ChatTemplateException">The template refuses this conversation or fails on it.</exception>
    /// <exception cref="EmScanException">There is a system text and <see cref="SystemHandling"/> is <see
    /// cref="SystemHandling.None"/>.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages) => Render(messages, generationPrompt: false);

    /// <summary>Renders a conversation up to where the assistant's next answer starts.</summary>
    /// <param name="messages">As for <see cref="Render(IReadOnlyList{ChatMessage})"/>.</param>
    /// <returns>As there.</returns>
    /// <exception cref="ChatTemplateException">As there.</exception>
    /// <exception cref="EmScanException">As there.</exception>
    public string RenderPrompt(IReadOnlyList<ChatMessage> messages) => Render(messages, generationPrompt: true);

    /// <summary>The white space that the template puts between the beginning of an answer, as <see cref="RenderPrompt"/> gives it, and its words; "" for none.</summary>
    /// <param name="messages">What is answered.</param>
    /// <exception cref="ChatTemplateException">As for <see cref="Render(IReadOnlyList{ChatMessage})"/>.</exception>
    /// <exception cref="EmScanException">As there.</exception>
    public string AnswerLead(IReadOnlyList<ChatMessage> messages)
    {
        string prompt = RenderPrompt(messages), answered = Render([.. messages, new ChatMessage("assistant", AnswerMarker)]);
        int marker = answered.LastIndexOf(AnswerMarker, StringComparison.Ordinal);
        return marker >= prompt.Length && answered.StartsWith(prompt, StringComparison.Ordinal) && string.IsNullOrWhiteSpace(answered[prompt.Length..marker]) ? answered[prompt.Length..marker] : "";
    }

    private string Render(IReadOnlyList<ChatMessage> messages, bool generationPrompt)
    {
        ArgumentNullException.ThrowIfNull(messages);
        ChatMessage[] rendered = [.. messages];
        if (rendered is [{ Role: "system" } system, ..] && SystemHandling != SystemHandling.Native)
        {
            if (SystemHandling == SystemHandling.None) throw new EmScanException("The model's chat template takes neither a system message nor an earlier exchange; leave system texts out.");
            rendered = [new("user", system.Content), new("assistant", _acknowledgement), .. rendered[1..]];
        }

        return _template.Render(_request with { Messages = rendered, AddGenerationPrompt = generationPrompt });
    }

    private static ChatMessage[] WithSystem(string system, string user) => [new("system", system), new("user", user)];

    private ChatMessage[] WithSystemTurn(string system, string user) =>
        [new("user", system), new("assistant", _acknowledgement), new("user", user)];

    private string Render(bool listContent, params ChatMessage[] messages) =>
        _template.Render(_request with { Messages = messages, ListContent = listContent });

    private bool NeedsListContent()
    {
        ChatMessage[] question = [new("user", UserMarker)];
        if (Shows(listContent: false, question, out ChatTemplateException? failure)) return false;
        if (Shows(listContent: true, question, out _)) return true;
        throw failure ?? new EmScanException("The model's chat template drops the user's message; give another one (--chat-template FILE, plain or chatml).");
    }

    private SystemHandling ProbeSystem()
    {
        if (Shows(_request.ListContent, WithSystem(SystemMarker, UserMarker), out _)) return SystemHandling.Native;
        return Shows(_request.ListContent, WithSystemTurn(SystemMarker, UserMarker), out _) ? SystemHandling.UserTurn : SystemHandling.None;
    }

    /// <summary>
    /// Whether the template renders these messages and shows each of them. A construct that this renderer lacks is not the template's
    /// refusal: taking another way around it would give a prompt that the model's own software does not give.
    /// </summary>
    private bool Shows(bool listContent, ChatMessage[] messages, out ChatTemplateException? failure)
    {
        failure = null;
        try
        {
            string text = Render(listContent, messages);
            return Array.TrueForAll(messages, message => text.Contains(message.Content, StringComparison.Ordinal));
        }
        catch (ChatTemplateException exception) when (!exception.IsUnsupported)
        {
            failure = exception;
            return false;
        }
    }

    private string Hash()
    {
        var text = new StringBuilder();
        Add($"{Version} {SystemHandling} {UsesListContent} {_request.Now.ToString("O", CultureInfo.InvariantCulture)}");
        Add(_template.Source);
        if (SystemHandling == SystemHandling.UserTurn) Add(_acknowledgement);
        foreach (var (name, token) in _request.SpecialTokens.OrderBy(entry => entry.Key, StringComparer.Ordinal)) Add(name, token);
        var context = new RenderContext(new PyDict(), _request.Now);
        foreach (var (name, value) in _request.Variables.OrderBy(entry => entry.Key, StringComparer.Ordinal))
            Add(name, PyOperators.Repr(context, PyConvert.FromNet(value)));
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));

        // With its length before it, no part can run into the next one.
        void Add(params ReadOnlySpan<string> parts)
        {
            foreach (string part in parts) text.Append(CultureInfo.InvariantCulture, $"{part.Length}:").Append(part);
        }
    }
}
