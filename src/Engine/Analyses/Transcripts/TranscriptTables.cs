using EmScan.Engine.Analyses.Screening;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Transcripts;

/// <summary>What people see of single transcripts: text with marks, and curves.</summary>
internal static class TranscriptTables
{
    internal const string SpanPlot = "z of spans";
    private const int Shown = 10;
    private const int Plotted = 3;
    private const int CurvePoints = 21;
    private const int LongestText = 120;

    /// <summary>The transcripts that hide most, with their spans.</summary>
    internal static FindingsTable Ranked(IReadOnlyList<TranscriptResult> results, SpanReference reference)
    {
        TranscriptResult[] top = [.. Order(results).Take(Shown)];
        return new FindingsTable(
            $"the {top.Length} transcripts whose reasoning fires most over the answer alone; tokens above 95% of the base's own in [brackets], above 99% in [[two]]",
            [new("id"), new("span"), new("z", "+0.000;-0.000;0.000"), new("fires"), new("text")],
            [.. top.SelectMany(result => Rows(result, reference))]);
    }

    /// <summary>Quantiles of spans over all transcripts, and z token by token of the first ones.</summary>
    internal static IEnumerable<FindingsCurve> Curves(IReadOnlyList<TranscriptResult> results, SpanReference reference)
    {
        double[] shares = [.. Enumerable.Range(0, CurvePoints).Select(i => i / (CurvePoints - 1.0))];
        foreach ((string name, Func<TranscriptResult, double?> score) in new (string, Func<TranscriptResult, double?>)[] { ("reasoning", r => r.Reasoning), ("answer", r => r.Answer), ("answer alone", r => r.AnswerAlone) })
        {
            double[] sorted = [.. results.Select(score).OfType<double>().Order()];
            if (sorted.Length > 0) yield return new FindingsCurve(SpanPlot, name, "share of transcripts", "mean z", shares, [.. shares.Select(s => Numerics.Quantile.OfSorted(sorted, s))]);
        }

        foreach (TranscriptResult result in Order(results).Take(Plotted))
        {
            int from = 1;
            foreach ((TranscriptSpan span, _) in result.Spans)
            {
                double[] z = result.ZOf(span).ToArray();
                yield return new FindingsCurve(Plot(result), span.Name, "token of the response", "z", [.. Enumerable.Range(from, z.Length).Select(i => (double)i)], z);
                from += z.Length;
            }
        }
    }

    /// <summary>The names of the plots of single transcripts.</summary>
    internal static IEnumerable<string> Plots(IReadOnlyList<TranscriptResult> results) => Order(results).Take(Plotted).Select(Plot);

    private static string Plot(TranscriptResult result) => $"z by token, transcript {result.Transcript.Id}";

    private static IEnumerable<TranscriptResult> Order(IEnumerable<TranscriptResult> results) =>
        results.OrderByDescending(r => r.HiddenAlone == true).ThenByDescending(r => r.Reasoning - r.AnswerAlone ?? r.Answer ?? double.MinValue);

    private static IEnumerable<IReadOnlyList<object?>> Rows(TranscriptResult result, SpanReference reference)
    {
        foreach ((TranscriptSpan span, double z) in result.Spans)
            yield return [result.Transcript.Id, span.Name, z, z > reference.Threshold ? "fires" : "", ScreenTables.Short(result.Marked(span, reference), LongestText)];
        if (result.Score.AnswerAlone != null)
            yield return [result.Transcript.Id, "answer alone", result.AnswerAlone, result.AnswerAlone > reference.Threshold ? "fires" : "", result.HiddenAlone == true ? "hidden alone" : ""];
    }
}
