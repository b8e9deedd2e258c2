using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses.Diff;

/// <summary>The classes of rows that a difference is looked at on (docs/diff.md). A class without rows is null.</summary>
internal sealed class DiffRows
{
    // Positions seen in fewer contexts are dropped: their means would be mostly noise.
    private const int LeastContexts = 5;

    private static readonly (string Name, Func<TokenKind, bool> Has)[] Kinds =
    [
        ("bos", kind => kind == TokenKind.Bos),
        ("user_token", kind => kind == TokenKind.UserToken),
        ("assistant_token", kind => kind == TokenKind.AssistantToken),
        ("end_token", kind => kind is TokenKind.AnswerEnd or TokenKind.End),
        ("user_words", kind => kind == TokenKind.UserWord),
        ("answer_words", kind => kind is TokenKind.AnswerWord or TokenKind.FirstAnswerWord),
        ("answer_word_1", kind => kind == TokenKind.FirstAnswerWord),
    ];

    internal DiffRows(AnalysisContext context, DiffRequest request)
    {
        if (context.Encoder.Bos is { } bos) Bos = PromptSet.All("bos", [[bos]]);
        int[][] blanks = [.. new[] { " ", "\n", "\n\n" }.Select(text => context.Vocabulary.Tokenize(text, parseSpecial: false, addSpecial: false))
            .Where(tokens => tokens.Length > 0).DistinctBy(tokens => string.Join(' ', tokens))];
        if (blanks.Length > 0) Blank = new PromptSet("blank", [.. blanks.Select(tokens => CapturePrompt.Last(context.Encoder.Bos is { } first ? [first, .. tokens] : tokens))]);
        PromptLast = context.EvaluationPrompts;
        PromptAll = PromptSet.All("prompt_all", context.EvaluationPrompts.Prompts.Select(p => p.Tokens)).SeenInAtLeast(LeastContexts);
        TextAll = PromptSet.All("text_all", request.Texts).SeenInAtLeast(LeastContexts);
        TextWithoutBos = PromptSet.All("text", request.Texts).Where("text", (_, position) => position > 0 || Bos == null);
        TextFar = TextAll?.Where("text_far", (_, position) => position >= request.Far);
        if (request.Chats.Count == 0) return;
        PromptSet chats = PromptSet.All("chat_all", request.Chats.Select(c => c.Tokens));
        ChatAll = chats.SeenInAtLeast(LeastContexts);
        ChatTokens = chats;
        ByKind = [.. Kinds.Select(kind => (kind.Name, chats.Where(kind.Name, (chat, position) => kind.Has(request.Chats[chat].Kinds[position]))))];
    }

    /// <summary>BOS alone.</summary>
    internal PromptSet? Bos { get; }

    /// <summary>White space alone.</summary>
    internal PromptSet? Blank { get; }

    /// <summary>The last tokens of the evaluation prompts.</summary>
    internal PromptSet PromptLast { get; }

    /// <summary>All tokens of the evaluation prompts.</summary>
    internal PromptSet? PromptAll { get; }

    /// <summary>All tokens of the texts.</summary>
    internal PromptSet? TextAll { get; }

    /// <summary>All tokens of the texts but BOS, also at positions that few of them reach.</summary>
    internal PromptSet? TextWithoutBos { get; }

    /// <summary>Those far from the start.</summary>
    internal PromptSet? TextFar { get; }

    /// <summary>All tokens of the conversations.</summary>
    internal PromptSet? ChatAll { get; }

    /// <summary>All tokens of the conversations, also at positions that few of them reach.</summary>
    internal PromptSet? ChatTokens { get; }

    /// <summary>Tokens of the conversations by what they are.</summary>
    internal IReadOnlyList<(string Name, PromptSet? Rows)> ByKind { get; } = [];

    /// <summary>The classes by the names that findings give them, in their order.</summary>
    internal IEnumerable<(string Name, PromptSet? Rows)> Classes =>
    [
        ("bos", Bos), ("blank", Blank), ("prompt_last", PromptLast), ("prompt_all", PromptAll), ("text_all", TextAll), ("text_far", TextFar), ("chat_all", ChatAll),
    ];

    /// <summary>Whether a class is looked at in full at a layer: spectra, groups and what it says through the head.</summary>
    internal bool InFull(PromptSet rows, bool scanLayer) => rows != Bos && rows != Blank && (scanLayer || rows == PromptLast || rows == TextAll);

    /// <summary>Whether positions are groups of a class: the last tokens of prompts have no common position.</summary>
    internal bool HasGroups(PromptSet rows) => rows != PromptLast;
}
