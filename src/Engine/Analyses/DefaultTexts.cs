using System.Reflection;
using System.Text.RegularExpressions;
using EmScan.Engine.Measuring;

namespace EmScan.Engine.Analyses;

/// <summary>
/// What analyses read where the user names no file: <c>texts.txt</c>, <c>chats.jsonl</c> and <c>pairs.jsonl</c> beside the model, else the ones that
/// ship, where the model's vocabulary knows their words.
/// </summary>
internal sealed partial class DefaultTexts(AnalysisContext context)
{
    // A vocabulary that knows the words has nearly as many different tokens for them; one that spells them out, or has one token for all that is
    // unknown, has few, and what is scored then is spelling.
    private const double FewestTokensOfWord = 0.8;
    private readonly List<string> _sources = [];

    /// <summary>Says which files were taken, or null when none was.</summary>
    internal Remark? Remark => _sources.Count == 0 ? null : new Remark("default-texts", $"{string.Join(", ", _sources)} {(_sources.Count == 1 ? "is" : "are")} read, as no other was given.");

    /// <summary>Plain texts, BOS first; the evaluation prompts where there are no others.</summary>
    internal IReadOnlyList<int[]> Texts() =>
        Choose("texts.txt", context.Encoder.Texts, context.Encoder.Texts, texts => texts.SelectMany(tokens => tokens)) ?? [.. context.EvaluationTexts.Select(context.Encoder.Plain)];

    /// <summary>Conversations; none where the vocabulary does not know the words.</summary>
    internal IReadOnlyList<ScoredConversation> Chats() => Choose("chats.jsonl", context.Encoder.Conversations, context.Encoder.Conversations, chats => chats.SelectMany(Words)) ?? [];

    /// <summary>Pairs of answers; none where the vocabulary does not know the words.</summary>
    internal IReadOnlyList<(ScoredConversation Good, ScoredConversation Bad)> Pairs() =>
        Choose("pairs.jsonl", context.Encoder.Pairs, context.Encoder.Pairs, pairs => pairs.SelectMany(pair => Words(pair.Good).Concat(Words(pair.Bad)))) ?? [];

    private static IEnumerable<int> Words(ScoredConversation chat) =>
        chat.Tokens.Where((_, t) => chat.Kinds[t] is TokenKind.UserWord or TokenKind.FirstAnswerWord or TokenKind.AnswerWord);

    private IReadOnlyList<T>? Choose<T>(string name, Func<string, IReadOnlyList<T>> file, Func<string, string, IReadOnlyList<T>> read, Func<IReadOnlyList<T>, IEnumerable<int>> tokens)
    {
        string beside = Path.Combine(Path.GetDirectoryName(context.Header.ModelPath) ?? "", name);
        if (File.Exists(beside))
        {
            _sources.Add(beside);
            return file(beside);
        }

        string content = Shipped(name);
        try
        {
            IReadOnlyList<T> shipped = read(name, content);
            int words = Letters().Matches(content).Select(word => word.Value.ToLowerInvariant()).Distinct().Count();
            if (tokens(shipped).Distinct().Count() < FewestTokensOfWord * words) return null;
            _sources.Add($"{name} of emscan");
            return shipped;
        }
        catch (InputFileException)
        {
            // Too long for this model, or nothing that its template can render: it is not made for such texts, and what needs them is null.
            return null;
        }
    }

    [GeneratedRegex(@"\p{L}+")]
    private static partial Regex Letters();

    private static string Shipped(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"EmScan.Engine.Measuring.Shipped.{name}")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
