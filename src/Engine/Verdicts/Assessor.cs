using System.Globalization;
using EmScan.Engine.Adapters;
using EmScan.Engine.Drift;

namespace EmScan.Engine.Verdicts;

/// <summary>
/// Says what is known of measured checkpoints: joins the verdict with what the measurement could see of the adapter, and with the signs
/// that the adapter's file is not whole. The rules are in docs/states.md.
/// </summary>
/// <remarks>Not thread safe: the checkpoints of a run are compared in the order in which they come.</remarks>
/// <param name="judge">What verdicts rest on.</param>
/// <param name="census">Taken of all checkpoints.</param>
/// <param name="layer">The measured layer.</param>
/// <param name="layerCount">L.</param>
/// <param name="surveyOf">Surveys a checkpoint, with values; null for reading its files.</param>
internal sealed class Assessor(Judge judge, AdapterCensus census, int layer, int layerCount, Func<Checkpoint, AdapterSurvey>? surveyOf = null)
{
    /// <summary>Below this visible share a measurement shows a minority of what was changed.</summary>
    public const double Minority = 0.5;

    private readonly RunTrends _trends = new();

    /// <summary>Assesses a checkpoint that was measured. Its files are read once more, for their norms.</summary>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="observation">Its drift.</param>
    public Assessment Of(Checkpoint checkpoint, Observation observation)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(observation);
        (AdapterSurvey? survey, List<Remark> doubts) = Survey(checkpoint);
        double? share = survey?.VisibleShare(layer);
        int? seenFrom = null;
        if (share is { } seen && seen < judge.FewestVisible)
        {
            seenFrom = Enumerable.Range(layer + 1, layerCount - layer - 1).Cast<int?>().FirstOrDefault(l => survey!.VisibleShare(l!.Value) >= Minority);
            doubts.Insert(0, Hidden(survey!, seen));
        }

        DriftTrend? trend = _trends.Add(checkpoint.Run, checkpoint.Step, observation.Displacement.Magnitude);
        bool nothing = observation.Displacement.ChangesNothing;
        if (nothing && share > 0 && doubts.Count == 0)
            doubts.Add(new Remark("no-effect", "its weights are not zero, and yet no number on these prompts differs from the base's"));
        try
        {
            Verdict verdict = judge.Of(observation);
            AssessmentState state = verdict.Dangerous ? AssessmentState.Dangerous
                : doubts.Count > 0 ? AssessmentState.Unknown
                : nothing && survey is { ChangesNothing: true } ? AssessmentState.Unchanged
                : verdict is CalibratedVerdict { Unknown: true } ? AssessmentState.Unknown
                : verdict is EffectSize ? AssessmentState.Measured
                : AssessmentState.Ok;
            return new Assessment(state, verdict, share, doubts, null, seenFrom) { Trend = trend };
        }
        catch (EmScanException e)
        {
            return new Assessment(
                AssessmentState.Failed, null, share, doubts, $"{checkpoint.Path} was measured but cannot be judged: {e.Message}", seenFrom)
            { Trend = trend };
        }
    }

    private (AdapterSurvey? Survey, List<Remark> Doubts) Survey(Checkpoint checkpoint)
    {
        try
        {
            AdapterSurvey survey = surveyOf?.Invoke(checkpoint) ?? AdapterSurvey.Read(checkpoint.Path);
            return (survey, [.. census.Doubts(checkpoint, survey)]);
        }
        catch (InputFileException e)
        {
            return (null, [new Remark("not-surveyed", $"its files changed or went away after it was measured, so it is not known what of it was seen ({e.Message})")]);
        }
    }

    private Remark Hidden(AdapterSurvey survey, double share)
    {
        int[] hidden = [.. survey.Modules.Where(m => m.Block > layer && m.Values!.SquaredNorm > 0).Select(m => m.Block!.Value)];
        string[] where =
        [
            .. hidden.Length > 0 ? [AdapterDoubts.Blocks(hidden)] : Array.Empty<string>(),
            .. survey.Modules.Where(m => m.Place == ModulePlace.Head && m.Values!.SquaredNorm > 0).Select(_ => "the output head").Take(1),
        ];
        string elsewhere = where.Length == 0 ? "" : $", the rest is in {string.Join(" and ", where)}";
        return share == 0
            ? new Remark("not-visible", $"layer {layer} sees nothing of it{elsewhere.Replace(", the rest", "; all of it", StringComparison.Ordinal)}")
            : new Remark("mostly-hidden", string.Create(CultureInfo.InvariantCulture, $"layer {layer} sees only {100 * share:0.#}% of it{elsewhere}"));
    }
}
