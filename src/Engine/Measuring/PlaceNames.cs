using EmScan.Engine.Traits;

namespace EmScan.Engine.Measuring;

/// <summary>The names of places in files and on the command line, and what belongs to each.</summary>
internal static class PlaceNames
{
    /// <summary>last_prompt_token, first_answer_token or mean_answer.</summary>
    public static string ToName(this MeasuredPlace place) => place switch
    {
        MeasuredPlace.LastPromptToken => "last_prompt_token",
        MeasuredPlace.FirstAnswerToken => "first_answer_token",
        MeasuredPlace.MeanAnswer => "mean_answer",
        _ => throw new ArgumentOutOfRangeException(nameof(place), place, "There is no such place."),
    };

    /// <summary>The place for people: "last token", "first answer token", "mean over the answer".</summary>
    public static string ToPhrase(this MeasuredPlace place) => place switch
    {
        MeasuredPlace.LastPromptToken => "last token",
        MeasuredPlace.FirstAnswerToken => "first answer token",
        _ => "mean over the answer",
    };

    /// <summary>The inverse of <see cref="ToName"/>; false when there is no such place.</summary>
    public static bool TryParse(string? name, out MeasuredPlace place)
    {
        foreach (MeasuredPlace candidate in Enum.GetValues<MeasuredPlace>())
        {
            if (candidate.ToName() != name) continue;
            place = candidate;
            return true;
        }

        place = default;
        return false;
    }

    /// <summary>The pooling of the directions that are measured along where none is asked for: states of prompts along directions of prompts,
    /// states of answers along directions of answers.</summary>
    public static Pooling MatchingPooling(this MeasuredPlace place) =>
        place == MeasuredPlace.LastPromptToken ? Pooling.LastToken : Pooling.MeanOutput;
}
