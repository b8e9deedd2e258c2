using EmScan.Engine.Measuring;
using EmScan.Engine.Runtime;

namespace EmScan.Engine.Analyses.Screening;

/// <summary>What is kept of an example.</summary>
/// <param name="Set">Index of its set.</param>
/// <param name="Line">Line in the set's file.</param>
/// <param name="Axis">Score of the answer against the base's own answer, n0; higher is worse.</param>
/// <param name="NoBaseResponse">Score of the answer's states themselves.</param>
/// <param name="MinusPromptToken">Score against the last token of the prompt.</param>
/// <param name="Surprise">-log p of a token of the answer under the base, nats, mean.</param>
/// <param name="Shift">Shift along each trait, (K), n0.</param>
/// <param name="Controls">The first score along random directions, (C).</param>
internal sealed record ScreenScore(int Set, int Line, double Axis, double NoBaseResponse, double MinusPromptToken, double Surprise, double[] Shift, float[] Controls)
{
    /// <summary>||shift|| over the traits.</summary>
    internal double Magnitude => Math.Sqrt(Shift.Sum(s => s * s));
}

/// <summary>How examples are measured: directions of the traits and of the controls, and how long the base answers.</summary>
internal sealed class ScreenReducers
{
    internal ScreenReducers(AnalysisContext context, ScreenRequest request)
    {
        ReadOnlySpan<float> traits = context.Directions.Direction(context.Layer);
        Traits = context.Directions.Traits.Count;
        AtPrompt = new ProjectionReducer(traits, Traits);
        OverAnswer = new ProjectionReducer([.. traits, .. request.Axis.Controls(context, request.Controls, request.Seed)], Traits + request.Controls);
        Answers = new GreedyAnswerReducer(request.AnswerTokens);
    }

    /// <summary>K.</summary>
    internal int Traits { get; }

    /// <summary>On the traits.</summary>
    internal ProjectionReducer AtPrompt { get; }

    /// <summary>On the traits, and then on the controls.</summary>
    internal ProjectionReducer OverAnswer { get; }

    /// <summary>The base's own answers.</summary>
    internal GreedyAnswerReducer Answers { get; }
}

/// <summary>
/// Some examples that are measured together. First the answers of the data, in one pass through the whole network that gives states and
/// log-likelihoods, and the base's own answers, each prompt's once and for all data; then the states of those.
/// </summary>
internal sealed class ScreenChunk
{
    /// <summary>Examples of a chunk: enough to fill batches, few enough that an interruption loses little.</summary>
    internal const int Examples = 64;

    private readonly AnalysisContext _context;
    private readonly ScreenReducers _reducers;
    private readonly IReadOnlyList<ScreenExample> _examples;
    private readonly Cell _prompts;
    private readonly Cell _answers;
    private readonly Cell _surprise;
    private readonly Cell[] _baseAnswers; // of each distinct prompt
    private readonly int[] _promptOf;

    internal ScreenChunk(AnalysisContext context, ScreenReducers reducers, IReadOnlyList<ScreenExample> examples)
    {
        (_context, _reducers, _examples) = (context, reducers, examples);

        // The same arrays of tokens, so that all three go through the model together.
        _prompts = States("last tokens of prompts", examples.Select(e => new CapturePrompt(e.Tokens, [e.Start - 1])), reducers.AtPrompt);
        _answers = States("answers", examples.Select(e => CapturePrompt.From(e.Tokens, e.Start)), reducers.OverAnswer);
        _surprise = new Cell(Variant.Base, PromptSet.Scored("answers", [.. examples.Select(e => e.Tokens)], (e, token) => token >= examples[e].Start), new LogLikelihoodReducer());
        int[][] distinct = [.. examples.Select(Prompt).Distinct(TokenComparer.Instance)];
        _baseAnswers = [.. distinct.Select(prompt => BaseAnswer(reducers, prompt))];
        Dictionary<int[], int> index = distinct.Index().ToDictionary(p => p.Item, p => p.Index, TokenComparer.Instance);
        _promptOf = [.. examples.Select(e => index[Prompt(e)])];
    }

    /// <summary>Examples.</summary>
    internal int Count => _examples.Count;

    /// <summary>What its time is proportional to, about: tokens of examples, and of prompts once more for the base's answers.</summary>
    internal long Weight => _examples.Sum(e => (long)e.Tokens.Length + e.Start + _reducers.Answers.MaxTokens);

    /// <summary>What is measured first.</summary>
    internal IEnumerable<Cell> First => [_prompts, _answers, _surprise, .. _baseAnswers];

    /// <summary>What is measured once the first is.</summary>
    internal IEnumerable<Cell> Second => [BaseStates()];

    /// <summary>Whether all of it is on record.</summary>
    internal bool IsOnRecord => First.All(_context.Results.Has) && Second.All(_context.Results.Has);

    /// <summary>The cell of the base's answer to a prompt.</summary>
    internal static Cell BaseAnswer(ScreenReducers reducers, int[] prompt) => new(Variant.Base, new PromptSet("prompt", [CapturePrompt.Last(prompt)]), reducers.Answers);

    /// <summary>The prompt of an example.</summary>
    internal static int[] Prompt(ScreenExample example) => example.Tokens[..example.Start];

    /// <summary>The base's answers, for each example.</summary>
    internal int[][] BaseAnswers()
    {
        int[][] answers = [.. _baseAnswers.Select(cell => GreedyAnswerReducer.Answers(_context.Results[cell])[0])];
        return [.. _promptOf.Select(p => answers[p])];
    }

    /// <summary>The scores, for each example.</summary>
    internal IEnumerable<ScreenScore> Read(ScoreAxis axis)
    {
        double n0 = _context.Step0Norm;
        int traits = _reducers.Traits, directions = _reducers.OverAnswer.Count;
        double[] prompts = _context.Results[_prompts]["projections"], answers = _context.Results[_answers]["projections"], own = _context.Results[BaseStates()]["projections"];
        CellResult surprise = _context.Results[_surprise];
        int[][] baseAnswers = BaseAnswers();
        for (int e = 0; e < _examples.Count; e++)
        {
            ScreenExample example = _examples[e];
            ReadOnlySpan<double> answer = answers.AsSpan(e * directions, directions), reference = own.AsSpan(e * directions, directions), prompt = prompts.AsSpan(e * traits, traits);

            // Where the answer is the base's own there is no shift; two passes would differ by their rounding.
            bool same = example.Tokens.AsSpan(example.Start).SequenceEqual(baseAnswers[e]);
            double[] shift = new double[directions], fromPrompt = new double[traits];
            for (int k = 0; k < directions && !same; k++) shift[k] = answer[k] - reference[k];
            for (int k = 0; k < traits; k++) fromPrompt[k] = answer[k] - prompt[k];
            yield return new ScreenScore(
                example.Set, example.Line, same ? 0 : axis.Score(shift, n0), axis.Score(answer, n0), axis.Score(fromPrompt, n0), -surprise["sum"][e] / surprise["count"][e],
                [.. shift.Take(traits).Select(s => s / n0)], [.. shift.Skip(traits).Select(s => (float)(-s / n0))]);
        }
    }

    // An empty answer leaves the last token of the prompt, as at every place in the base's answers.
    private Cell BaseStates() => States(
        "the base's answers",
        _examples.Zip(BaseAnswers(), (e, answer) => answer.Length > 0 ? CapturePrompt.From([.. Prompt(e), .. answer], e.Start) : CapturePrompt.Last(Prompt(e))), _reducers.OverAnswer);

    private Cell States(string name, IEnumerable<CapturePrompt> prompts, Reducer reducer) => new(Variant.Base, new PromptSet(name, [.. prompts]), _context.Layer, reducer);

    private sealed class TokenComparer : IEqualityComparer<int[]>
    {
        internal static TokenComparer Instance { get; } = new();

        public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(int[] tokens)
        {
            var hash = new HashCode();
            hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes<int>(tokens));
            return hash.ToHashCode();
        }
    }
}
