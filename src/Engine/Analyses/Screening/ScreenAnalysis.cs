using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using EmScan.Engine.Chat;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Screening;

/// <summary>Which training examples or data sets push the model towards the drift axis?</summary>
/// <remarks>
/// Definitions: docs/screen.md, after the projection difference of persona vectors (arXiv 2507.21509). shift_t = (mean over response
/// tokens of h(y) - mean over response tokens of h(y_base)) . v_t / n0 with the base's own greedy answer y_base to the same prompt; score =
/// -sum of loading_t shift_t. Examples are streamed; what is kept of one are some forty numbers.
/// </remarks>
/// <param name="request">What is asked.</param>
internal sealed class ScreenAnalysis(ScreenRequest request) : IAnalysis
{
    private const int WorstShown = 10;
    private const int FirstAnswers = 3;

    // A set's mean stands out from those along random directions at twice their root mean square.
    private const double LeastOverControls = 2;

    // Traits whose high pole is the bad one; of the other known ones it is the low pole, and of unknown ones what the axis says.
    private static readonly string[] MoreIsWorse = ["sycophancy", "power_seeking", "confidence"];
    private static readonly string[] LessIsWorse = ["honesty", "harmlessness", "helpfulness", "corrigibility"];

    private readonly List<ScreenScore> _scores = [];
    private readonly List<string>[] _firstAnswers = [.. request.Sets.Select(_ => new List<string>())];
    private int _emptyBase;
    private ScreenSurvey? _survey;
    private ScreenExamples? _examples;
    private ScreenReducers? _reducers;

    /// <inheritdoc/>
    public ScanProgress? Progress => _survey == null ? new ScanProgress("reading examples", 0, 0) : new ScanProgress("screening examples", _scores.Count, _survey.Examples.Sum());

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _examples = new ScreenExamples(context.Encoder, request.Sets);
        _reducers = new ScreenReducers(context, request);

        // All of it once without the model: what is wrong in the last line is said before anything is computed.
        _survey = ScreenSurvey.Take(_examples, request.Sets.Count);
        foreach (ScreenExample[] some in _examples.Chunks())
        {
            var chunk = new ScreenChunk(context, _reducers, some);
            yield return chunk.First;
            yield return chunk.Second;
            _scores.AddRange(chunk.Read(request.Axis));
            foreach ((ScreenExample example, int[] answer) in some.Zip(chunk.BaseAnswers()))
            {
                if (answer.Length == 0) _emptyBase++;
                List<string> first = _firstAnswers[example.Set];
                if (first.Count < FirstAnswers) first.Add(context.Vocabulary.Detokenize(answer).Trim());
            }
        }

        if (_scores.Count != _survey.Examples.Sum())
            throw new EmScanException($"The data changed while they were read: {_survey.Examples.Sum()} examples were there, and then {_scores.Count}; give files that stay as they are, and no pipes.");
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var sets = new ScreenSets(request, _scores);
        ScreenSeparation? separation = request.Bad.Count == 0 ? null : Separation(context, sets);
        ScreenScore[] ranked = [.. _scores.OrderByDescending(s => s.Axis)];
        (ScreenScore Score, string Prompt, string Answer, string Base)[] worst = Worst(context, ranked);
        var data = new JsonObject
        {
            ["n0"] = FindingsData.Number(context.Step0Norm),
            ["examples"] = _scores.Count,
            ["examples_per_set"] = sets.All.Select(s => s.Scores.Length).Distinct().Count() == 1 ? sets.All[0].Scores.Length : null,
            ["answer_tokens"] = request.AnswerTokens,
            ["axis_source"] = request.Axis.Source,
            ["axis_loadings"] = FindingsData.ByName(context.Directions.Traits, request.Axis.Loadings),
            ["definition"] = "shift_t = (mean over response tokens of h(y) - mean over response tokens of h(y_base)) . v_t / n0; score = -sum_t loading_t shift_t (higher = worse)",
            ["auroc"] = separation?.Data(),
            ["controls"] = Controls(sets, separation),
            ["sets"] = new JsonArray([.. sets.All.Select(set => (JsonNode?)set.Data(context.Directions.Traits, _survey!.AnswerTokens[set.Index], request.Bad.Count == 0 ? null : IsBad(set.Index)))]),
            ["left_out"] = new JsonArray([.. _survey!.LeftOut.Select(l => (JsonNode?)new JsonObject { ["reason"] = l.Reason, ["count"] = l.Count, ["first"] = l.First })]),
            ["worst"] = new JsonArray([.. worst.Select(w => (JsonNode?)new JsonObject
            {
                ["set"] = request.Sets[w.Score.Set].Name,
                ["line"] = w.Score.Line,
                ["axis_score"] = FindingsData.Number(w.Score.Axis),
                ["surprise"] = FindingsData.Number(w.Score.Surprise),
                ["prompt"] = w.Prompt,
                ["answer"] = w.Answer,
                ["base_answer"] = w.Base,
            })]),
            ["examples_axis"] = new JsonObject(sets.All.Select(s => KeyValuePair.Create(s.Name, (JsonNode?)FindingsData.Numbers(s.Scores.Select(e => e.Axis))))),
            ["base_greedy_first3"] = new JsonObject(sets.All.Select(s => KeyValuePair.Create(s.Name, (JsonNode?)FindingsData.Texts(_firstAnswers[s.Index])))),
        };
        return new Findings
        {
            Header = context.Header,
            Conclusion = Conclusion(sets, separation),
            Data = data,
            Tables = [.. ScreenTables.Of(sets, separation, worst, request)],
            Curves = [.. sets.All.Select(set => set.Curve())],
            Notes = [.. Notes(context)],
        };
    }

    /// <summary>Writes every example with its rank, the worst first, as JSON Lines; after <see cref="Conclude"/>.</summary>
    /// <param name="output">Receives UTF-8.</param>
    /// <param name="traits">(K).</param>
    internal void WriteScores(Stream output, IReadOnlyList<string> traits)
    {
        int rank = 0;
        foreach (ScreenScore score in _scores.OrderByDescending(s => s.Axis))
        {
            var line = new JsonObject
            {
                ["rank"] = ++rank,
                ["set"] = request.Sets[score.Set].Name,
                ["file"] = request.Sets[score.Set].Path,
                ["line"] = score.Line,
                ["axis_score"] = FindingsData.Number(score.Axis),
                ["axis_no_base_response"] = FindingsData.Number(score.NoBaseResponse),
                ["axis_minus_prompt_token"] = FindingsData.Number(score.MinusPromptToken),
                ["surprise"] = FindingsData.Number(score.Surprise),
                ["shift"] = FindingsData.ByName(traits, score.Shift),
            };
            output.Write(Encoding.UTF8.GetBytes(line.ToJsonString() + "\n"));
        }
    }

    private bool IsBad(int set) => request.Bad.Contains(request.Sets[set].Name);

    private ScreenSeparation Separation(AnalysisContext context, ScreenSets sets)
    {
        IReadOnlyList<string> traits = context.Directions.Traits;
        List<(string, Func<ScreenScore, double>)> quantities =
        [
            ("axis", s => s.Axis), ("axis_no_base_response", s => s.NoBaseResponse), ("axis_minus_prompt_token", s => s.MinusPromptToken), ("surprise", s => s.Surprise),
            .. traits.Select((trait, k) => (trait, (Func<ScreenScore, double>)(s => Worse(trait, k) * s.Shift[k]))), ("magnitude", s => s.Magnitude),
        ];
        return ScreenSeparation.Of(sets, [.. request.Sets.Select((_, i) => IsBad(i))], quantities, request);
    }

    private int Worse(string trait, int k) => MoreIsWorse.Contains(trait) ? 1 : LessIsWorse.Contains(trait) || request.Axis.Loadings[k] >= 0 ? -1 : 1;

    private JsonObject Controls(ScreenSets sets, ScreenSeparation? separation) => new()
    {
        ["random_directions"] = request.Controls,
        ["seed"] = request.Seed,
        ["sets_mean_score_sd"] = new JsonObject(sets.All.Select(s => KeyValuePair.Create(s.Name, FindingsData.Number(s.ControlDeviation)))),
        ["auroc"] = separation?.ControlData(),
    };

    private (ScreenScore Score, string Prompt, string Answer, string Base)[] Worst(AnalysisContext context, ScreenScore[] ranked)
    {
        ScreenScore[] worst = ranked[..Math.Min(WorstShown, ranked.Length)];
        var found = _examples!.Find([.. worst.Select(w => (w.Set, w.Line))]);
        return [.. worst.Where(w => found.ContainsKey((w.Set, w.Line))).Select(w =>
        {
            (ChatMessage[] messages, ScreenExample example) = found[(w.Set, w.Line)];
            CellResult? answer = context.Results.Find(ScreenChunk.BaseAnswer(_reducers!, ScreenChunk.Prompt(example)));
            string own = answer == null ? "" : context.Vocabulary.Detokenize(GreedyAnswerReducer.Answers(answer)[0]).Trim();
            return (w, string.Join(" | ", messages[..^1].Where(m => m.Role != "system").Select(m => m.Content)), messages[^1].Content, own);
        })];
    }

    private string Conclusion(ScreenSets sets, ScreenSeparation? separation)
    {
        ScreenSetScores[] ranked = [.. sets.All.OrderByDescending(s => s.Mean)];
        ScreenSetScores most = ranked[0];
        string along = request.Axis.IsSubstitute ? request.Axis.Source : "the drift axis";
        string size = string.Create(CultureInfo.InvariantCulture, $"{most.Mean:+0.000;-0.000;0.000} n0 (se {most.StandardError:0.000}; along random directions {most.ControlDeviation:0.000})");
        string text = ranked.Length == 1 ? $"{most.Name}: along {along} its answers lie {size} to the bad side of the base's own."
            : string.Create(CultureInfo.InvariantCulture, $"Of {ranked.Length} sets {most.Name} pushes furthest along {along}, {size}, and {ranked[^1].Name} least, {ranked[^1].Mean:+0.000;-0.000;0.000}.");
        if (!(most.Mean > LeastOverControls * most.ControlDeviation)) text += ranked.Length == 1 ? " That is no more than along a random direction." : " No set goes further than along a random direction.";
        if (separation == null) return text;
        int asWell = separation.ControlsAsGood;
        return text + string.Create(CultureInfo.InvariantCulture,
            $" The bad sets stand above the others with AUROC {separation["axis"]:0.00}; {(asWell == 0 ? "none" : asWell)} of {request.Controls} random directions separate{(asWell < 2 ? "s" : "")} them as well (up to {separation.ControlRange.High:0.00}).");
    }

    private IEnumerable<Remark> Notes(AnalysisContext context)
    {
        foreach (Remark note in request.Axis.Notes()) yield return note;
        yield return new Remark("no-harm-filter", "A score says how far answers lie from the base's own along one axis. Tone, format and topic move it too: compare sets of one domain, look at surprise beside it, and take it for no filter of harm.");
        foreach (LeftOutExamples left in _survey!.LeftOut) yield return new Remark("left-out", $"{left.Count} examples are left out, they {left.Reason}; the first is {left.First}.");
        if (_emptyBase > 0) yield return new Remark("empty-base-answers", $"To the prompts of {_emptyBase} examples the base answers nothing; the last token of the prompt stands in for its answer.");
        if (request.Bad.Count == 0) yield return new Remark("no-labels", "No set is named as bad: 'auroc' is null.");
        if (context.IsApproximate) yield return new Remark("approximate", "Weights are quantized or the numeric mode is fast: the base's own answers can differ in single words from those of another quantization or device, and scores with them.");
    }
}
