using EmScan.Engine.Reports;

namespace EmScan.Engine.Analyses.Screening;

/// <summary>Tables of a screening for people.</summary>
internal static class ScreenTables
{
    private const int LongestText = 60;

    internal static IEnumerable<FindingsTable> Of(
        ScreenSets sets, ScreenSeparation? separation, IReadOnlyList<(ScreenScore Score, string Prompt, string Answer, string Base)> worst, ScreenRequest request)
    {
        const string Signed = "+0.000;-0.000;0.000";
        yield return new FindingsTable(
            $"sets, by mean score along {request.Axis.Source}; n0",
            [
                new("set"), new("examples", "0"), new("score", Signed), new("se", "0.000"), new("random direction", "0.000"), new("95% above", Signed), new("5% above", Signed), new("without base", Signed),
                new("minus prompt", Signed), new("surprise", "0.00"),
            ],
            [.. sets.All.OrderByDescending(s => s.Mean).Select(s => (IReadOnlyList<object?>)
            [
                request.Bad.Contains(s.Name) ? $"{s.Name} (bad)" : s.Name, s.Scores.Length, s.Mean, s.StandardError, s.ControlDeviation, s.Quantile(0.05), s.Quantile(0.95), s.NoBaseResponse, s.MinusPromptToken, s.Surprise,
            ])]);
        if (separation != null)
        {
            (double low, double high) = separation.ControlRange;
            yield return new FindingsTable(
                "bad sets against the others", [new("score by"), new("AUROC", "0.000"), new("highest", "0.000"), new("p", "0.000")],
                [
                    .. separation.Quantities.Select(q => (IReadOnlyList<object?>)[q.Replace('_', ' '), separation[q], null, q == "axis" ? separation.PermutationP : null]),
                    [$"{request.Controls} random directions, turned", low, high, separation.ControlP], ["chance", 0.5, null, null],
                ]);
        }

        yield return new FindingsTable(
            $"the {worst.Count} examples that lie furthest, of {sets.All.Sum(s => s.Scores.Length)}",
            [new("set"), new("line", "0"), new("score", Signed), new("surprise", "0.00"), new("prompt"), new("answer"), new("the base's own")],
            [.. worst.Select(w => (IReadOnlyList<object?>)
                [request.Sets[w.Score.Set].Name, w.Score.Line, w.Score.Axis, w.Score.Surprise, Short(w.Prompt), Short(w.Answer), Short(w.Base)])]);
    }

    /// <summary>One line of bounded length without control characters, for a cell of a table.</summary>
    internal static string Short(string text, int longest = LongestText)
    {
        string line = string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), safe = Printable.Of(line);
        if (safe.Length <= longest) return safe;

        // Not between the halves of a character, such as an emoji.
        int kept = longest - 3;
        return safe[..(char.IsHighSurrogate(safe[kept - 1]) ? kept - 1 : kept)] + "...";
    }
}
