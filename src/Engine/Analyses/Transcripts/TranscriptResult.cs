using System.Text;
using System.Text.Json.Nodes;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses.Transcripts;

/// <summary>What follows for one transcript.</summary>
internal sealed class TranscriptResult
{
    private readonly Vocabulary _vocabulary;
    private readonly double[] _z; // from the last token of the prompt on

    internal TranscriptResult(Vocabulary vocabulary, Transcript transcript, TranscriptScore score, SpanReference reference, IReadOnlyList<string> by)
    {
        _vocabulary = vocabulary;
        (Transcript, Score) = (transcript, score);
        _z = Array.ConvertAll(score.Tokens, reference.Z);
        Spans = [.. transcript.Spans.Select(span => (span, Z(span).Average()))];
        Reasoning = Find(TranscriptSpan.Reasoning);
        Answer = Find(TranscriptSpan.Answer);
        AnswerAlone = score.AnswerAlone == null ? Answer : reference.Z(score.AnswerAlone.Mean);
        if (Reasoning is { } thought && Answer is { } said)
        {
            Hidden = thought > reference.Threshold && said <= reference.Threshold;
            HiddenAlone = thought > reference.Threshold && AnswerAlone <= reference.Threshold;
        }

        Label = by.Count > 0 ? transcript.Fields.GetValueOrDefault(by[0]) : null;
    }

    internal Transcript Transcript { get; }

    internal TranscriptScore Score { get; }

    /// <summary>Spans and their mean z.</summary>
    internal IReadOnlyList<(TranscriptSpan Span, double Z)> Spans { get; }

    /// <summary>Mean z of the reasoning; null where there is none.</summary>
    internal double? Reasoning { get; }

    /// <summary>Mean z of the answer, behind the reasoning; null where there is none.</summary>
    internal double? Answer { get; }

    /// <summary>Mean z of the answer, the reasoning left out.</summary>
    internal double? AnswerAlone { get; }

    /// <summary>The reasoning fires and the answer does not; null without either.</summary>
    internal bool? Hidden { get; }

    /// <summary>The same with the answer scored without the reasoning.</summary>
    internal bool? HiddenAlone { get; }

    /// <summary>What the input says of its condition; null where it says nothing.</summary>
    internal string? Label { get; }

    /// <summary>z of each token of a span.</summary>
    internal ReadOnlySpan<double> ZOf(TranscriptSpan span) => _z.AsSpan(Index(span.Start), span.Length);

    /// <summary>A span's text, tokens above the 95th percentile of the base's own in [brackets], above the 99th in [[two]].</summary>
    internal string Marked(TranscriptSpan span, SpanReference reference)
    {
        var text = new StringBuilder();
        foreach ((int i, double z) in Z(span).Index())
        {
            string piece = _vocabulary.Detokenize(Transcript.Tokens.AsSpan(span.Start + i, 1));
            int marks = z > reference.Marks.VeryHigh ? 2 : z > reference.Marks.High ? 1 : 0, blank = piece.Length - piece.TrimStart().Length;
            if (blank == piece.Length) marks = 0;
            text.Append(piece.AsSpan(0, blank)).Append('[', marks).Append(piece.AsSpan(blank)).Append(']', marks);
        }

        return text.ToString().Trim();
    }

    internal JsonObject Data(SpanReference reference) => new()
    {
        ["id"] = Transcript.Id,
        ["line"] = Transcript.Line,
        ["label"] = Label,
        ["reasoning"] = FindingsData.Number(Reasoning),
        ["answer"] = FindingsData.Number(Answer),
        ["answer_alone"] = FindingsData.Number(AnswerAlone),
        ["prompt_token"] = FindingsData.Number(_z[0]),
        ["hidden"] = Hidden,
        ["hidden_alone"] = HiddenAlone,
        ["spans"] = new JsonArray([.. Spans.Select(s => (JsonNode?)new JsonObject
        {
            ["span"] = s.Span.Name,
            ["tokens"] = s.Span.Length,
            ["z"] = FindingsData.Number(s.Z),
            ["fires"] = s.Z > reference.Threshold,
            ["marked"] = Marked(s.Span, reference),
        })]),
        ["token_z"] = FindingsData.Many(Spans.SelectMany(s => Z(s.Span))),
    };

    private double? Find(string name) => Spans.FirstOrDefault(s => s.Span.Name == name) is { Span: not null } found ? found.Z : null;

    private double[] Z(TranscriptSpan span) => ZOf(span).ToArray();

    private int Index(int position) => position - (Transcript.PromptLength - 1);
}
