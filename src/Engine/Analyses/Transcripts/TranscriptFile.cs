using System.Globalization;
using System.Text.Json;
using EmScan.Engine.Chat;
using EmScan.Engine.Formats;
using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses.Transcripts;

/// <summary>
/// Reads transcripts, JSON Lines: {"prompt", "reasoning", "answer"}; {"prompt", "response"} or {"messages"} with the reasoning in &lt;think&gt; tags; or
/// {"prompt", "response", "spans": {"reasoning": [from, to], "answer": [from, to]}}, tokens of the response counted from 0, the last one excluded.
/// "prompt" is a text, or a list of messages.
/// </summary>
/// <param name="context">The model.</param>
internal sealed class TranscriptFile(AnalysisContext context)
{
    private const string Open = "<think>", Close = "</think>";
    private const string Shapes = "\"prompt\" with \"answer\" (and \"reasoning\"), \"prompt\" with \"response\", or \"messages\"";
    private static readonly string[] Texts = ["id", "prompt", "reasoning", "answer", "response", "completion", "messages", "conversations", "spans"];

    // Models that were trained to reason have the tags as tokens.
    private readonly bool _hasTags = new[] { Open, Close }.All(tag => context.Vocabulary.Tokenize(tag, parseSpecial: true, addSpecial: false).Length == 1);

    /// <summary>
    /// Tokens that end the reasoning where the template itself begins it: what is answered without reasoning comes behind them. None elsewhere.
    /// </summary>
    internal int[] NoReasoning { get; } = context.Encoder.Prompt([new ChatMessage("user", "?")]).TrimEnd().EndsWith(Open, StringComparison.Ordinal)
        ? context.Vocabulary.Tokenize($"\n{Close}\n\n", parseSpecial: true, addSpecial: false) : [];

    /// <summary>Reads a file while transcripts are asked for.</summary>
    /// <exception cref="InputFileException">The file cannot be read, or a line is no transcript that can be scored.</exception>
    internal IEnumerable<Transcript> Read(string path)
    {
        int line = 0;
        foreach ((int number, Func<int, Transcript> transcript) in JsonLineFile.Read(path, Parse))
        {
            line = number;
            Transcript read;
            try
            {
                read = transcript(number);
            }
            catch (EmScanException e)
            {
                throw new InputFileException(path, $"line {number}: {e.Message}", e);
            }

            yield return read;
        }

        if (line == 0) throw new InputFileException(path, "has no transcript in it; one JSON object a line is expected");
    }

    private Func<int, Transcript> Parse(JsonElement root)
    {
        string? id = root.TryGetProperty("id", out JsonElement given) && given.ValueKind is JsonValueKind.String or JsonValueKind.Number ? given.ToString() : null;
        Dictionary<string, string> fields = root.EnumerateObject()
            .Where(p => !Texts.Contains(p.Name) && p.Value.ValueKind is JsonValueKind.String or JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False)
            .GroupBy(p => p.Name).ToDictionary(g => g.Key, g => g.Last().Value.ToString());
        (ChatMessage[] prompt, IReadOnlyList<string> parts, (string Name, int Part)[] spans, (string, int, int)[]? ranges) = Content(root);
        return line =>
        {
            string text = context.Encoder.Prompt(prompt), said = string.Concat(parts);

            // As the template, and so the model, writes answers: some put a space before the first word.
            string lead = said.Length > 0 && char.IsWhiteSpace(said[0]) ? "" : context.Encoder.AnswerLead(prompt);
            IReadOnlyList<string> all = WithoutSecondTag(text, parts);
            EncodedConversation encoded = context.Encoder.Continued(text, [lead + all[0], .. all.Skip(1)]);
            int start = encoded.Contents[0].Start.Value;
            if (start < 1) throw new EmScanException("its prompt has no tokens");
            TranscriptSpan[] found = ranges != null ? [.. ranges.Select(r => Range(r, encoded.Contents[1].Start.Value, encoded.Tokens.Length))]
                : [.. spans.Select(s => new TranscriptSpan(s.Name, encoded.Contents[s.Part].Start.Value, encoded.Contents[s.Part].End.Value)).Where(s => s.Length > 0)];
            if (found.Length == 0) throw new EmScanException("its answer is empty");
            return new Transcript(id ?? line.ToString(CultureInfo.InvariantCulture), line, encoded.Tokens, start, found, fields);
        };
    }

    // Prompt, consecutive texts that the model said, and which of them are spans; or spans by ranges of tokens.
    private (ChatMessage[] Prompt, IReadOnlyList<string> Parts, (string Name, int Part)[] Spans, (string Name, int From, int To)[]? Ranges) Content(JsonElement root)
    {
        if (root.TryGetProperty("messages", out _) || root.TryGetProperty("conversations", out _))
        {
            ChatMessage[] messages = ConversationFile.Messages(root);
            if (messages is not [_, .., { Role: "assistant" } last]) throw new EmScanException("its messages do not end with an answer of an assistant to a prompt");
            return Split(messages[..^1], last.Content);
        }

        if (ConversationFile.Side(root, "user", "prompt") is not { } prompt) throw new EmScanException($"it has no {Shapes}");
        if (JsonLineFile.OptionalText(root, "answer") is { } answer)
        {
            string reasoning = (JsonLineFile.OptionalText(root, "reasoning") ?? "").Trim();
            if (reasoning.Length == 0) return (prompt, ["", answer.Trim()], [(TranscriptSpan.Answer, 1)], null);
            return (prompt, _hasTags ? [$"{Open}\n", reasoning, $"\n{Close}\n\n", answer.Trim()] : ["", reasoning, " ", answer.Trim()], [(TranscriptSpan.Reasoning, 1), (TranscriptSpan.Answer, 3)], null);
        }

        if (ConversationFile.Side(root, "assistant", "response", "completion") is not [var response]) throw new EmScanException($"it has no {Shapes}");
        return root.TryGetProperty("spans", out JsonElement spans) ? (prompt, ["", response.Content], [], Ranges(spans)) : Split(prompt, response.Content);
    }

    // Between the tags is the reasoning, behind them the answer; the opening one may be part of the prompt.
    private static (ChatMessage[], IReadOnlyList<string>, (string, int)[], (string, int, int)[]?) Split(ChatMessage[] prompt, string said)
    {
        int close = said.IndexOf(Close, StringComparison.Ordinal), open = said.IndexOf(Open, StringComparison.Ordinal);
        if (close < 0 && open < 0) return (prompt, ["", said], [(TranscriptSpan.Answer, 1)], null);
        if (close < 0) close = said.Length;
        int from = open >= 0 && open < close ? open + Open.Length : 0, behind = Math.Min(said.Length, close + Close.Length);
        while (from < close && char.IsWhiteSpace(said[from])) from++;
        int to = close;
        while (to > from && char.IsWhiteSpace(said[to - 1])) to--;
        while (behind < said.Length && char.IsWhiteSpace(said[behind])) behind++;
        return (prompt, [said[..from], said[from..to], said[to..behind], said[behind..]], [(TranscriptSpan.Reasoning, 1), (TranscriptSpan.Answer, 3)], null);
    }

    // Some templates begin the reasoning themselves.
    private static IReadOnlyList<string> WithoutSecondTag(string prompt, IReadOnlyList<string> parts) =>
        prompt.TrimEnd().EndsWith(Open, StringComparison.Ordinal) && parts[0].Trim() == Open ? ["", .. parts.Skip(1)] : parts;

    private static (string, int, int)[] Ranges(JsonElement spans)
    {
        if (spans.ValueKind != JsonValueKind.Object) throw new EmScanException("its \"spans\" are no object of names and [from, to]");
        return [.. spans.EnumerateObject().Select(span => span.Value.ValueKind == JsonValueKind.Array && span.Value.GetArrayLength() == 2
            && span.Value[0].ValueKind == JsonValueKind.Number && span.Value[0].TryGetInt32(out int from) && span.Value[1].ValueKind == JsonValueKind.Number && span.Value[1].TryGetInt32(out int to)
            ? (span.Name, from, to)
            : throw new EmScanException($"its span \"{span.Name}\" is no [from, to] of two whole numbers"))];
    }

    private static TranscriptSpan Range((string Name, int From, int To) span, int start, int length) =>
        span.From >= 0 && span.To > span.From && start + span.To <= length ? new TranscriptSpan(span.Name, start + span.From, start + span.To)
            : throw new EmScanException($"its span \"{span.Name}\" is [{span.From}, {span.To}], but the response has {length - start} tokens, counted from 0");
}
