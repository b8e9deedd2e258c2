using System.Text.Json.Nodes;
using EmScan.Engine.Numerics;
using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Screening;

/// <summary>The scores of all sets.</summary>
internal sealed class ScreenSets
{
    internal ScreenSets(ScreenRequest request, IReadOnlyList<ScreenScore> scores)
    {
        ILookup<int, ScreenScore> bySet = scores.ToLookup(s => s.Set);
        All = [.. request.Sets.Select((set, i) => new ScreenSetScores(i, set, [.. bySet[i]]))];
    }

    /// <summary>In the order in which they were given.</summary>
    internal IReadOnlyList<ScreenSetScores> All { get; }
}

/// <summary>The scores of one set.</summary>
/// <param name="index">Of the set.</param>
/// <param name="set">The set.</param>
/// <param name="scores">At least one.</param>
internal sealed class ScreenSetScores(int index, ScreenSet set, ScreenScore[] scores)
{
    private const int CurvePoints = 21;

    internal int Index => index;

    internal string Name => set.Name;

    internal ScreenScore[] Scores => scores;

    /// <summary>Mean score along the axis, n0.</summary>
    internal double Mean { get; } = scores.Average(s => s.Axis);

    /// <summary>Its standard error over examples; NaN for a single one.</summary>
    internal double StandardError => Sample.StandardError([.. scores.Select(s => s.Axis)]);

    /// <summary>Mean of -log p of a token of the answer, over examples.</summary>
    internal double Surprise => scores.Average(s => s.Surprise);

    internal double NoBaseResponse => scores.Average(s => s.NoBaseResponse);

    internal double MinusPromptToken => scores.Average(s => s.MinusPromptToken);

    /// <summary>Root mean square, over the random directions, of the set's mean score: what a direction without a meaning gives.</summary>
    internal double ControlDeviation { get; } = scores[0].Controls.Length == 0 ? double.NaN
        : Math.Sqrt(Enumerable.Range(0, scores[0].Controls.Length).Average(c => Math.Pow(scores.Average(s => (double)s.Controls[c]), 2)));

    /// <summary>Where a share of the examples lies below.</summary>
    internal double Quantile(double share) => Numerics.Quantile.Of([.. scores.Select(s => s.Axis)], share);

    internal JsonObject Data(IReadOnlyList<string> traits, long answerTokens, bool? bad) => new()
    {
        ["set"] = set.Name,
        ["file"] = set.Path,
        ["bad"] = bad,
        ["examples"] = scores.Length,
        ["answer_tokens"] = answerTokens,
        ["mean_axis_score"] = FindingsData.Number(Mean),
        ["se"] = FindingsData.Number(StandardError),
        ["mean_axis_no_base_response"] = FindingsData.Number(NoBaseResponse),
        ["mean_axis_minus_prompt_token"] = FindingsData.Number(MinusPromptToken),
        ["random_directions_sd"] = FindingsData.Number(ControlDeviation),
        ["mean_shift"] = FindingsData.ByName(traits, [.. traits.Select((_, k) => scores.Average(s => s.Shift[k]))]),
        ["mean_surprise"] = FindingsData.Number(Surprise),
    };

    /// <summary>Scores by the share of examples below them.</summary>
    internal FindingsCurve Curve()
    {
        double[] sorted = [.. scores.Select(s => s.Axis).Order()], shares = [.. Enumerable.Range(0, CurvePoints).Select(i => i / (CurvePoints - 1.0))];
        return new FindingsCurve("scores of examples", set.Name, "share of the set's examples", "score, n0", shares, [.. shares.Select(share => Numerics.Quantile.OfSorted(sorted, share))]);
    }
}
