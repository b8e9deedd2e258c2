namespace EmScan.Engine.Analyses.Transcripts;

/// <summary>A part of a transcript that is scored.</summary>
/// <param name="Name">"reasoning", "answer", or another name that the input gives.</param>
/// <param name="Start">First token, in the whole sequence.</param>
/// <param name="End">Behind the last one.</param>
internal sealed record TranscriptSpan(string Name, int Start, int End)
{
    /// <summary>The name of the span that is thought and not said.</summary>
    internal const string Reasoning = "reasoning";

    /// <summary>The name of the span that is said.</summary>
    internal const string Answer = "answer";

    /// <summary>Tokens.</summary>
    internal int Length => End - Start;
}

/// <summary>A transcript as tokens.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Line">Line in its file, from 1.</param>
/// <param name="Tokens">(T), the prompt and all that the model said.</param>
/// <param name="PromptLength">Tokens of the prompt, at least 1.</param>
/// <param name="Spans">In order; none is empty.</param>
/// <param name="Fields">What else the input says of it: names and values.</param>
internal sealed record Transcript(string Id, int Line, int[] Tokens, int PromptLength, IReadOnlyList<TranscriptSpan> Spans, IReadOnlyDictionary<string, string> Fields)
{
    /// <summary>The prompt.</summary>
    internal int[] Prompt => Tokens[..PromptLength];

    /// <summary>A span by its name, or null.</summary>
    internal TranscriptSpan? this[string name] => Spans.FirstOrDefault(s => s.Name == name);
}

/// <summary>What <see cref="TranscriptAnalysis"/> is asked.</summary>
internal sealed record TranscriptRequest
{
    /// <summary>JSON Lines, one transcript a line.</summary>
    public required string Path { get; init; }

    /// <summary>What tokens are scored along.</summary>
    public required ScoreAxis Axis { get; init; }

    /// <summary>Fields of the input by whose values transcripts are grouped, each of which some must have; none for "condition", where there is one.</summary>
    public IReadOnlyList<string> By { get; init; } = [];

    /// <summary>The fields to group by; the first of them is the label of a transcript.</summary>
    internal IReadOnlyList<string> Groups => By.Count > 0 ? By : ["condition"];

    /// <summary>A field and the value of it that marks transcripts with nothing to hide, or null.</summary>
    public (string Field, string Value)? Benign { get; init; }

    /// <summary>Most tokens of the base's own answers.</summary>
    public int AnswerTokens { get; init; } = 64;

    /// <summary>Random directions that the axis is compared with.</summary>
    public int Controls { get; init; } = 20;

    /// <summary>Seed of the random directions.</summary>
    public int Seed { get; init; } = 42;
}
