using EmScan.Engine.Chat;
using EmScan.Engine.Measuring;
using TokenKind = EmScan.Engine.Measuring.TokenKind;

namespace EmScan.Engine.Analyses.Screening;

/// <summary>An example as tokens, up to the end of its answer's content.</summary>
/// <param name="Set">Index of its set.</param>
/// <param name="Line">Line in the set's file, from 1.</param>
/// <param name="Tokens">(T), prompt and answer, without the token that closes the answer.</param>
/// <param name="Start">Where the answer begins, at least 1.</param>
internal sealed record ScreenExample(int Set, int Line, int[] Tokens, int Start);

/// <summary>Examples that cannot be scored.</summary>
/// <param name="Reason">Why, as a clause that follows "they".</param>
internal sealed record LeftOutExamples(string Reason)
{
    /// <summary>How many.</summary>
    internal int Count { get; set; }

    /// <summary>File and line of the first.</summary>
    internal required string First { get; init; }
}

/// <summary>
/// Streams the examples of data sets: the last answer of each conversation after everything before it. What cannot be scored is left out and
/// counted.
/// </summary>
/// <param name="encoder">Turns conversations into tokens.</param>
/// <param name="sets">The data sets.</param>
internal sealed class ScreenExamples(TextEncoder encoder, IReadOnlyList<ScreenSet> sets)
{
    private readonly Dictionary<string, LeftOutExamples> _leftOut = [];

    /// <summary>What the last reading left out.</summary>
    internal IReadOnlyCollection<LeftOutExamples> LeftOut => _leftOut.Values;

    /// <summary>Reads all sets, one after another.</summary>
    /// <exception cref="InputFileException">A file cannot be read, a line is no conversation, or a set has no example that can be scored.</exception>
    internal IEnumerable<ScreenExample> Read()
    {
        _leftOut.Clear();
        for (int s = 0; s < sets.Count; s++)
        {
            int usable = 0, lines = 0;
            foreach ((int line, ChatMessage[] messages) in ConversationFile.Read(sets[s].Path))
            {
                lines++;
                if (Encode(s, line, messages) is not { } example) continue;
                usable++;
                yield return example;
            }

            if (usable > 0) continue;
            throw new InputFileException(sets[s].Path, lines == 0 ? "has no example in it; one conversation a line is expected"
                : $"has no example that can be scored: {string.Join("; ", _leftOut.Values.Select(l => $"{l.Count} {l.Reason} ({l.First})"))}");
        }
    }

    /// <summary>The same, cut into the parts that are measured together: each of one set, so that what is on record of a set is of use beside any other.</summary>
    /// <exception cref="InputFileException">As <see cref="Read"/>.</exception>
    internal IEnumerable<ScreenExample[]> Chunks()
    {
        var chunk = new List<ScreenExample>(ScreenChunk.Examples);
        foreach (ScreenExample example in Read())
        {
            if (chunk.Count == ScreenChunk.Examples || (chunk.Count > 0 && chunk[0].Set != example.Set))
            {
                yield return [.. chunk];
                chunk.Clear();
            }

            chunk.Add(example);
        }

        if (chunk.Count > 0) yield return [.. chunk];
    }

    /// <summary>The examples in the given lines, read once more.</summary>
    internal Dictionary<(int Set, int Line), (ChatMessage[] Messages, ScreenExample Example)> Find(IReadOnlyCollection<(int Set, int Line)> wanted)
    {
        var found = new Dictionary<(int, int), (ChatMessage[], ScreenExample)>();
        foreach (IGrouping<int, int> ofSet in wanted.GroupBy(w => w.Set, w => w.Line))
        {
            HashSet<int> lines = [.. ofSet];
            int last = lines.Max();
            foreach ((int line, ChatMessage[] messages) in ConversationFile.Read(sets[ofSet.Key].Path))
            {
                if (lines.Contains(line) && Encode(ofSet.Key, line, messages) is { } example) found[(ofSet.Key, line)] = (UpToAnswer(messages), example);
                if (line >= last) break;
            }
        }

        return found;
    }

    // The template's own beginning of an answer is the prompt, whatever it holds.
    private ScreenExample? Encode(int set, int line, ChatMessage[] all)
    {
        ChatMessage[] messages = UpToAnswer(all);
        if (messages.Length == 0) return Leave("have no answer of an assistant");
        if (string.IsNullOrWhiteSpace(messages[^1].Content)) return Leave("have an empty answer");
        ScoredConversation encoded;
        try
        {
            encoded = encoder.Conversation(messages);
        }
        catch (TextTooLongException)
        {
            return Leave($"are longer than the {encoder.MaxTokens} tokens that the model was trained for");
        }
        catch (EmScanException e)
        {
            return Leave("cannot be rendered by the chat template", $": {e.Message.TrimEnd('.')}");
        }

        int start = encoded.Tokens.Length - 1;
        while (start >= 0 && encoded.Kinds[start] != TokenKind.FirstAnswerWord) start--;
        int end = start + 1;
        while (end < encoded.Tokens.Length && encoded.Kinds[end] == TokenKind.AnswerWord) end++;
        return start < 1 ? Leave("have nothing before their answer") : new ScreenExample(set, line, encoded.Tokens[..end], start);

        ScreenExample? Leave(string reason, string detail = "")
        {
            if (!_leftOut.TryGetValue(reason, out LeftOutExamples? some)) _leftOut.Add(reason, some = new LeftOutExamples(reason) { First = $"{sets[set].Path}, line {line}{detail}" });
            some.Count++;
            return null;
        }
    }

    private static ChatMessage[] UpToAnswer(ChatMessage[] messages) => messages[..(Array.FindLastIndex(messages, m => m.Role == "assistant") + 1)];
}
