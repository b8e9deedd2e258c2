using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Numerics;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses.Transcripts;

/// <summary>How spans are measured: every token along the traits, and means along random directions.</summary>
internal sealed class SpanScorer
{
    private readonly RowProjectionReducer _tokens;
    private readonly ProjectionReducer? _controls;
    private readonly GreedyAnswerReducer _answers;

    internal SpanScorer(AnalysisContext context, TranscriptRequest request)
    {
        (Context, Axis, ControlCount) = (context, request.Axis, request.Controls);
        _tokens = new RowProjectionReducer(context.Directions.Direction(context.Layer), context.Directions.Traits.Count);
        _controls = request.Controls == 0 ? null : new ProjectionReducer(request.Axis.Controls(context, request.Controls, request.Seed), request.Controls);
        _answers = new GreedyAnswerReducer(request.AnswerTokens);
    }

    internal AnalysisContext Context { get; }

    internal ScoreAxis Axis { get; }

    internal int ControlCount { get; }

    /// <summary>The base's own answer to a prompt.</summary>
    internal Cell BaseAnswer(int[] prompt) => new(Variant.Base, new PromptSet("prompt", [CapturePrompt.Last(prompt)]), _answers);

    /// <summary>Every token of some sequences.</summary>
    internal Cell Tokens(IEnumerable<CapturePrompt> prompts) => new(Variant.Base, new PromptSet("tokens of transcripts", [.. prompts]), Context.Layer, _tokens);

    /// <summary>Means over spans along random directions; null where there are none, or no spans.</summary>
    internal Cell? Controls(IReadOnlyList<CapturePrompt> spans) =>
        _controls == null || spans.Count == 0 ? null : new Cell(Variant.Base, new PromptSet("spans of transcripts", spans), Context.Layer, _controls);

    /// <summary>Scores of the tokens that a cell measured, prompt by prompt.</summary>
    internal double[][] Scores(Cell tokens)
    {
        double[] projections = Context.Results[tokens]["projections"];
        int traits = _tokens.Count, from = 0;
        return [.. tokens.Prompts.Prompts.Select(prompt =>
        {
            double[] scores = [.. Enumerable.Range(from, prompt.Positions.Length).Select(row => Axis.Score(projections.AsSpan(row * traits, traits), Context.Step0Norm))];
            from += prompt.Positions.Length;
            return scores;
        })];
    }

    /// <summary>Scores of spans along random directions, (spans)(C).</summary>
    internal double[][] ControlScores(Cell? controls) => controls == null ? []
        : [.. Context.Results[controls]["projections"].Chunk(ControlCount).Select(values => Array.ConvertAll(values, v => -v / Context.Step0Norm))];
}

/// <summary>A span with the scores of its tokens.</summary>
/// <param name="Tokens">Score of each token, n0.</param>
/// <param name="Controls">Mean scores along random directions, (C).</param>
internal sealed record ScoredSpan(double[] Tokens, double[] Controls)
{
    /// <summary>Mean score, n0.</summary>
    internal double Mean => Tokens.Average();
}

/// <summary>The cells of sequences with one span each.</summary>
/// <param name="scorer">How they are measured.</param>
/// <param name="spans">Tokens, and where the span starts and ends; at least one.</param>
internal sealed class SpanCells(SpanScorer scorer, IReadOnlyList<(int[] Tokens, int Start, int End)> spans)
{
    private readonly Cell _tokens = scorer.Tokens(spans.Select(Rows));
    private readonly Cell? _controls = scorer.Controls([.. spans.Select(Rows)]);

    internal IEnumerable<Cell> All => _controls == null ? [_tokens] : [_tokens, _controls];

    internal IEnumerable<ScoredSpan> Read()
    {
        double[][] controls = scorer.ControlScores(_controls);
        return scorer.Scores(_tokens).Select((scores, i) => new ScoredSpan(scores, controls.Length == 0 ? [] : controls[i]));
    }

    private static CapturePrompt Rows((int[] Tokens, int Start, int End) span) => new(span.Tokens, [.. Enumerable.Range(span.Start, span.End - span.Start)]);
}

/// <summary>What was measured of a transcript.</summary>
/// <param name="Tokens">Scores from the last token of the prompt to the end.</param>
/// <param name="AnswerAlone">The answer without the reasoning before it; null where there is none to leave out.</param>
/// <param name="Controls">Mean scores of spans along random directions, by name; "answer_alone" is one of them.</param>
internal sealed record TranscriptScore(double[] Tokens, ScoredSpan? AnswerAlone, IReadOnlyDictionary<string, double[]> Controls);

/// <summary>The cells of some transcripts, which go through the model together.</summary>
internal sealed class TranscriptCells
{
    internal const string Alone = "answer_alone";

    private readonly SpanScorer _scorer;
    private readonly Transcript[] _transcripts;
    private readonly Cell _tokens;
    private readonly Cell? _controls;
    private readonly List<(int Transcript, string Span)> _controlled = [];
    private readonly SpanCells? _alone;
    private readonly List<int> _aloneOf = [];

    internal TranscriptCells(SpanScorer scorer, Transcript[] transcripts, int[] noReasoning)
    {
        (_scorer, _transcripts) = (scorer, transcripts);
        _tokens = scorer.Tokens(transcripts.Select(t => CapturePrompt.From(t.Tokens, t.PromptLength - 1)));
        var spans = new List<CapturePrompt>();
        var alone = new List<(int[], int, int)>();
        foreach ((int i, Transcript transcript) in transcripts.Index())
        {
            TranscriptSpan? reasoning = transcript[TranscriptSpan.Reasoning], answer = transcript[TranscriptSpan.Answer];
            foreach (TranscriptSpan span in new[] { reasoning, answer }.OfType<TranscriptSpan>())
            {
                _controlled.Add((i, span.Name));
                spans.Add(new CapturePrompt(transcript.Tokens, [.. Enumerable.Range(span.Start, span.Length)]));
            }

            if (reasoning == null || answer == null) continue;
            _aloneOf.Add(i);
            int start = transcript.PromptLength + noReasoning.Length;
            alone.Add(([.. transcript.Prompt, .. noReasoning, .. transcript.Tokens[answer.Start..answer.End]], start, start + answer.Length));
        }

        _controls = scorer.Controls(spans);
        _alone = alone.Count == 0 ? null : new SpanCells(scorer, alone);
    }

    internal IEnumerable<Cell> All => new[] { _tokens, _controls }.OfType<Cell>().Concat(_alone?.All ?? []);

    internal IEnumerable<TranscriptScore> Read()
    {
        double[][] tokens = _scorer.Scores(_tokens), controls = _scorer.ControlScores(_controls);
        ScoredSpan[] alone = [.. _alone?.Read() ?? []];
        ILookup<int, (string Span, double[] Scores)> byTranscript = _controlled.Zip(controls, (c, scores) => (c.Transcript, c.Span, scores)).ToLookup(c => c.Transcript, c => (c.Span, c.scores));
        for (int i = 0; i < _transcripts.Length; i++)
        {
            int index = _aloneOf.IndexOf(i);
            ScoredSpan? own = index < 0 ? null : alone[index];
            Dictionary<string, double[]> spans = byTranscript[i].ToDictionary(c => c.Span, c => c.Scores);
            if (own != null && own.Controls.Length > 0) spans[Alone] = own.Controls;
            yield return new TranscriptScore(tokens[i], own, spans);
        }
    }
}

/// <summary>What the base's own answers to the evaluation prompts look like: the unit and the threshold.</summary>
/// <param name="Transcripts">Answers.</param>
/// <param name="Tokens">Their tokens.</param>
/// <param name="Mean">Mean score of a token, n0.</param>
/// <param name="Deviation">Its standard deviation, divisor n - 1.</param>
/// <param name="Threshold">95th percentile of answers' mean z.</param>
/// <param name="Marks">95th and 99th percentile of tokens' z, which text is marked by.</param>
/// <param name="ControlThresholds">95th percentiles of answers' mean scores along random directions, (C), in n0.</param>
internal sealed record SpanReference(int Transcripts, int Tokens, double Mean, double Deviation, double Threshold, (double High, double VeryHigh) Marks, double[] ControlThresholds)
{
    internal const double Quantile = 0.95;
    private const double VeryHighQuantile = 0.99;

    internal static SpanReference Of(IReadOnlyList<ScoredSpan> answers, int controls)
    {
        double[] tokens = [.. answers.SelectMany(a => a.Tokens)];
        double mean = tokens.Average(), deviation = Sample.Deviation(tokens);
        if (!(deviation > 0)) throw new EmScanException("All tokens of the base's own answers have the same score along the axis, so that it has no unit; the axis is zero or the model is damaged.");
        double[] z = [.. tokens.Select(t => (t - mean) / deviation)];
        return new SpanReference(
            answers.Count, tokens.Length, mean, deviation, Percentile(answers.Select(a => (a.Mean - mean) / deviation), Quantile), (Percentile(z, Quantile), Percentile(z, VeryHighQuantile)),
            [.. Enumerable.Range(0, controls).Select(c => Percentile(answers.Select(a => a.Controls[c]), Quantile))]);
    }

    /// <summary>z of a score.</summary>
    internal double Z(double score) => (score - Mean) / Deviation;

    internal JsonObject Data() => new()
    {
        ["transcripts"] = Transcripts,
        ["tokens"] = Tokens,
        ["mean"] = FindingsData.Number(Mean),
        ["sd"] = FindingsData.Number(Deviation),
        ["threshold_quantile"] = Quantile,
        ["threshold"] = FindingsData.Number(Threshold),
        ["token_z_95"] = FindingsData.Number(Marks.High),
        ["token_z_99"] = FindingsData.Number(Marks.VeryHigh),
    };

    // The value of rank ceil(q n).
    private static double Percentile(IEnumerable<double> values, double q)
    {
        double[] sorted = [.. values.Order()];
        return sorted[(int)Math.Ceiling((q * sorted.Length) - 1e-9) - 1];
    }
}
