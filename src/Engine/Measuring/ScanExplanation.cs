using EmScan.Engine.Runtime;
using EmScan.Engine.Traits;

namespace EmScan.Engine.Measuring;

/// <summary>What a scan will compute, found out without computing it.</summary>
/// <param name="Extraction">Extraction of the trait directions; null when they are at hand.</param>
/// <param name="Generates">Whether the extraction also generates text, which no plan can foresee.</param>
/// <param name="DirectionsSource">Where the directions come from, or will come from.</param>
/// <param name="Evaluation">The base model's measurement, and that of each checkpoint.</param>
/// <param name="Layer">The layer that is measured.</param>
/// <param name="Remarks">Sentences for the user.</param>
internal sealed record ScanExplanation(
    PlanTotals? Extraction, bool Generates, string DirectionsSource, PlanTotals Evaluation, int Layer, IReadOnlyList<Remark> Remarks)
{
    /// <summary>Makes the plans of a scan.</summary>
    /// <exception cref="EmScanException">Directions that were given cannot be used, or a prompt is too long.</exception>
    public static ScanExplanation Create(LoadedModel prepared)
    {
        ArgumentNullException.ThrowIfNull(prepared);
        List<Remark> remarks = [.. prepared.Traits.Remarks.Select(text => new Remark("trait-set", text))];
        (DirectionSet Set, string Source)? atHand = DirectionProvider.Find(prepared, remarks);
        int layer = prepared.ChooseLayer(atHand is { Set.Layers: [var only] } ? only : null);
        return new ScanExplanation(
            atHand == null ? PlanTotals.Of(ExtractionPlans(prepared)) : null,
            prepared.Request.Extraction.Pooling == Pooling.MeanOutput,
            atHand?.Source ?? "to be extracted from the model, once",
            PlanTotals.Of([prepared.Source.Plan(Prompts(prepared, remarks), [layer])]),
            layer,
            remarks);
    }

    private static CapturePrompt[] Prompts(LoadedModel prepared, List<Remark> remarks)
    {
        MeasuredPlace place = prepared.Place;
        if (place == MeasuredPlace.LastPromptToken) return prepared.EvaluationPrompts();
        if (BaseAnswersProvider.Find(prepared, remarks) is { } answers) return prepared.MeasuredPrompts(answers);
        remarks.Add(new Remark("answers-not-counted", $"The base's answers are not generated yet; all are counted with {BaseAnswers.MaxTokens} tokens, which is the most."));
        int[] longest = new int[BaseAnswers.MaxTokens];
        return new BaseAnswers([.. prepared.Traits.EvalPrompts.Select(_ => longest)]).After(prepared.EncodedPrompts(), place);
    }

    private static IEnumerable<CapturePlan> ExtractionPlans(LoadedModel prepared)
    {
        ExtractionOptions options = prepared.Request.Extraction;
        int[] layers = [.. options.Layers ?? [.. Enumerable.Range(0, prepared.Model.LayerCount)]];
        TraitSet traits = prepared.Traits;
        foreach (IReadOnlyList<string> pool in traits.Traits.SelectMany(t => new[] { t.PositivePrompts, t.NegativePrompts }))
        {
            foreach (int[][] inputs in DirectionExtractor.Calls(prepared.Encoder, pool, traits.Questions, options))
            {
                yield return prepared.Source.Plan(
                    [.. inputs.Select(tokens => options.Pooling == Pooling.MeanInput ? CapturePrompt.From(tokens, 0) : CapturePrompt.Last(tokens))], layers);
            }
        }

        // The norms of the evaluation prompts at every layer, which go into the file beside the directions.
        yield return prepared.Source.Plan(prepared.EvaluationPrompts(), layers);
    }
}
