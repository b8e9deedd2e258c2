using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using EmScan.Engine.Measuring;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Screening;

/// <summary>
/// What a screening will take: all data are read, a few chunks from everywhere in them are measured (they are on record afterwards), and the rest is
/// estimated from their tokens.
/// </summary>
/// <param name="request">What would be asked.</param>
/// <param name="budget">No further chunk is measured after so long.</param>
internal sealed class ScreenForecast(ScreenRequest request, TimeSpan budget) : IAnalysis
{
    // The first one also pays for making contexts; it is left out where there are more.
    private const int MostChunks = 6;

    private readonly List<(int Examples, long Weight, TimeSpan Time)> _measured = [];
    private readonly List<(int Examples, long Weight)> _missing = [];
    private ScreenSurvey? _survey;
    private int _known;

    /// <inheritdoc/>
    public ScanProgress? Progress => new ScanProgress(_survey == null ? "reading examples" : "measuring a sample", 0, 0);

    /// <inheritdoc/>
    public IEnumerable<IEnumerable<Cell>> Plan(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var reducers = new ScreenReducers(context, request);
        var examples = new ScreenExamples(context.Encoder, request.Sets);
        var missing = new List<int>();
        int index = 0;
        _survey = ScreenSurvey.Take(examples, request.Sets.Count, some =>
        {
            var chunk = new ScreenChunk(context, reducers, some);
            if (chunk.IsOnRecord)
            {
                _known += chunk.Count;
            }
            else
            {
                missing.Add(index);
                _missing.Add((chunk.Count, chunk.Weight));
            }

            index++;
        });
        int[] sample = [.. Enumerable.Range(0, Math.Min(MostChunks, missing.Count)).Select(i => missing[(int)((i + 0.5) * missing.Count / Math.Min(MostChunks, missing.Count))])];
        int at = 0;
        TimeSpan spent = TimeSpan.Zero;
        foreach (ScreenExample[] some in examples.Chunks())
        {
            if (!sample.Contains(at++)) continue;
            var chunk = new ScreenChunk(context, reducers, some);
            long start = Stopwatch.GetTimestamp();
            yield return chunk.First;
            yield return chunk.Second;
            TimeSpan time = Stopwatch.GetElapsedTime(start);
            _measured.Add((chunk.Count, chunk.Weight, time));
            spent += time;
            if (spent > budget) yield break;
        }
    }

    /// <inheritdoc/>
    public Findings Conclude(AnalysisContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        int total = _survey!.Examples.Sum(), measured = _measured.Sum(m => m.Examples), left = total - _known - measured;
        (int Examples, long Weight, TimeSpan Time)[] steady = [.. _measured.Skip(_measured.Count > 1 ? 1 : 0)];
        double? perWeight = steady.Length == 0 ? null : steady.Sum(m => m.Time.TotalSeconds) / steady.Sum(m => m.Weight);
        double? seconds = left == 0 ? 0 : perWeight * (_missing.Sum(m => m.Weight) - _measured.Sum(m => m.Weight));
        double? rate = left / seconds;
        string known = _known + measured > 0 ? $", {_known + measured} of them on record" : "";
        string conclusion = left == 0
            ? $"{total} examples in {request.Sets.Count} {(request.Sets.Count == 1 ? "set" : "sets")}, all of them on record: there is nothing left to compute."
            : string.Create(CultureInfo.InvariantCulture, $"{total} examples in {request.Sets.Count} {(request.Sets.Count == 1 ? "set" : "sets")}{known}: the rest takes about {Duration(seconds!.Value)} on this machine as it is now, {rate:0.0} examples a second.");
        return new Findings
        {
            Header = context.Header,
            Conclusion = conclusion,
            Data = new JsonObject
            {
                ["examples"] = total,
                ["on_record"] = _known + measured,
                ["measured_now"] = measured,
                ["seconds_measured"] = FindingsData.Number(_measured.Sum(m => m.Time.TotalSeconds)),
                ["seconds_left"] = FindingsData.Number(seconds),
                ["examples_per_second"] = FindingsData.Number(rate),
                ["sets"] = new JsonArray([.. request.Sets.Select((set, i) => (JsonNode?)new JsonObject
                {
                    ["set"] = set.Name,
                    ["file"] = set.Path,
                    ["examples"] = _survey.Examples[i],
                    ["prompt_tokens"] = _survey.PromptTokens[i],
                    ["answer_tokens"] = _survey.AnswerTokens[i],
                    ["longest"] = _survey.Longest[i],
                })]),
            },
            Tables =
            [
                new FindingsTable(
                    "what would be computed: each example once through the whole network, the base's own answer to each prompt once, and that answer's states",
                    [new("set"), new("examples", "0"), new("prompt tokens", "0"), new("answer tokens", "0"), new("longest", "0")],
                    [.. request.Sets.Select((set, i) => (IReadOnlyList<object?>)[set.Name, _survey.Examples[i], _survey.PromptTokens[i], _survey.AnswerTokens[i], _survey.Longest[i]])]),
            ],
            Notes =
            [
                new Remark("estimated", string.Create(CultureInfo.InvariantCulture, $"Estimated from {measured} examples, taken from everywhere in the data and measured in {_measured.Sum(m => m.Time.TotalSeconds):0.0} s; they need not be measured again. Prompts that occur several times are answered once, which makes it quicker.")),
                .. _survey.LeftOut.Select(l => new Remark("left-out", $"{l.Count} examples are left out, they {l.Reason}; the first is {l.First}.")),
            ],
        };
    }

    private static string Duration(double seconds) => seconds < 90 ? string.Create(CultureInfo.InvariantCulture, $"{seconds:0} s")
        : seconds < 5400 ? string.Create(CultureInfo.InvariantCulture, $"{seconds / 60:0} min")
        : string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(seconds / 3600):0} h {Math.Floor(seconds % 3600 / 60):0} min");
}
