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
    /// <param name="seen">Told of each example; or null.</param>
    /// <exception cref="InputFileException">As <see cref="ScreenExamples.Read"/>.</exception>
    internal static ScreenSurvey Take(ScreenExamples examples, int sets, Action<ScreenExample>? seen = null)
    {
        var survey = new ScreenSurvey(new int[sets], new long[sets], new long[sets], new int[sets], []);
        foreach (ScreenExample example in examples.Read())
        {
            survey.Examples[example.Set]++;
            survey.PromptTokens[example.Set] += example.Start;
            survey.AnswerTokens[example.Set] += example.Tokens.Length - example.Start;
            survey.Longest[example.Set] = Math.Max(survey.Longest[example.Set], example.Tokens.Length);
            seen?.Invoke(example);
        }

        // A copy: reading again counts again.
        return survey with { LeftOut = [.. examples.LeftOut] };
    }
}
