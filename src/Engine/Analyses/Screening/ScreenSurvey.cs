namespace EmScan.Engine.Analyses.Screening;

/// <summary>What data sets hold, found out by reading them once.</summary>
/// <param name="Examples">Of each set, those that can be scored.</param>
/// <param name="PromptTokens">Of each set.</param>
/// <param name="AnswerTokens">Of each set.</param>
/// <param name="Longest">Most tokens of an example of each set.</param>
/// <param name="LeftOut">What cannot be scored.</param>
internal sealed record ScreenSurvey(int[] Examples, long[] PromptTokens, long[] AnswerTokens, int[] Longest, IReadOnlyList<LeftOutExamples> LeftOut)
{
    /// <summary>Reads all sets.</summary>
    /// <param name="examples">The reader.</param>
    /// <param name="sets">How many sets there are.</param>
    /// <param name="seen">Told of each chunk; or null.</param>
    /// <exception cref="InputFileException">As <see cref="ScreenExamples.Read"/>.</exception>
    internal static ScreenSurvey Take(ScreenExamples examples, int sets, Action<ScreenExample[]>? seen = null)
    {
        var survey = new ScreenSurvey(new int[sets], new long[sets], new long[sets], new int[sets], []);
        foreach (ScreenExample[] chunk in examples.Chunks())
        {
            int set = chunk[0].Set;
            survey.Examples[set] += chunk.Length;
            survey.PromptTokens[set] += chunk.Sum(e => (long)e.Start);
            survey.AnswerTokens[set] += chunk.Sum(e => (long)e.Tokens.Length - e.Start);
            survey.Longest[set] = Math.Max(survey.Longest[set], chunk.Max(e => e.Tokens.Length));
            seen?.Invoke(chunk);
        }

        // A copy: reading again counts again.
        return survey with { LeftOut = [.. examples.LeftOut] };
    }
}
