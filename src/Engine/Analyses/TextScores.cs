using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses;

/// <summary>What a variant makes of texts: log-likelihoods of plain texts and of answers, and its preference between good and bad answers.</summary>
/// <remarks>Definitions: docs/path.md. Nats per scored token, pooled; higher is better.</remarks>
internal sealed class TextScores
{
    private readonly AnalysisContext _context;
    private readonly PromptSet? _plain;
    private readonly PromptSet? _chat;
    private readonly PromptSet? _pairs;
    private readonly LogLikelihoodReducer _logLikelihood = new();

    /// <summary>Prepares texts; each kind may be none.</summary>
    /// <exception cref="EmScanException">No token of a kind can be scored, or one answer of a pair has none.</exception>
    internal TextScores(
        AnalysisContext context, IReadOnlyList<int[]> texts, IReadOnlyList<ScoredConversation> chats, IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> pairs)
    {
        _context = context;
        if (texts.Count > 0) _plain = PromptSet.Scored("the texts", texts, (_, _) => true);
        _chat = LogLikelihood.Answers("the conversations", chats);
        _pairs = LogLikelihood.Answers(pairs);
    }

    /// <summary>The plain texts; null without.</summary>
    internal PromptSet? Texts => _plain;

    /// <summary>The answers of conversations; null without.</summary>
    internal PromptSet? Conversations => _chat;

    /// <summary>The cells of a variant.</summary>
    /// <param name="variant">The variant.</param>
    /// <param name="more">Further texts, each with a log-likelihood of its own.</param>
    internal IEnumerable<Cell> Cells(Variant variant, params IEnumerable<PromptSet?> more) =>
        more.Prepend(_pairs).Prepend(_chat).Prepend(_plain).OfType<PromptSet>().Select(texts => Of(variant, texts));

    /// <summary>Of plain texts; null without.</summary>
    internal double? Plain(Variant variant) => Pooled(variant, _plain);

    /// <summary>Of the answers of conversations; null without.</summary>
    internal double? Chat(Variant variant) => Pooled(variant, _chat);

    /// <summary>Of any texts that were planned; null for none.</summary>
    internal double? Pooled(Variant variant, PromptSet? texts) => texts == null ? null : LogLikelihood.Pooled(Read(variant, texts));

    /// <summary>The log-likelihood of each of some texts that were planned.</summary>
    internal CellResult Read(Variant variant, PromptSet texts) => _context.Results[Of(variant, texts)];

    /// <summary>How much more likely bad answers are than good ones; null without pairs.</summary>
    internal (double? PerToken, double? Sum) Preference(Variant variant) =>
        _pairs == null ? (null, null) : LogLikelihood.Preference(Read(variant, _pairs));

    private Cell Of(Variant variant, PromptSet texts) => new(variant, texts, _logLikelihood);
}
