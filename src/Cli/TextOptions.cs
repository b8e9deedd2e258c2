using System.CommandLine;
using EmScan.Engine.Analyses;
using EmScan.Engine.Measuring;

namespace EmScan.Cli;

/// <summary>Options for the texts that analyses read, and what stands in for them.</summary>
internal sealed class TextOptions
{
    internal Option<string?> Texts { get; } = new("--texts") { Description = $"Plain texts, one a line. {Default("texts.txt")}, else the evaluation prompts.", HelpName = "FILE" };
    internal Option<string?> Chats { get; } = new("--chats") { Description = "Conversations, one a line: {\"messages\": [{\"role\": .., \"content\": ..}, ..]}. " + Default("chats.jsonl") + ".", HelpName = "FILE" };
    internal Option<string?> Pairs { get; } = new("--pairs") { Description = "Pairs of answers, one a line: {\"prompt\": .., \"good\": .., \"bad\": ..}. " + Default("pairs.jsonl") + ".", HelpName = "FILE" };
    internal Option<string[]> DomainWords { get; } = new("--domain-words") { Description = "Words of the finetuning's domain, one a line: how much probability the model's head gives them. Once for all adapters, or once for each.", HelpName = "FILE" };

    internal IReadOnlyList<int[]> ReadTexts(ParseResult parsed, AnalysisContext context) =>
        parsed.GetValue(Texts) is { } file ? context.Encoder.Texts(file) : Otherwise(context, texts => texts.Texts());

    internal IReadOnlyList<ScoredConversation> ReadChats(ParseResult parsed, AnalysisContext context) =>
        parsed.GetValue(Chats) is { } file ? context.Encoder.Conversations(file) : Otherwise(context, texts => texts.Chats());

    internal IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> ReadPairs(ParseResult parsed, AnalysisContext context) =>
        parsed.GetValue(Pairs) is { } file ? context.Encoder.Pairs(file) : Otherwise(context, texts => texts.Pairs());

    /// <summary>The domain of each adapter.</summary>
    internal IReadOnlyList<int>[] ReadDomains(ParseResult parsed, AnalysisContext context, int adapters)
    {
        string[] files = parsed.GetValue(DomainWords) ?? [];
        if (files.Length > 1 && files.Length != adapters)
            throw new UsageException($"--domain-words is given {files.Length} times for {adapters} checkpoints; give it once for all, or once for each.");
        IReadOnlyList<int>[] tokens = [.. files.Select(file => AnalysisInputs.WordTokens(file, context.Vocabulary))];
        return [.. Enumerable.Range(0, adapters).Select(i => tokens.Length == 0 ? [] : tokens[tokens.Length == 1 ? 0 : i])];
    }

    private static string Default(string name) => $"Default: {name} beside the model, else those that ship";

    private static T Otherwise<T>(AnalysisContext context, Func<DefaultTexts, T> read)
    {
        var texts = new DefaultTexts(context);
        T found = read(texts);
        if (texts.Remark is { } remark) Runner.Note(remark.Text);
        return found;
    }
}
